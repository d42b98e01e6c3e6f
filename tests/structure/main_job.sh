#!/usr/bin/env bash
# Every command of the real main job runs: scripts/main-job with one seed and one epoch.
# main_job.sh PROGRAM SOURCE_FOLDER; ends with 77 (skipped) where the real data is absent.
set -euo pipefail
export RTL=$1 RTL_DATA=${RTL_DATA:-$2/../shared/data}
if [ ! -d "$RTL_DATA" ]; then
  echo "NOT TESTED without $RTL_DATA: set RTL_DATA to a folder of data (docs/testing.md, Real data)"
  exit 77
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$2/scripts/main-job" "$out" --quick
for name in cifar100 cifar10-flipped cifar10-clean; do
  grep -q '"verdict"' "$out/$name.json" || { echo "no verdict in $name.json"; exit 1; }
  grep -q '<svg' "$out/$name.html" || { echo "no chart in $name.html"; exit 1; }
done
