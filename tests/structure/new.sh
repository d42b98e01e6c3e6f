#!/usr/bin/env bash
# new.sh COMPILER SOURCE_DIR BINARY_DIR: scripts/new adds one of each kind to a temporary copy. No other file has to change
# for the build to list it; what was written is compiled, linked with the library of BINARY_DIR, and run: each new test
# fails as its template says, and passes once the obvious is written.
set -euo pipefail
compiler=$1 source=$2 binary=$3
if [ ! -f "$binary/build.ninja" ]; then echo "skipped: $binary is not built by Ninja"; exit 77; fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for part in CMakeLists.txt cmake include src scripts; do cp -r "$source/$part" "$copy/"; done
mkdir -p "$copy/tests"
cp -r "$source"/tests/{support,kernels,graph,layers} "$copy/tests/"
mkdir -p "$copy/tests/data"
touch "$copy/tests/data/taken_test.cpp"
cd "$copy"
# In the copy only: what changed is what this test is about.
find . -type f | sort >before
touch mark

declare -A files=([operation]=2 [strategy]=2 [predictor]=2 [model]=2 [format]=3 [step]=2 [study]=2 [layer]=3)
for kind in strategy predictor model format step study layer; do
  made=$(scripts/new $kind "new-$kind")
  count=$(grep -c '^tests/\|^src/\|^include/' <<<"$made")
  [ "$count" -eq "${files[$kind]}" ] || { echo "$kind took $count files: $made"; exit 1; }
done
changed=$(find . -type f -newer mark ! -name mark ! -name before | sort)
if comm -12 before <(echo "$changed") | grep .; then echo "the files above had to change"; exit 1; fi
# An operation is a row of a table and one of its test's.
made=$(scripts/new operation new_operation)
[ "$(wc -l <<<"$made")" -eq "${files[operation]}" ] || { echo "the operation took $made"; exit 1; }
for file in $made; do
  [ "$(diff "$source/$file" "$file" | grep -c '^<')" -eq 0 ] || { echo "$file lost lines"; exit 1; }
done
if scripts/new strategy new_strategy 2>/dev/null; then echo "a file that is there was replaced"; exit 1; fi
if scripts/new format taken 2>/dev/null || [ -e src/data/formats/taken.cpp ]; then echo "a part of the files was written"; exit 1; fi
for taken in new_operation relu softmax; do
  if scripts/new operation $taken 2>/dev/null; then echo "a second operation $taken was written"; exit 1; fi
done
# refused FAULT ARGUMENT..: it says so.
refused() {
  local fault=$1 told
  shift
  if told=$(scripts/new "$@" 2>&1); then echo "'$*' was taken"; exit 1; fi
  [[ $told == *"$fault"*"new operation|strategy|predictor"* ]] || { echo "'$*' gives $told"; exit 1; }
}
refused "'New' is no such NAME" strategy New
refused "'new__x' is no such NAME" strategy new__x
refused "'new_' is no such NAME" strategy new_
refused "'union' is a word of C++" format union
refused "there is no kind 'hope'" hope x
refused "" model

cmake -S . -B build -DRTL_CUDA=OFF -DRTL_BUILD_TESTS=OFF -DRTL_BUILD_BENCH=OFF -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_COMPILER="$compiler" -G Ninja >configure.log || { cat configure.log; exit 1; }
for list in src_transfer_strategies src_transfer_predictors src_layers_models src_data_formats src_data_steps; do
  grep -q '&new_' "build/generated/$list.cpp" || { echo "build/generated/$list.cpp does not list it"; exit 1; }
done
grep -q 'new_study::study()' build/generated/src_studies.cpp || { echo "the study is not listed"; exit 1; }

# What a program that links the library sees of them.
cat >tests/listed_test.cpp <<'END'
#include <gtest/gtest.h>

#include <algorithm>

#include "rtl/data/preprocessing.hpp"
#include "rtl/data/spec.hpp"
#include "rtl/layers/model.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/transfer/strategy.hpp"
#include "studies/study.hpp"
#include "transfer/predictor_kinds.hpp"

TEST(Listed, AllOfThem) {
  using namespace rtl;
  const auto any = [](const auto& all, const auto& named) { return std::any_of(all.begin(), all.end(), named); };
  EXPECT_EQ(transfer::find_strategy("new-strategy").info().name, "new-strategy");
  EXPECT_TRUE(any(models::descriptions(), [](const std::string& text) { return text == "new_model"; }));
  EXPECT_TRUE(any(data::spec_kinds(), [](const auto& kind) { return kind.name == "new_format"; }));
  EXPECT_TRUE(any(data::step_kinds(), [](const auto* kind) { return kind->name == "new-step"; }));
  EXPECT_TRUE(any(studies::all(), [](const auto* study) { return study->name == "new-study"; }));
  EXPECT_TRUE(any(transfer::predictors::all(), [](const auto* kind) { return kind->name == "new_predictor"; }));
}
END

# The library and what it is linked with, as the build of the tests has it.
libraries=$(awk '/^build tests\/rtl_layers_test:/ { here = 1 } here && /LINK_LIBRARIES =/ { sub(/.*LINK_LIBRARIES = */, ""); print; exit }' \
  "$binary/build.ninja")
