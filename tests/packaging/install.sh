#!/usr/bin/env bash
# Installs the build into a folder of its own, and looks at what is there.
set -euo pipefail
prefix=$RTL_BINARY_DIR/packaging/prefix
rm -rf "$prefix"
cmake --install "$RTL_BINARY_DIR" --prefix "$prefix" >/dev/null
for file in include/rtl/rtl.hpp lib*/librtl.a lib*/cmake/rtl/rtlConfig.cmake lib*/pkgconfig/rtl.pc bin/rtl; do
  compgen -G "$prefix/$file" >/dev/null || compgen -G "$prefix/lib/*/${file#lib*/}" >/dev/null ||
    { echo "not installed: $file"; exit 1; }
done
# Nothing of the build's own folders may be left in what is installed.
if grep -rIl -e "$RTL_SOURCE_DIR" -e "$RTL_BINARY_DIR" "$prefix"; then
  echo "the files above name the folder of the sources or of the build"
  exit 1
fi
