#!/usr/bin/env bash
# Every command of a script on real data runs, with one seed and one epoch, and each FILE that it writes has its TEXT.
# real_script.sh PROGRAM SOURCE_FOLDER SCRIPT FILE:TEXT..; ends with 77 (skipped) where the real data is absent.
set -euo pipefail
export RTL=$1 RTL_DATA=${RTL_DATA:-$2/../shared/data}
if [ ! -d "$RTL_DATA" ]; then
  echo "NOT TESTED without $RTL_DATA: set RTL_DATA to a folder of data (docs/testing.md, Real data)"
  exit 77
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$2/scripts/$3" "$out" --quick
for expected in "${@:4}"; do
  grep -q "${expected#*:}" "$out/${expected%%:*}" || { echo "no ${expected#*:} in ${expected%%:*}"; exit 1; }
done
