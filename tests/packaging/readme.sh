#!/usr/bin/env bash
# The C++ program in the README compiles against the installed package. It reads a file and real data, so it is not run.
set -euo pipefail
here=$RTL_BINARY_DIR/packaging/readme
rm -rf "$here"
mkdir -p "$here"
sed -n '/^```cpp$/,/^```$/p' "$RTL_SOURCE_DIR/README.md" | sed '/^```/d' >"$here/program.cpp"
[ "$(wc -l <"$here/program.cpp")" -ge 8 ] || { echo "no C++ program in README.md"; exit 1; }
description=$(find "$RTL_BINARY_DIR/packaging/prefix" -name rtl.pc)
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$description")
# shellcheck disable=SC2046
"$CXX" -std=c++20 -Wall -Wextra -Werror $(pkg-config --cflags rtl) "$here/program.cpp" $(pkg-config --static --libs rtl) -o "$here/program"
