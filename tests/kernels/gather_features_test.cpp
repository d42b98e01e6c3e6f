// gather_features: rows of features as they are stored, converted and scaled; and fetch_features, the same ahead.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rtl/kernels/fetch.hpp"
#include "rtl/kernels/gather.hpp"
#include "support/devices.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

constexpr std::int64_t table_rows = 13, samples = 20, order_length = 40, batch = 9;
constexpr std::size_t begin_of_batch = 2;  ///< counters[2]

struct Variant {
  DType stored;
  std::int64_t columns;
  bool places, transform;
  std::int64_t replicas;  ///< 0: rows are used as they are
  double bound = std::numeric_limits<double>::infinity();
  std::int64_t after = -1;  ///< those that fetch_features gets; -1: gather_features
  std::string name() const {
    return fmt::format("{}_by_{}{}{}{}{}", rtl::name_of(stored), columns, places ? "_placed" : "",
                       transform ? "_scaled" : "", std::isfinite(bound) ? "_clipped" : "",
                       replicas > 0 ? fmt::format("_{}_replicas", replicas) : "") +
           (after >= 0 ? fmt::format("_{}_ahead", after) : "");
  }
};

/// The rows of the table that are wanted, one replica's behind the other's; -1 where there is none.
std::vector<std::int64_t> wanted_rows(const Variant& v, const std::vector<Reals>& in) {
  std::vector<std::int64_t> wanted;
  const std::size_t copies = static_cast<std::size_t>(std::max<std::int64_t>(v.replicas, 1));
  for (std::size_t r = 0; r < copies; ++r) {
    const auto first = v.replicas > 0 ? static_cast<std::size_t>(in[4][4 * r + begin_of_batch]) : 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(batch); ++i) {
      const auto length = static_cast<std::size_t>(v.replicas > 0 ? order_length : batch);
      const std::size_t position = first + i + static_cast<std::size_t>(std::max<std::int64_t>(v.after, 0));
      if (position >= length) {
        wanted.push_back(-1);
        continue;
      }
      const auto sample = static_cast<std::int64_t>(in[1][r * length + position]);
      const std::int64_t row = !v.places ? sample
                               : sample >= 0 && sample < samples
                                   ? static_cast<std::int64_t>(in[2][static_cast<std::size_t>(sample)])
                                   : -1;
      wanted.push_back(row >= 0 && row < table_rows ? row : -1);
    }
  }
  return wanted;
}

Expected expected(const Variant& v, const std::vector<Reals>& in) {
  Expected out;
  const auto width = static_cast<std::size_t>(v.columns);
  const Reals &table = in[0], &transform = in[3];
  for (const std::int64_t row : wanted_rows(v, in)) {
    for (std::size_t c = 0; c < width; ++c) {
      if (row < 0) {
        out.value.push_back(0);
        out.scale.push_back(0);
        continue;
      }
      long double value = table[static_cast<std::size_t>(row) * width + c], scale = std::fabs(value);
      if (v.transform) {
        const long double shift = transform[c], factor = transform[width + c], offset = transform[2 * width + c];
        scale = (scale + std::fabs(shift)) * std::fabs(factor) + std::fabs(offset);
        value = std::clamp<long double>((value - shift) * factor + offset, -v.bound, v.bound);
      }
      out.value.push_back(value);
      out.scale.push_back(scale);
    }
  }
  return out;
}

KernelCase case_of(const Variant& v, Random& random) {
  KernelCase c;
  c.label = v.name();
  const Shape table{table_rows, v.columns};
  const std::int64_t copies = std::max<std::int64_t>(v.replicas, 1), length = v.replicas > 0 ? order_length : batch;
  Reals rows = random.below({copies * length}, static_cast<std::uint64_t>(v.places ? samples : table_rows));
  rows[3] = -1;
  rows[5] = samples;  // outside of table and places
  Reals counters;
  for (const long double begin : random.below({copies}, static_cast<std::uint64_t>(order_length - batch + 1))) {
    counters.insert(counters.end(), {1, 2, begin, 3});
  }
  Reals places = random.below({samples}, static_cast<std::uint64_t>(table_rows));
  places[4] = table_rows;
  const bool stacked = v.replicas > 0;
  c.inputs = {{"table", table, v.stored == DType::u8 ? random.below(table, 256) : random.normal(table), v.stored},
              {"rows", stacked ? Shape{copies, length} : Shape{length}, rows, DType::i64},
              {"places", {samples}, places, DType::i64},
              {"transform", {3, v.columns}, random.normal({3, v.columns}), DType::f32},
              {"counters", stacked ? Shape{copies, 4} : Shape{4}, counters, DType::i64}};
  c.outputs = {{"out", stacked ? Shape{copies, batch, v.columns} : Shape{batch, v.columns}, v.transform ? 3.0 : 1.0}};
  c.outputs[0].roundoffs_f64 = std::ldexp(c.outputs[0].roundoffs, 29);  // calculated in f32
  c.outputs[0].roundoffs_bf16 = rounded_once;
  c.dtypes = activation_dtypes;
  c.run = [v](const Device& device, auto& in, auto& out) {
    const kernels::StoredFeatures features(in[0], v.places ? ConstView(in[2]) : ConstView(),
                                           v.transform ? ConstView(in[3]) : ConstView(), static_cast<float>(v.bound));
    if (v.after >= 0) return kernels::fetch_features(device, features, in[1], out[0], in[4], v.after);
    kernels::gather_features(device, features, in[1], out[0], v.replicas > 0 ? ConstView(in[4]) : ConstView());
  };
  c.reference = [v](auto& in, auto&) { return std::vector<Expected>{expected(v, in)}; };
  return c;
}

