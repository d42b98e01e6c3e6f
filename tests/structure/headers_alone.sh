#!/usr/bin/env bash
# headers_alone.sh COMPILER INCLUDE_DIR: every public header compiles alone, and twice in one file, without warnings.
set -euo pipefail
compiler=$1 include=$2
export compiler include
check() {
  printf '#include "%s"\n#include "%s"\n' "$1" "$1" |
    "$compiler" -std=c++20 -Wall -Wextra -Werror -fsyntax-only -I "$include" -x c++ - ||
    { echo "not self-contained: $1"; return 1; }
}
export -f check
cd "$include"
headers=$(find rtl -name '*.hpp' | sort)
[ -n "$headers" ] || { echo "no headers in $include"; exit 1; }
xargs -n 1 -P "$(nproc)" bash -c 'check "$0"' <<<"$headers"
echo "$(wc -l <<<"$headers") headers compile alone"
