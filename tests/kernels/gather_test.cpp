#include "rtl/kernels/gather.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/devices.hpp"
#include "support/guarded.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

struct Sizes {
  std::int64_t table, rows, length;
  std::string name() const { return fmt::format("{}_of_{}_by_{}", rows, table, length); }
};

const std::vector<Sizes> all_sizes = {{1, 1, 1}, {31, 33, 31}, {33, 5, 1025}, {1025, 31, 3}, {7, 0, 5}, {64, 300, 64}};

/// An epoch's row numbers and the counters of its batch, with a leading axis of `replicas` (where they are not 0).
struct Epoch {
  Shape order_shape, counters_shape;
  Reals order, counters;

  Epoch(std::int64_t replicas, std::int64_t length, std::int64_t batch, std::int64_t table, Random& random) {
    const std::int64_t copies = std::max<std::int64_t>(replicas, 1);
    order_shape = replicas == 0 ? Shape{length} : Shape{replicas, length};
    counters_shape = replicas == 0 ? Shape{4} : Shape{replicas, 4};
    order = random.below({copies * length}, static_cast<std::uint64_t>(table));
    const Reals begins = random.below({copies}, static_cast<std::uint64_t>(length - batch + 1));
    for (const long double begin : begins) counters.insert(counters.end(), {1, 2, begin, 3});
  }
  /// Row numbers of all batches.
  static Reals batches(const Reals& order, const Reals& counters, std::size_t batch) {
    Reals rows;
    const std::size_t copies = counters.size() / 4, length = order.size() / copies;
    for (std::size_t r = 0; r < copies; ++r) {
      const auto begin =
          order.begin() + static_cast<std::ptrdiff_t>(r * length + static_cast<std::size_t>(counters[4 * r + 2]));
      rows.insert(rows.end(), begin, begin + static_cast<std::ptrdiff_t>(batch));
    }
    return rows;
  }
};

Reals gathered(const Reals& table, const Reals& rows, std::size_t length) {
  Reals out;
  for (const long double row : rows) {
    if (row < 0 || row >= static_cast<long double>(table.size() / length)) {
      out.insert(out.end(), length, 0);
      continue;
    }
    const auto begin = table.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(row) * length);
    out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(length));
  }
  return out;
}

void add_batches(std::vector<KernelCase>& cases, Random& random) {
  for (const std::int64_t replicas : {0, 1, 3}) {
    for (const auto& [from, index] : {std::pair(DType::bf16, DType::i32), std::pair(DType::f64, DType::i64)}) {
      KernelCase c;
      c.label = fmt::format("batch_of_{}_replicas_{}", replicas, rtl::name_of(from));
      constexpr std::int64_t rows = 13, length = 33, batch = 9;
      const Epoch epoch(replicas, 40, batch, rows, random);
      c.inputs = {{"table", {rows, length}, random.normal({rows, length}), from},
                  {"order", epoch.order_shape, epoch.order, index},
                  {"counters", epoch.counters_shape, epoch.counters, DType::i64}};
      c.outputs = {{"out", replicas == 0 ? Shape{batch, length} : Shape{replicas, batch, length}, 1}};
      c.dtypes = activation_dtypes;
      c.run = [](const Device& device, auto& in, auto& out) {
        kernels::gather_rows(device, in[0], in[1], out[0], in[2]);
      };
      c.reference = [](auto& in, auto&) {
        return std::vector<Expected>{{gathered(in[0], Epoch::batches(in[1], in[2], batch), length)}};
      };
      cases.push_back(c);
    }
  }
  // Replicas with row numbers of their own, and no counters: every number is used.
  KernelCase c;
  c.label = "rows_of_3_replicas";
  c.inputs = {{"table", {13, 33}, random.normal({13, 33}), DType::f32},
              {"rows", {3, 9}, random.below({27}, 13), DType::i64}};
  c.outputs = {{"out", {3, 9, 33}, 1}};
  c.dtypes = activation_dtypes;
  c.run = [](const Device& device, auto& in, auto& out) { kernels::gather_rows(device, in[0], in[1], out[0]); };
  c.reference = [](auto& in, auto&) { return std::vector<Expected>{{gathered(in[0], in[1], 33)}}; };
  cases.push_back(c);
}

const bool gather_rows_registered = register_cases("gather_rows", [](Random& random) {
  std::vector<KernelCase> cases;
  add_batches(cases, random);
  const auto add = [&](const Sizes& s, DType from, DType to, DType index) {
    KernelCase c;
    c.label = fmt::format("{}_{}_to_{}_{}", s.name(), rtl::name_of(from), rtl::name_of(to), rtl::name_of(index));
    const Shape table{s.table, s.length};
    const Reals values = is_floating(from) ? random.normal(table) : random.below(table, 200);
    c.inputs = {{"table", table, values, from},
                {"rows", {s.rows}, random.below({s.rows}, static_cast<std::uint64_t>(s.table)), index}};
    c.outputs = {{"out", {s.rows, s.length}, 1, 0, {}, to}};
    c.dtypes = {to};
    c.run = [](const Device& device, auto& in, auto& out) { kernels::gather_rows(device, in[0], in[1], out[0]); };
    c.reference = [length = static_cast<std::size_t>(s.length)](auto& in, auto&) {
      return std::vector<Expected>{{gathered(in[0], in[1], length)}};
    };
    cases.push_back(c);
  };
  for (const Sizes& s : all_sizes) {
    add(s, DType::f32, DType::f32, DType::i64);
    add(s, DType::bf16, DType::f32, DType::i32);
    add(s, DType::f32, DType::bf16, DType::i32);
  }
  // Some numbers are no rows.
  for (const DType to : activation_dtypes) {
    add({9, 40, 32}, to, to, DType::i32);
    cases.back().label += "_some_outside";
    for (std::size_t i = 0; i < 40; i += 3) cases.back().inputs[1].values[i] = i % 2 == 0 ? -1 : 9;
  }
  const Sizes small{9, 12, 33};
  for (const DType from : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::u8, DType::i32}) {
    for (const DType to : activation_dtypes) add(small, from, to, DType::i64);
    if (from != DType::f32 && from != DType::f64) add(small, from, from, DType::i32);
  }
  return cases;
});

