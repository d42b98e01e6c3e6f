#include "rtl/kernels/reduce.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/devices.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::ReduceOp;

/// y's element that position i of x [a, b, c] belongs to.
std::size_t target_of(std::int64_t i, const Shape& x, const Shape& y) {
  std::int64_t index = 0, rest = i, place = 1;
  for (int axis = x.rank() - 1; axis >= 0; --axis) {
    const std::int64_t position = rest % x[axis];
    rest /= x[axis];
    index += (y[axis] == 1 ? 0 : position) * place;
    place *= y[axis];
  }
  return static_cast<std::size_t>(index);
}

Expected reduced(ReduceOp op, const Reals& x, const Shape& from, const Shape& to) {
  Expected y;
  const auto outputs = static_cast<std::size_t>(to.count());
  y.value.assign(outputs, op == ReduceOp::maximum ? -INFINITY : op == ReduceOp::minimum ? INFINITY : 0);
  y.scale.assign(outputs, 0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t at = target_of(static_cast<std::int64_t>(i), from, to);
    if (op == ReduceOp::maximum) {
      y.value[at] = std::max(y.value[at], x[i]);
    } else if (op == ReduceOp::minimum) {
      y.value[at] = std::min(y.value[at], x[i]);
    } else {
      y.value[at] += x[i];
      y.scale[at] += std::fabs(x[i]);
    }
  }
  if (op == ReduceOp::mean) {
    const long double share = static_cast<long double>(to.count()) / static_cast<long double>(from.count());
    for (std::size_t i = 0; i < outputs; ++i) {
      y.value[i] *= share;
      y.scale[i] *= share;
    }
  }
  return y;
}

KernelCase reduce_case(ReduceOp op, const char* name, const Shape& from, const Shape& to, const std::string& label,
                       Random& random) {
  KernelCase c;
  c.label = std::string(name) + "_" + label;
  c.inputs = {{"x", from, random.normal(from, 0.5)}};
  // f32 sums are accumulated in f64 and rounded once (a mean twice); f64 sums by partial sums whose errors add up like
  // a random walk.
  const double terms = static_cast<double>(from.count()) / static_cast<double>(std::max<std::int64_t>(1, to.count()));
  const bool exact = op == ReduceOp::maximum || op == ReduceOp::minimum;
  c.outputs = {{"y", to, exact ? 0.0 : 2.0, exact ? 0.0 : 2.0 + std::sqrt(terms)}};
  c.outputs[0].roundoffs_bf16 = exact ? 0 : rounded_once;
  c.dtypes = activation_dtypes;
  c.run = [op](const Device& device, auto& in, auto& out) { kernels::reduce(device, op, in[0], out[0]); };
  c.reference = [=](auto& in, auto&) { return std::vector<Expected>{reduced(op, in[0], from, to)}; };
  return c;
}

const bool reduce_registered = register_cases("reduce", [](Random& random) {
  std::vector<KernelCase> cases;
  const std::pair<ReduceOp, const char*> ops[] = {
      {ReduceOp::sum, "sum"}, {ReduceOp::mean, "mean"}, {ReduceOp::maximum, "maximum"}, {ReduceOp::minimum, "minimum"}};
  for (const auto& [op, name] : ops) {
    cases.push_back(reduce_case(op, name, {33, 31}, {33, 1}, "rows", random));
    cases.push_back(reduce_case(op, name, {33, 31}, {1, 31}, "columns", random));
    cases.push_back(reduce_case(op, name, {5, 7, 11}, {1, 7, 1}, "middle", random));
    cases.push_back(reduce_case(op, name, {5, 7, 11}, {5, 1, 11}, "outer", random));
    cases.push_back(reduce_case(op, name, {1025}, {1}, "all", random));
  }
  for (const std::int64_t size : odd_sizes) {
    cases.push_back(reduce_case(ReduceOp::sum, "sum", {size, 3}, {1, 3}, fmt::format("columns_{}", size), random));
    cases.push_back(reduce_case(ReduceOp::sum, "sum", {3, size}, {3, 1}, fmt::format("rows_{}", size), random));
  }
  cases.push_back(reduce_case(ReduceOp::sum, "sum", {4, 5}, {4, 5}, "nothing", random));
  cases.push_back(reduce_case(ReduceOp::sum, "sum", {3, 0, 2}, {3, 1, 2}, "over_no_elements", random));
  cases.push_back(reduce_case(ReduceOp::sum, "sum", {0, 3}, {0, 1}, "of_no_rows", random));
  cases.push_back(reduce_case(ReduceOp::sum, "sum", {30011, 3}, {1, 3}, "shared_by_threads", random));
  cases.push_back(reduce_case(ReduceOp::mean, "mean", {70001}, {1}, "shared_by_threads", random));
  KernelCase permuted = reduce_case(ReduceOp::sum, "sum", {13, 5}, {13, 1}, "strided", random);
  permuted.inputs[0].shape = {5, 13};
  permuted.run = [](const Device& device, auto& in, auto& out) {
    kernels::reduce(device, ReduceOp::sum, in[0].permuted({1, 0}), out[0]);
  };
  permuted.reference = [](auto& in, auto&) {
    Expected y = reduced(ReduceOp::sum, in[0], {5, 13}, {1, 13});
    return std::vector<Expected>{y};
  };
  cases.push_back(permuted);
  // Each also from bf16 into f32, which keeps the bounds of f32.
  const std::vector<KernelCase> of_one_dtype = cases;
  for (KernelCase c : of_one_dtype) {
    c.label += "_into_parameters";
    c.outputs[0].role = Role::parameter;
    c.outputs[0].roundoffs_bf16 = 0;
    c.dtypes = {DType::bf16};
    cases.push_back(c);
  }
  return cases;
});