system=$(grep -m 1 -oE -- '-isystem [^ ]+' "$binary/build.ninja" || true)
definitions="-DRTL_CUDA_MODE=\"OFF\" -DFMT_SHARED"
cache=$(command -v ccache || true)
export CCACHE_BASEDIR=$copy CCACHE_NOHASHDIR=1
# Highway compiles its kernels for one instruction set here.
compile() {
  mkdir -p "objects/$(dirname "$1")"
  # shellcheck disable=SC2086
  $cache "$compiler" -std=c++20 -O0 -fopenmp -Wall -Wextra -Werror -DHWY_COMPILE_ONLY_STATIC $definitions $system \
    -I include -I src -I tests -I tests/fuzz -I "$source/tests/fuzz" -c "$1" -o "objects/$1.o" || { echo "does not compile: $1"; return 1; }
}
export -f compile
export compiler source cache definitions system
# build FILE..: compiles them, and links all that is compiled.
build() {
  printf '%s\n' "$@" | xargs -n 1 -P "$(nproc)" bash -c 'compile "$0"'
  local objects studies
  mapfile -t objects < <(find objects -name '*.o' ! -path '*/fuzz/*')
  mapfile -t studies < <(find "$binary/CMakeFiles/rtl_studies.dir/src" -name '*.o')
  # shellcheck disable=SC2086
  (cd "$binary" && "$compiler" -fopenmp "${objects[@]/#/$copy/}" "${studies[@]}" \
    tests/CMakeFiles/rtl_layers_test.dir/layers/plan_case.cpp.o $libraries -o "$copy/tests/program")
}
# The row's kernel and operation, whose cases come first in the new files' order of building.
row=(src/kernels/cpu/pointwise.cpp src/graph/operations/elementwise.cpp tests/kernels/pointwise_test.cpp
  tests/graph/elementwise_test.cpp)
new=(src/transfer/strategies/new_strategy.cpp src/transfer/predictors/new_predictor.cpp src/layers/models/new_model.cpp
  src/data/formats/new_format.cpp src/data/steps/new_step.cpp src/studies/new_study/study.cpp src/layers/new_layer.cpp)
tests=(tests/{transfer/new_strategy,transfer/new_predictor,layers/new_model,data/new_format,data/new_step,studies/new_study,layers/new_layer}_test.cpp)
build "${row[@]}" tests/kernels/kernel_case_test.cpp tests/graph/operation_case.cpp "${new[@]}" "${tests[@]}" \
  tests/listed_test.cpp tests/fuzz/targets/new_format.cpp build/generated/*.cpp

filter='New*:Listed*:Kernels/*unary_new_operation*:Elementwise.FunctionsOfOneOperand'
# run: what the tests say, and whether they pass.
run() { OMP_WAIT_POLICY=passive tests/program --gtest_filter="$filter" >told 2>&1; }
if run; then echo "the tests of what is not written pass"; cat told; exit 1; fi
for suite in NewStrategy NewPredictor NewModel NewFormat NewStep NewStudy NewLayer unary_new_operation FunctionsOfOneOperand; do
  grep -q "\[  FAILED  \].*$suite" told || { cat told; echo "the test of $suite does not fail"; exit 1; }
done
grep -q '\[       OK \] Listed' told || { cat told; exit 1; }
[ "$(grep -c 'not written' told)" -ge 9 ] || { cat told; echo "they fail for another reason"; exit 1; }

# The obvious is written: x / (1 + |x|), a layer of it, a step that negates.
sed -i 's|^RTL_UNARY(new_operation, .*|RTL_UNARY(new_operation, x / (T{1} + std::fabs(x)), divide(dy, square(plus_number(absolute(x), 1))))|' \
  include/rtl/kernels/elementwise_functions.inc
sed -i 's|{"new_operation", .*|{"new_operation", [](Real x) { return x / (1 + std::fabs(x)); },\n     [](Real x) { return 1 / ((1 + std::fabs(x)) * (1 + std::fabs(x))); }, 3},|' \
  tests/support/elementwise_cases.hpp
sed -i 's|#include "rtl/core/error.hpp"|#include "rtl/graph/operations.hpp"|
  s|^Value NewLayer::forward.*|Value NewLayer::forward(const Value\& x, const ForwardContext\&) { return graph::new_operation(x); }|' src/layers/new_layer.cpp
sed -i 's|#include <gtest/gtest.h>|&\n#include "layers/plan_case.hpp"\n#include "rtl/layers/new_layer.hpp"|
  s|FAIL() << "not written";|layers::check_plans({"new", [](const layers::Construction\&) { return std::make_unique<layers::NewLayer>(); }, {3, 4}},\n layers::PlanMode::evaluation);|' \
  tests/layers/new_layer_test.cpp
sed -i 's|^    throw ValueError.*|    for (Column\& column : table.columns) for (double\& number : column.numbers) number = -number;|' src/data/steps/new_step.cpp
sed -i 's|#include <gtest/gtest.h>|&\n#include "rtl/data/preprocessing.hpp"|
  s|FAIL() << "not written";|data::ColumnTable table{.columns = {{"a", {1, 2}}}, .rows = 2};\n std::vector<std::string> notes;\n EXPECT_EQ(data::Preprocessing::fit({"new-step"}, table).apply(table, notes).columns[0].numbers, (std::vector<double>{-1, -2}));|' \
  tests/data/new_step_test.cpp
build "${row[@]}" src/layers/new_layer.cpp tests/layers/new_layer_test.cpp src/data/steps/new_step.cpp tests/data/new_step_test.cpp
filter='NewLayer*:NewStep*:Listed*:Kernels/*unary_new_operation*:Elementwise.FunctionsOfOneOperand'
run || { cat told; echo "what is written does not pass"; exit 1; }
for suite in NewLayer NewStep unary_new_operation FunctionsOfOneOperand; do
  grep -q "\[       OK \].*$suite" told || { cat told; echo "$suite did not run"; exit 1; }
done
echo "one of each kind was added, listed, compiled, linked and run: $(tail -1 told)"
