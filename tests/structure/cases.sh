#!/usr/bin/env bash
# tests/support/cases tells what passed, failed, was skipped and was not there. cases.sh CASES
set -euo pipefail
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# What gtest prints at the end of a run, and the exit code that must come of it.
expect() {
  printf '#!/bin/sh\nprintf "%%b" "%s"\nexit %d\n' "$2" "$3" >"$out/program"
  chmod +x "$out/program"
  local code=0
  "$1" "$out/program" 'A.*' >"$out/log" 2>&1 || code=$?
  [ "$code" -eq "$4" ] || { echo "exit code $code, not $4, of: $2"; exit 1; }
}
expect "$1" '[==========] 2 tests from 1 test suite ran.\n[  PASSED  ] 2 tests.\n' 0 0
expect "$1" '[==========] 2 tests from 1 test suite ran.\n[  PASSED  ] 1 test.\n[  SKIPPED ] 1 test, listed below:\n[  SKIPPED ] A.b\n' 0 77
grep -q '^SKIPPED among others: A.b$' "$out/log"
expect "$1" '[  PASSED  ] 0 tests.\n[  SKIPPED ] 1 test, listed below:\n[  SKIPPED ] A.b\n[  FAILED  ] A.c\n' 1 1
expect "$1" '[==========] 0 tests from 0 test suites ran.\n[  PASSED  ] 0 tests.\n' 0 1
expect "$1" '' 0 1