const bool argmax_registered = register_cases("argmax_rows", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const std::int64_t columns : odd_sizes) {
    KernelCase c;
    c.label = std::to_string(columns);
    // Few distinct values, so that there are ties.
    Reals values = random.below({9, columns}, 5);
    if (columns > 1) {
      const auto put = [&](std::int64_t row, std::int64_t column, long double value) {
        values[static_cast<std::size_t>(row * columns + column)] = value;
      };
      put(1, columns / 2, NAN);
      put(2, columns - 1, NAN);
      put(3, columns / 2, -INFINITY);
      put(4, columns - 1, INFINITY);
      put(5, columns - 1, 7);
      for (std::int64_t c = 0; c < columns; ++c) put(6, c, -INFINITY);
    }
    c.inputs = {{"x", {9, columns}, values}};
    c.outputs = {{"indices", {9}, 0, 0, {}, DType::i32}};
    c.run = [](const Device& device, auto& in, auto& out) { kernels::argmax_rows(device, in[0], out[0]); };
    c.reference = [columns](auto& in, auto&) {
      Reals best(9, 0);
      for (std::size_t row = 0; row < 9; ++row) {
        const auto at = [&](long double column) {
          return in[0][row * static_cast<std::size_t>(columns) + static_cast<std::size_t>(column)];
        };
        for (std::int64_t j = 0; j < columns && !std::isnan(at(best[row])); ++j) {
          if (std::isnan(at(j)) || at(j) > at(best[row])) best[row] = j;
        }
      }
      return std::vector<Expected>{{best}};
    };
    cases.push_back(c);
  }
  return cases;
});

const bool moments_registered = register_cases("column_moments", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const auto& [rows, columns, mean] : {std::tuple<std::int64_t, std::int64_t, double>{1, 3, 0},
                                            {33, 31, 0},
                                            {1025, 5, 1e4},
                                            {7, 1025, -3},
                                            {9001, 2, 1}}) {
    KernelCase c;
    c.label = std::to_string(rows) + "x" + std::to_string(columns);
    c.inputs = {{"x", {rows, columns}, random.normal({rows, columns}, mean)}};
    // Sums of f64 terms: errors add up like a random walk.
    const double roundoffs = 4 + std::sqrt(static_cast<double>(rows));
    c.outputs = {{"mean", {columns}, roundoffs, 0, {}, DType::f64},
                 {"variance", {columns}, roundoffs, 0, {}, DType::f64}};
    c.run = [](const Device& device, auto& in, auto& out) { kernels::column_moments(device, in[0], out[0], out[1]); };
    c.reference = [rows = rows, columns = columns](auto& in, auto&) {
      Expected mean, variance;
      for (std::int64_t j = 0; j < columns; ++j) {
        long double sum = 0, magnitude = 0, squares = 0;
        const auto at = [&](std::int64_t i) { return in[0][static_cast<std::size_t>(i * columns + j)]; };
        for (std::int64_t i = 0; i < rows; ++i) {
          sum += at(i);
          magnitude += std::fabs(at(i));
        }
        for (std::int64_t i = 0; i < rows; ++i) squares += (at(i) - sum / rows) * (at(i) - sum / rows);
        mean.value.push_back(sum / rows);
        mean.scale.push_back(magnitude / rows);
        variance.value.push_back(squares / rows);
        // The mean's own rounding error moves the variance by its square.
        variance.scale.push_back(squares / rows + 0x1p-53L * magnitude * magnitude / rows / rows);
      }
      return std::vector<Expected>{mean, variance};
    };
    cases.push_back(c);
  }
  return cases;
});

const bool all_finite_covered = covered_by_plain_test("all_finite");

TEST(Reduce, AllFiniteFindsOneBadElementAnywhere) {
  for (const Device& device : devices_and_threads()) {
    SCOPED_TRACE(name_of(device));
    EXPECT_TRUE(kernels::all_finite(device, Tensor({0}, DType::f32, device)));
    for (const std::int64_t size : {1, 31, 33, 1025, 20011}) {
      for (const float bad : {NAN, INFINITY, -INFINITY}) {
        for (const std::int64_t at : {std::int64_t{0}, size / 2, size - 1}) {
          std::vector<float> values(static_cast<std::size_t>(size), 3e38F);
          EXPECT_TRUE(kernels::all_finite(device, Tensor::from(values, {size}, device)));
          values[static_cast<std::size_t>(at)] = bad;
          EXPECT_FALSE(kernels::all_finite(device, Tensor::from(values, {size}, device)));
          std::vector<bfloat16> narrow;
          std::vector<float16> half;
          for (const float value : values) {
            narrow.push_back(to_bfloat16(value));
            half.push_back(to_float16(value > 1 ? 6e4F : value));
          }
          EXPECT_FALSE(kernels::all_finite(device, Tensor::from(narrow, {size}, device)));
          EXPECT_FALSE(kernels::all_finite(device, Tensor::from(half, {size}, device)) && bad != INFINITY);
          const std::vector<double> wide(values.begin(), values.end());
          EXPECT_FALSE(kernels::all_finite(device, Tensor::from(wide, {size}, device)));
        }
      }
    }
  }
}

TEST(Reduce, NanPropagatesThroughMaximumAndMinimum) {
  for (const Device& device : devices_and_threads()) {
    std::vector<float> values(67, 1);
    values[40] = NAN;
    Tensor y({1}, DType::f32, device);
    for (const ReduceOp op : {ReduceOp::maximum, ReduceOp::minimum}) {
      kernels::reduce(device, op, Tensor::from(values, {67}, device), y);
      EXPECT_TRUE(std::isnan(y.item<float>()));
    }
  }
}

}  // namespace
}  // namespace rtl::test
