#!/usr/bin/env bash
# Every command of scripts/safe-sources runs, with one seed and one epoch.
# safe_sources.sh PROGRAM SOURCE_FOLDER; ends with 77 (skipped) where the real data is absent.
set -euo pipefail
export RTL=$1 RTL_DATA=${RTL_DATA:-$2/../shared/data}
if [ ! -d "$RTL_DATA" ]; then
  echo "NOT TESTED without $RTL_DATA: set RTL_DATA to a folder of data (docs/testing.md, Real data)"
  exit 77
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$2/scripts/safe-sources" "$out" --quick
for name in office-webcam housing-INLAND-1500 housing-1H-OCEAN-all mnist-to-fashion-mnist; do
  grep -q '"name": "safe"' "$out/$name.json" || { echo "no safe in $name.json"; exit 1; }
done
