#!/usr/bin/env bash
# no_studies.sh LIBRARY NM: the static library holds nothing of the studies, which belong to the program.
set -euo pipefail
names=$("$2" -C --defined-only "$1" 2>/dev/null)
grep -q 'rtl::transfer::' <<<"$names" || { echo "$1: its names were not read"; exit 1; }
if grep -m 5 'rtl::studies::' <<<"$names"; then echo "$1 holds the studies above"; exit 1; fi
echo "$(wc -l <<<"$names") names of the library, none of a study"
