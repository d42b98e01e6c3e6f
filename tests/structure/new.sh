#!/usr/bin/env bash
# new.sh COMPILER SOURCE_DIR: scripts/new adds one of each kind to a temporary copy. No other file has to change
# for the build to list it, and what was written compiles.
set -euo pipefail
compiler=$1 source=$2
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for part in CMakeLists.txt cmake include src scripts; do cp -r "$source/$part" "$copy/"; done
mkdir -p "$copy/tests/data"
touch "$copy/tests/data/taken_test.cpp"
cd "$copy"
# In the copy only: what changed is what this test is about.
find . -type f | sort >before
touch mark

declare -A files=([strategy]=2 [predictor]=2 [model]=2 [format]=3 [study]=2 [layer]=3)
for kind in strategy predictor model format study layer; do
  made=$(scripts/new $kind "new-$kind")
  count=$(grep -c '^tests/\|^src/\|^include/' <<<"$made")
  [ "$count" -eq "${files[$kind]}" ] || { echo "$kind took $count files: $made"; exit 1; }
done
changed=$(find . -type f -newer mark ! -name mark ! -name before | sort)
if comm -12 before <(echo "$changed") | grep .; then echo "the files above had to change"; exit 1; fi
if scripts/new strategy new_strategy 2>/dev/null; then echo "a file that is there was replaced"; exit 1; fi
if scripts/new format taken 2>/dev/null || [ -e src/data/formats/taken.cpp ]; then echo "a part of the files was written"; exit 1; fi
# refused FAULT ARGUMENT..: it says so.
refused() {
  local fault=$1 told
  shift
  if told=$(scripts/new "$@" 2>&1); then echo "'$*' was taken"; exit 1; fi
  [[ $told == *"$fault"*"new strategy|predictor"* ]] || { echo "'$*' gives $told"; exit 1; }
}
refused "'New' is no such NAME" strategy New
refused "'new__x' is no such NAME" strategy new__x
refused "'new_' is no such NAME" strategy new_
refused "'union' is a word of C++" format union
refused "there is no kind 'hope'" hope x
refused "" model

cmake -S . -B build -DRTL_CUDA=OFF -DRTL_BUILD_TESTS=OFF -DRTL_BUILD_BENCH=OFF -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_COMPILER="$compiler" -G Ninja >configure.log || { cat configure.log; exit 1; }
for list in src_transfer_strategies src_transfer_predictors src_layers_models src_data_formats; do
  grep -q '&new_' "build/generated/$list.cpp" || { echo "build/generated/$list.cpp does not list it"; exit 1; }
done
grep -q 'new_study::study()' build/generated/src_studies.cpp || { echo "the study is not listed"; exit 1; }

compile() {
  "$compiler" -std=c++20 -Wall -Wextra -Werror -fsyntax-only -I include -I src -I "$source/tests/fuzz" "$1" || { echo "does not compile: $1"; return 1; }
}
export -f compile
export compiler source
printf '%s\n' src/transfer/strategies/new_strategy.cpp src/transfer/predictors/new_predictor.cpp \
  src/layers/models/new_model.cpp src/data/formats/new_format.cpp src/studies/new_study/study.cpp src/layers/new_layer.cpp \
  tests/transfer/new_strategy_test.cpp tests/fuzz/targets/new_format.cpp build/generated/*.cpp | xargs -n 1 -P "$(nproc)" bash -c 'compile "$0"'
echo "one of each kind was added, listed and compiled"
