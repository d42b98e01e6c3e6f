#include "rtl/kernels/sparse.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

struct Sizes {
  std::int64_t rows, columns, entries, width, replicas;
  std::string name() const {
    return fmt::format("{}x{}_of_{}_by_{}_{}_replicas", rows, columns, entries, width, replicas);
  }
};
const std::vector<Sizes> all_sizes = {
    {1, 1, 1, 1, 0}, {31, 33, 200, 31, 0}, {33, 5, 90, 1025, 0}, {300, 7, 11, 64, 0}, {5, 9, 0, 33, 0},
    {0, 4, 0, 3, 0}, {4, 6, 20, 0, 0},     {31, 17, 150, 40, 3}, {9, 9, 40, 33, 3},   {1025, 1025, 9000, 8, 0}};

/// Entries fall into rows by chance, so that some rows have none and some several in one column.
Reals offsets_of(const Sizes& s, Random& random) {
  Reals offsets(static_cast<std::size_t>(s.rows) + 1);
  for (const long double row : random.below({s.rows == 0 ? 0 : s.entries}, static_cast<std::uint64_t>(s.rows))) {
    offsets[static_cast<std::size_t>(row) + 1] += 1;
  }
  for (std::size_t i = 1; i < offsets.size(); ++i) offsets[i] += offsets[i - 1];
  return offsets;
}

Shape stacked(const Sizes& s, std::int64_t rows) {
  return s.replicas == 0 ? Shape{rows, s.width} : Shape{s.replicas, rows, s.width};
}

std::vector<Expected> product(const Sizes& s, const std::vector<Reals>& in) {
  const auto replicas = static_cast<std::size_t>(std::max<std::int64_t>(1, s.replicas));
  const auto rows = static_cast<std::size_t>(s.rows), width = static_cast<std::size_t>(s.width);
  Expected y{Reals(replicas * rows * width), Reals(replicas * rows * width)};
  for (std::size_t i = 0; i < replicas * rows; ++i) {
    const std::size_t replica = i / rows, row = i % rows;
    for (auto e = static_cast<std::size_t>(in[0][row]); e < static_cast<std::size_t>(in[0][row + 1]); ++e) {
      if (in[1][e] < 0 || in[1][e] >= static_cast<long double>(s.columns)) continue;
      const auto from = replica * static_cast<std::size_t>(s.columns) + static_cast<std::size_t>(in[1][e]);
      for (std::size_t c = 0; c < width; ++c) {
        const long double term = in[2][e] * in[3][from * width + c];
        y.value[i * width + c] += term;
        y.scale[i * width + c] += std::abs(term);
      }
    }
  }
  return {y};
}

const bool registered = register_cases("sparse_product", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Sizes& s : all_sizes) {
    KernelCase c;
    c.label = s.name();
    const Shape x = stacked(s, s.columns), y = stacked(s, s.rows);
    Reals columns = random.below({s.entries}, static_cast<std::uint64_t>(s.columns));
    if (s.entries > 100) {
      columns[3] = -1;
      columns[40] = static_cast<long double>(s.columns);
    }
    c.inputs = {{"offsets", {s.rows + 1}, offsets_of(s, random), DType::i32},
                {"columns", {s.entries}, columns, DType::i32},
                {"values", {s.entries}, random.normal({s.entries}), {}, Role::parameter},
                {"x", x, random.normal(x)}};
    c.outputs = {{"y", y, 34}};
    c.outputs[0].roundoffs_bf16 = rounded_once;
    c.dtypes = activation_dtypes;
    c.run = [](const Device& device, auto& in, auto& out) {
      kernels::sparse_product(device, {in[0], in[1], in[2]}, in[3], out[0]);
    };
    c.reference = [s](auto& in, auto&) { return product(s, in); };
    cases.push_back(c);
  }
  return cases;
});

}  // namespace
}  // namespace rtl::test
