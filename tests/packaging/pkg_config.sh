#!/usr/bin/env bash
# examples/pkg_config against the installed package, moved elsewhere first: it must not depend on its place.
set -euo pipefail
here=$RTL_BINARY_DIR/packaging/pkg_config
rm -rf "$here"
mkdir -p "$here/pkg_config"
cp -r "$RTL_BINARY_DIR/packaging/prefix" "$here/moved"
cp "$RTL_SOURCE_DIR"/examples/*.cpp "$here"
cp "$RTL_SOURCE_DIR/examples/pkg_config/Makefile" "$here/pkg_config"
description=$(find "$here/moved" -name rtl.pc)
PKG_CONFIG_PATH=$(dirname "$description") make -C "$here/pkg_config"
"$here/pkg_config/adapt" | tee "$here/output"
grep -q 'accuracy: refine [0-9.]* %' "$here/output"
"$here/pkg_config/custom_operation" | tee "$here/output"
grep -q 'loss: [0-9.]* -> [0-9.]*' "$here/output"
(cd "$here/pkg_config" && ./custom_strategy) | tee "$here/output"
grep -q 'loaded: smoothed-fine-tune, the same outputs' "$here/output"
# A program that a C compiler links: pkg-config has to name the C++ library too.
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$description")
# shellcheck disable=SC2046
"$CXX" -std=c++20 $(pkg-config --cflags rtl) -c "$here/adapt.cpp" -o "$here/adapt.o"
# shellcheck disable=SC2046
"$CC" "$here/adapt.o" $(pkg-config --static --libs rtl) -o "$here/adapt-by-c"
"$here/adapt-by-c" | grep 'accuracy: refine [0-9.]* %'
