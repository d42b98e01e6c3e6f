#!/usr/bin/env bash
# examples/pkg_config against the installed package, moved elsewhere first: it must not depend on its place.
set -euo pipefail
here=$RTL_BINARY_DIR/packaging/pkg_config
rm -rf "$here"
mkdir -p "$here/pkg_config"
cp -r "$RTL_BINARY_DIR/packaging/prefix" "$here/moved"
cp "$RTL_SOURCE_DIR/examples/adapt.cpp" "$here"
cp "$RTL_SOURCE_DIR/examples/pkg_config/Makefile" "$here/pkg_config"
description=$(find "$here/moved" -name rtl.pc)
PKG_CONFIG_PATH=$(dirname "$description") make -C "$here/pkg_config"
"$here/pkg_config/adapt" | tee "$here/output"
grep -q 'accuracy: refine [0-9.]* %' "$here/output"
