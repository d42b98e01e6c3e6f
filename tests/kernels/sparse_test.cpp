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

/// Sparse rows, their columns ascending, of which batches are taken.
struct Table {
  std::int64_t rows, width, batch, replicas;
  bool background = false, counters = false;
  std::string name() const {
    return fmt::format("{}_of_{}x{}_{}_replicas{}{}", batch, rows, width, replicas, background ? "_background" : "",
                       counters ? "_of_an_epoch" : "");
  }
};
const std::vector<Table> all_tables = {
    {1, 1, 1, 0},
    {31, 33, 31, 0},
    {33, 1025, 5, 0, true},
    {7, 5, 0, 0},
    {7, 0, 3, 0},
    {64, 64, 300, 0, true},
    {9, 4500, 4, 0},  // more columns than one block fills
    {9, 4501, 4, 2, true},
    {13, 33, 9, 1, true, true},
    {13, 40, 9, 3, false, true},
};

std::vector<Input> table_inputs(const Table& t, DType stored, Random& random) {
  Reals offsets{0}, columns, values;
  for (std::int64_t row = 0; row < t.rows; ++row) {
    const Reals chance = random.uniform({t.width}, 0, 1);
    // Some rows have none, some most of their columns.
    const long double share = row % 3 == 0 ? 0 : row % 3 == 1 ? 0.1L : 0.8L;
    for (std::size_t c = 0; c < chance.size(); ++c) {
      if (chance[c] < share) columns.push_back(static_cast<long double>(c));
    }
    offsets.push_back(static_cast<long double>(columns.size()));
  }
  const auto entries = static_cast<std::int64_t>(columns.size());
  columns.insert(columns.end(), 3, 0);  // which no row has
  const std::int64_t copies = std::max<std::int64_t>(1, t.replicas), epoch = t.counters ? 40 : t.batch;
  Reals rows = random.below({copies * epoch}, static_cast<std::uint64_t>(t.rows)), counters;
  for (std::size_t i = 2; i < rows.size(); i += 7) rows[i] = i % 2 == 0 ? -1 : static_cast<long double>(t.rows);
  for (std::int64_t r = 0; r < copies; ++r)
    counters.insert(counters.end(), {1, 2, static_cast<long double>(11 * r), 3});
  const auto shape = [&](std::int64_t extent) { return t.replicas == 0 ? Shape{extent} : Shape{t.replicas, extent}; };
  return {{"offsets", {t.rows + 1}, offsets, DType::i64},
          {"columns", {entries + 3}, columns, DType::i32},
          {"values", {entries + 3}, random.normal({entries + 3}), stored},
          {"background", {t.width}, random.normal({t.width}), stored},
          {"rows", shape(epoch), rows, stored == DType::f32 ? DType::i64 : DType::i32},
          {"counters", shape(4), counters, DType::i64}};
}

std::vector<Expected> dense_batch(const Table& t, const std::vector<Reals>& in) {
  Expected out;
  const std::size_t copies = in[5].size() / 4, epoch = in[4].size() / copies, width = in[3].size();
  for (std::size_t r = 0; r < copies; ++r) {
    const std::size_t begin = t.counters ? static_cast<std::size_t>(in[5][4 * r + 2]) : 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(t.batch); ++i) {
      const long double row = in[4][r * epoch + begin + i];
      Reals dense(width);
      if (row >= 0 && row < static_cast<long double>(t.rows)) {
        if (t.background) dense = in[3];
        const auto chosen = static_cast<std::size_t>(row);
        for (auto e = static_cast<std::size_t>(in[0][chosen]); e < static_cast<std::size_t>(in[0][chosen + 1]); ++e) {
          dense[static_cast<std::size_t>(in[1][e])] = in[2][e];
        }
      }
      out.value.insert(out.value.end(), dense.begin(), dense.end());
    }
  }
  return {out};
}

const bool gathers_registered = register_cases("gather_sparse_rows", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const DType stored : {DType::f32, DType::f64}) {
    for (const Table& t : all_tables) {
      KernelCase c;
      c.label = fmt::format("{}_{}", t.name(), rtl::name_of(stored));
      c.inputs = table_inputs(t, stored, random);
      c.outputs = {{"out", t.replicas == 0 ? Shape{t.batch, t.width} : Shape{t.replicas, t.batch, t.width}, 1}};
      c.dtypes = activation_dtypes;
      c.run = [t](const Device& device, auto& in, auto& out) {
        kernels::gather_sparse_rows(device, {in[0], in[1], in[2]}, t.background ? in[3] : ConstView(), in[4], out[0],
                                    t.counters ? in[5] : ConstView());
      };
      c.reference = [t](auto& in, auto&) { return dense_batch(t, in); };
      cases.push_back(c);
    }
  }
  return cases;
});

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
