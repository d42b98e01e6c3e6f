#!/usr/bin/env bash
# examples/find_package against the installed package.
set -euo pipefail
here=$RTL_BINARY_DIR/packaging/find_package
rm -rf "$here"
cmake -S "$RTL_SOURCE_DIR/examples/find_package" -B "$here" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$RTL_BINARY_DIR/packaging/prefix"
cmake --build "$here"
"$here/adapt" | tee "$here/output"
grep -q 'accuracy: refine [0-9.]* %' "$here/output"
"$here/custom_operation" | tee "$here/output"
grep -q 'loss: [0-9.]* -> [0-9.]*' "$here/output"
(cd "$here" && ./custom_strategy) | tee "$here/output"
grep -q 'smoothed-fine-tune: [0-9.]* %' "$here/output"
grep -q 'loaded: smoothed-fine-tune, the same outputs' "$here/output"