const bool registered = register_cases("gather_features", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const DType stored : {DType::f32, DType::bf16, DType::f16, DType::u8}) {
    for (const std::int64_t columns : {1, 33, 64, 1025}) {
      cases.push_back(case_of({stored, columns, false, true, 0}, random));
    }
    cases.push_back(case_of({stored, 33, true, false, 0}, random));
    cases.push_back(case_of({stored, 32, true, false, 3}, random));
    cases.push_back(case_of({stored, 64, true, true, 1, 0.75}, random));
    cases.push_back(case_of({stored, 300, true, true, 3, 0.75}, random));
    cases.push_back(case_of({stored, 7, false, false, 3}, random));
  }
  return cases;
});

const bool fetches_registered = register_cases("fetch_features", [](Random& random) {
  constexpr double unbounded = std::numeric_limits<double>::infinity();
  std::vector<KernelCase> cases;
  for (const DType stored : {DType::f32, DType::bf16, DType::f16, DType::u8}) {
    for (const std::int64_t after : {std::int64_t{0}, batch, order_length - 5}) {
      cases.push_back(case_of({stored, 33, true, true, 1, 0.75, after}, random));
      cases.push_back(case_of({stored, 64, false, true, 3, unbounded, after}, random));
      cases.push_back(case_of({stored, 32, false, false, 3, unbounded, after}, random));
    }
    cases.push_back(case_of({stored, 1025, true, false, 2, unbounded, batch}, random));
  }
  return cases;
});

TEST(FetchFeatures, OutsideOfTheOrderIsRefused) {
  for (const Device& device : devices()) {
    const Tensor table = Tensor::zeros({4, 3}, DType::f32, device), order = Tensor::zeros({6}, DType::i64, device);
    const Tensor counters = Tensor::zeros({4}, DType::i64, device);
    Tensor out({2, 3}, DType::f32, device);
    EXPECT_NO_THROW(kernels::fetch_features(device, table, order, out, counters, 6));
    EXPECT_THROW(kernels::fetch_features(device, table, order, out, counters, 7), ValueError);
    EXPECT_THROW(kernels::fetch_features(device, table, order, out, counters, -1), ValueError);
    EXPECT_THROW(kernels::fetch_features(device, table, order, out, {}, 0), Error);
  }
}

TEST(GatherFeatures, NotANumberStaysOneAndInfinityIsClipped) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const Device& device : devices()) {
    const Tensor table = Tensor::from(std::vector<float>{NAN, infinity, -infinity, 1}, {1, 4}, device);
    const Tensor plain = Tensor::from(std::vector<float>{0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0}, {3, 4}, device);
    const Tensor row = Tensor::zeros({1}, DType::i64, device);
    Tensor out({1, 4}, DType::f32, device);
    kernels::gather_features(device, {table, {}, plain, 2}, row, out);
    const std::vector<float> values = out.to_vector<float>();
    EXPECT_TRUE(std::isnan(values[0])) << device.name();
    EXPECT_EQ(std::vector<float>(values.begin() + 1, values.end()), (std::vector<float>{2, -2, 1})) << device.name();
  }
}

/// Bit for bit, whatever the numbers are, in whole vectors and behind them: the processor's own instruction, where
/// there is one, makes zeros of small ones.
TEST(GatherFeatures, RoundsToBf16AsToBfloat16Does) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> special = {0,         -0.0F, 1e-40F,      -1e-40F,     1e-45F,  1.1754944e-38F, infinity,
                                      -infinity, NAN,   1.00390625F, 1.01171875F, 3.4e38F, -3.4028235e38F, 0.1F};
  constexpr std::int64_t columns = 101, rows = 3;
  std::vector<float> values;
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    const auto at = static_cast<std::size_t>(i);
    // One row of ordinary numbers, one of special ones, one that is mixed.
    const bool ordinary = i < columns || (i >= 2 * columns && i % 20 != 0);
    values.push_back(ordinary ? 0.37F * static_cast<float>(i - 150) : special[at % special.size()]);
  }
  for (const Device& device : devices()) {
    const Tensor table = Tensor::from(values, {rows, columns}, device);
    const Tensor order = Tensor::from(std::vector<std::int64_t>{2, 0, 1}, {rows}, device);
    Tensor out({rows, columns}, DType::bf16, device);
    kernels::gather_features(device, {table}, order, out);
    const std::vector<bfloat16> found = out.to_vector<bfloat16>();
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t from = std::vector<std::int64_t>{2, 0, 1}[static_cast<std::size_t>(r)];
      for (std::int64_t j = 0; j < columns; ++j) {
        const float value = values[static_cast<std::size_t>(from * columns + j)];
        ASSERT_EQ(found[static_cast<std::size_t>(r * columns + j)].bits, to_bfloat16(value).bits)
            << device.name() << ", " << value << " in column " << j;
      }
    }
  }
}

}  // namespace
}  // namespace rtl::test