const bool gather_images_registered = register_cases("gather_images", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Shape& table : {Shape{9, 8, 8, 3}, Shape{5, 5, 7, 1}, Shape{3, 3, 3, 33}, Shape{40, 32, 32, 3}}) {
    for (const std::int64_t rows : {0, 1, 31}) {
      KernelCase c;
      c.label = fmt::format("{}_of_{}x{}x{}x{}", rows, table[0], table[1], table[2], table[3]);
      const Shape channels{table[3]};
      c.inputs = {{"table", table, random.below(table, 256), DType::u8},
                  {"rows", {rows}, random.below({rows}, static_cast<std::uint64_t>(table[0])), DType::i64},
                  {"scale", channels, random.uniform(channels, 0.001, 0.02), {}, Role::parameter},
                  {"shift", channels, random.normal(channels), {}, Role::parameter}};
      c.outputs = {{"out", table.with(0, rows), 2}};
      c.outputs[0].roundoffs_bf16 = rounded_once;
      c.dtypes = activation_dtypes;
      c.run = [](const Device& device, auto& in, auto& out) {
        kernels::gather_images(device, in[0], in[1], in[2], in[3], out[0]);
      };
      c.reference = [size = static_cast<std::size_t>(table[1] * table[2] * table[3])](auto& in, auto&) {
        Expected out;
        for (const long double row : in[1]) {
          for (std::size_t i = 0; i < size; ++i) {
            const std::size_t c = i % in[2].size();
            const long double product = in[0][static_cast<std::size_t>(row) * size + i] * in[2][c];
            out.value.push_back(product + in[3][c]);
            out.scale.push_back(product + std::fabs(in[3][c]));
          }
        }
        return std::vector<Expected>{out};
      };
      cases.push_back(c);
    }
  }
  return cases;
});

const bool scatter_registered = register_cases("scatter_add_rows", [](Random& random) {
  std::vector<KernelCase> cases;
  std::vector<Sizes> sizes(std::begin(all_sizes), std::end(all_sizes));
  sizes.push_back({9, 2048, 2});
  sizes.push_back({1000, 4500, 3});  // more rows than one block sorts
  for (const Sizes& s : sizes) {
    KernelCase c;
    c.label = s.name();
    const Shape values{s.rows, s.length}, table{s.table, s.length};
    c.inputs = {{"values", values, random.normal(values)},
                {"rows", {s.rows}, random.below({s.rows}, static_cast<std::uint64_t>(s.table)), DType::i32}};
    // One addition for every row that names the target: some tens at most, or as many as the rows' share.
    const double additions = 33 + 2 * static_cast<double>(s.rows) / static_cast<double>(s.table);
    c.outputs = {{"table", table, additions, 0, random.normal(table)}};
    c.run = [](const Device& device, auto& in, auto& out) { kernels::scatter_add_rows(device, in[0], in[1], out[0]); };
    c.reference = [length = static_cast<std::size_t>(s.length)](auto& in, auto& initial) {
      Expected out{initial[0], {}};
      for (const long double value : initial[0]) out.scale.push_back(std::fabs(value));
      for (std::size_t i = 0; i < in[0].size(); ++i) {
        const long double row = in[1][i / length];
        if (row < 0 || row >= static_cast<long double>(out.value.size() / length)) continue;
        const std::size_t at = static_cast<std::size_t>(in[1][i / length]) * length + i % length;
        out.value[at] += in[0][i];
        out.scale[at] += std::fabs(in[0][i]);
      }
      return std::vector<Expected>{out};
    };
    cases.push_back(c);
  }
  KernelCase outside = cases[5];
  outside.label += "_some_outside";
  for (std::size_t i = 0; i < outside.inputs[1].values.size(); i += 3) {
    outside.inputs[1].values[i] = i % 2 == 0 ? -1 : static_cast<long double>(all_sizes[5].table);
  }
  cases.push_back(outside);
  return cases;
});

TEST(ScatterAddRows, AddsInTheOrderOfTheValues) {
  Random random(seed());
  const std::int64_t count = 2500, length = 5, table_rows = 7;
  const Reals values = random.normal({count, length}), rows = random.below({count}, table_rows);
  std::vector<float> wanted(static_cast<std::size_t>(table_rows * length));
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t j = 0; j < length; ++j) {
      float& sum =
          wanted[static_cast<std::size_t>(static_cast<std::int64_t>(rows[static_cast<std::size_t>(i)]) * length + j)];
      sum += static_cast<float>(values[static_cast<std::size_t>(i * length + j)]);
    }
  }
  for (const Device& device : devices_and_threads()) {
    Guarded from({count, length}, DType::f32, device), numbers({count}, DType::i64, device);
    from.write(values);
    numbers.write(rows);
    Tensor table = Tensor::zeros({table_rows, length}, DType::f32, device);
    kernels::scatter_add_rows(device, from.view(), numbers.view(), table);
    EXPECT_EQ(table.to_vector<float>(), wanted) << name_of(device);
  }
}

}  // namespace
}  // namespace rtl::test
