#!/usr/bin/env bash
# examples/add_subdirectory: the library as a part of another build. The compiler cache keeps this short.
set -euo pipefail
here=$RTL_BINARY_DIR/packaging/add_subdirectory
rm -rf "$here"
launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache); fi
cmake -S "$RTL_SOURCE_DIR/examples/add_subdirectory" -B "$here" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DRTL_CUDA="$RTL_CUDA" "${launcher[@]}"
cmake --build "$here"
"$here/adapt" | tee "$here/output"
grep -q 'accuracy: refine [0-9.]* %' "$here/output"
"$here/custom_operation" | tee "$here/output"
grep -q 'loss: [0-9.]* -> [0-9.]*' "$here/output"
(cd "$here" && ./custom_strategy) | tee "$here/output"
grep -q 'loaded: smoothed-fine-tune, the same outputs' "$here/output"
if find "$here" -name 'rtl_*_test' | grep .; then echo "tests of rtl were built in somebody else's build"; exit 1; fi
