#include "rtl/kernels/pointwise.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/devices.hpp"
#include "support/elementwise_cases.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::BinaryOp;
using kernels::UnaryOp;

Reals map(const Reals& x, long double (*f)(long double)) {
  Reals y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = f(x[i]);
  return y;
}

KernelCase unary_case(const UnaryCase& facts, const Shape& shape, const std::string& label, Random& random) {
  KernelCase c;
  c.label = std::string(facts.name) + label;
  c.inputs = {{"x", shape, random.uniform(shape, facts.inputs.low, facts.inputs.high)}};
  c.outputs = {{"y", shape, facts.roundoffs}};
  c.outputs[0].roundoffs_bf16 = rounded_once_unless_exact(facts.roundoffs);
  c.dtypes = activation_dtypes;
  c.run = [op = unary_op(facts.name)](const Device& device, auto& in, auto& out) {
    kernels::unary(device, op, in[0], out[0]);
  };
  c.reference = [exact = facts.exact](auto& in, auto&) { return std::vector<Expected>{{map(in[0], exact)}}; };
  c.in_place = {{0, 0}};
  return c;
}

const bool unary_registered = register_cases("unary", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const UnaryCase& facts : unary_cases) cases.push_back(unary_case(facts, {33}, "", random));
  const UnaryCase& relu = case_of(unary_cases, "relu");
  for (const std::int64_t size : odd_sizes) {
    cases.push_back(unary_case(relu, {size}, fmt::format("_{}", size), random));
  }
  cases.push_back(unary_case(relu, {2, 0, 3}, "_empty", random));
  cases.push_back(unary_case(relu, {130, 150}, "_shared_by_threads", random));

  // Far tails and what is no number, in the middle of ordinary ones; 2000 overflows every dtype.
  for (const char* name : {"exp", "sigmoid"}) {
    const UnaryCase& facts = case_of(unary_cases, name);
    KernelCase extremes = unary_case(facts, {100}, "_extremes", random);
    const Reals odd = {NAN, INFINITY, -INFINITY, 2000, -2000, -87.2L, -90, -103.5L, -708.5L, -740, 0, -0.0L};
    for (std::size_t i = 0; i < odd.size(); ++i) extremes.inputs[0].values[20 + 5 * i] = odd[i];
    extremes.reference = [exact = facts.exact](auto& in, auto&) {
      Reals y = map(in[0], exact);
      for (std::size_t i = 0; i < y.size(); ++i) {
        if (y[i] > 1 && in[0][i] > 1000) y[i] = INFINITY;
      }
      return std::vector<Expected>{{y}};
    };
    cases.push_back(extremes);
  }

  KernelCase strided = unary_case(case_of(unary_cases, "negate"), {5, 7, 3}, "_permuted", random);
  strided.in_place.clear();
  strided.outputs[0].shape = {3, 5, 7};
  strided.run = [](const Device& device, auto& in, auto& out) {
    kernels::unary(device, UnaryOp::negate, in[0].permuted({2, 0, 1}), out[0]);
  };
  strided.reference = [](auto& in, auto&) {
    Reals y;
    for (std::size_t k = 0; k < 3; ++k) {
      for (std::size_t i = 0; i < 35; ++i) y.push_back(-in[0][i * 3 + k]);
    }
    return std::vector<Expected>{{y}};
  };
  cases.push_back(strided);

  const UnaryCase copy{"copy", [](Real x) { return x; }, nullptr, 0};
  cases.push_back(unary_case(copy, {33}, "", random));
  cases.push_back(unary_case(copy, {}, "_scalar", random));
  KernelCase into = unary_case(copy, {4, 5}, "_into_slice", random);
  into.in_place.clear();
  into.outputs[0] = {"y", {4, 9}, 0, 0, random.normal({4, 9})};
  into.run = [](const Device& device, auto& in, auto& out) {
    kernels::unary(device, UnaryOp::copy, in[0], out[0].slice(1, 2, 7));
  };
  into.reference = [](auto& in, auto& initial) {
    Reals y = initial[0];
    for (std::size_t i = 0; i < 20; ++i) y[i / 5 * 9 + 2 + i % 5] = in[0][i];
    return std::vector<Expected>{{y}};
  };
  cases.push_back(into);
  return cases;
});

/// y [rows, columns] = op(a, b) with a and b of the given shapes, each [rows or 1, columns or 1] or [columns].
KernelCase binary_case(const BinaryCase& facts, const Shape& a, const Shape& b, const Shape& y,
                       const std::string& label, Random& random) {
  KernelCase c;
  c.label = std::string(facts.name) + label;
  c.inputs = {{"a", a, random.normal(a)}, {"b", b, random.normal(b)}};
  c.outputs = {{"y", y, facts.roundoffs}};
  c.outputs[0].roundoffs_bf16 = rounded_once_unless_exact(facts.roundoffs);
  c.dtypes = activation_dtypes;
  c.run = [op = binary_op(facts.name)](const Device& device, auto& in, auto& out) {
    kernels::binary(device, op, in[0], in[1], out[0]);
  };
  const std::int64_t columns = y.rank() > 0 ? y[-1] : 1;
  const auto at = [columns](const Shape& shape, const Reals& values, std::int64_t i) {
    const std::int64_t wide = shape.rank() > 0 ? shape[-1] : 1, high = shape.rank() > 1 ? shape[-2] : 1;
    const std::int64_t row = high == 1 ? 0 : i / columns, column = wide == 1 ? 0 : i % columns;
    return values[static_cast<std::size_t>(row * wide + column)];
  };
  c.reference = [=, exact = facts.exact, of_second = facts.of_second](auto& in, auto&) {
    Expected expected;
    for (std::int64_t i = 0; i < y.count(); ++i) {
      const long double left = at(a, in[0], i), right = at(b, in[1], i);
      expected.value.push_back(exact(left, right));
      if (of_second) expected.scale.push_back(1.13L * std::fabs(right));
    }
    return std::vector<Expected>{expected};
  };
  if (a == y) c.in_place.push_back({0, 0});
  return c;
}

const bool binary_registered = register_cases("binary", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const BinaryCase& facts : binary_cases) cases.push_back(binary_case(facts, {33}, {33}, {33}, "", random));
  const BinaryCase &add = case_of(binary_cases, "add"), &multiply = case_of(binary_cases, "multiply");
  for (const std::int64_t size : odd_sizes) {
    cases.push_back(binary_case(add, {3, size}, {size}, {3, size}, fmt::format("_row_{}", size), random));
    cases.push_back(binary_case(case_of(binary_cases, "divide"), {size, 1}, {1, 7}, {size, 7},
                                fmt::format("_outer_{}", size), random));
  }
  cases.push_back(binary_case(multiply, {31, 33}, {}, {31, 33}, "_by_scalar", random));
  cases.push_back(binary_case(case_of(binary_cases, "subtract"), {}, {5, 3}, {5, 3}, "_from_scalar", random));
  cases.push_back(binary_case(add, {0, 3}, {3}, {0, 3}, "_empty", random));
  cases.push_back(binary_case(multiply, {150, 131}, {150, 1}, {150, 131}, "_shared_by_threads", random));
  // Activations have rows of vectors of their own.
  for (const BinaryCase& facts : binary_cases) {
    cases.push_back(binary_case(facts, {31, 33}, {31, 33}, {31, 33}, "_rows", random));
    cases.push_back(binary_case(facts, {31, 1}, {1, 33}, {31, 33}, "_broadcast", random));
  }
  return cases;
});

const bool scale_add_registered = register_cases("scale_add", [](Random& random) {
  std::vector<KernelCase> cases;
  const auto add = [&](const Shape& shape, double alpha, double beta, const std::string& label) {
    KernelCase c;
    c.label = label;
    c.inputs = {{"x", shape, random.normal(shape)}};
    // The factors are rounded to the dtype, then a product each and the sum.
    c.outputs = {{"y", shape, 3, 0, beta == 0 ? Reals() : random.normal(shape)}};
    c.outputs[0].roundoffs_bf16 = rounded_once;
    c.dtypes = activation_dtypes;
    c.run = [=](const Device& device, auto& in, auto& out) { kernels::scale_add(device, alpha, in[0], beta, out[0]); };
    c.reference = [=](auto& in, auto& initial) {
      Expected y;
      for (std::size_t i = 0; i < in[0].size(); ++i) {
        const long double first = alpha * in[0][i], second = beta == 0 ? 0 : beta * initial[0][i];
        y.value.push_back(first + second);
        y.scale.push_back(std::fabs(first) + std::fabs(second));
      }
      return std::vector<Expected>{y};
    };
    cases.push_back(c);
  };
  for (const std::int64_t size : odd_sizes) {
    add({size}, 0.3, -1.7, std::to_string(size));
    add({size}, -0.7, 0, fmt::format("over_poison_{}", size));
  }
  add({0}, 1, 1, "empty");
  return cases;
});

const std::vector<DType> all_dtypes = {DType::f32, DType::f64, DType::bf16, DType::f16,
                                       DType::i32, DType::i64, DType::u8};

const bool fill_registered = register_cases("fill", [](Random&) {
  std::vector<KernelCase> cases;
  for (const std::int64_t size : {0, 1, 31, 33, 1025, 40001}) {
    for (const int value : {42, 0, -1}) {
      KernelCase c;
      c.label = fmt::format("{}{}", size, value == 0 ? "_zero" : value < 0 ? "_negative" : "");
      c.outputs = {{"y", {size}, 0}};
      c.run = [value](const Device& device, auto&, auto& out) { kernels::fill(device, value, out[0]); };
      c.reference = [=](auto&, auto&) { return std::vector<Expected>{{Reals(static_cast<std::size_t>(size), value)}}; };
      if (value >= 0) {
        c.dtypes = all_dtypes;
      } else {
        c.dtypes = {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i32, DType::i64};
      }
      cases.push_back(c);
    }
  }
  return cases;
});

TEST(Fill, KeepsTheSignOfZeroAndWritesNothingBesideIt) {
  for (const Device& device : devices()) {
    Tensor y({7, 5}, DType::f32, device);
    kernels::fill(device, -0.0, y);
    for (const float value : y.to_vector<float>()) EXPECT_TRUE(value == 0 && std::signbit(value));
    kernels::fill(device, 1, y);
    kernels::fill(device, 0, y.view().slice(1, 1, 3));
    const std::vector<float> values = y.to_vector<float>();
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], i % 5 == 1 || i % 5 == 2 ? 0 : 1);
  }
}

/// What a conversion should give: rounded once to nearest even, or truncated and saturated.
long double converted(long double x, DType to) {
  const auto clamped = [x](long double low, long double high) {
    return std::isnan(x) ? 0 : std::trunc(std::min(high, std::max(low, x)));
  };
  const auto rounded = [x](int digits, int lowest_exponent, long double overflow) {
    if (x == 0 || !std::isfinite(x)) return x;
    const int exponent = std::max(std::ilogb(x), lowest_exponent) - (digits - 1);
    const long double value = std::scalbn(std::nearbyint(std::scalbn(x, -exponent)), exponent);
    return std::fabs(value) >= overflow ? std::copysign(INFINITY, x) : value;
  };
  switch (to) {
    case DType::f32:
      return rounded(24, -126, 0x1p128L);
    case DType::f64:
      return static_cast<double>(x);
    case DType::bf16:
      return rounded(8, -126, 0x1p128L);
    case DType::f16:
      return rounded(11, -14, 0x1p16L);
    case DType::i32:
      return clamped(INT32_MIN, INT32_MAX);
    case DType::i64:
      return clamped(INT64_MIN, INT64_MAX);
    case DType::u8:
      return clamped(0, 255);
  }
  return 0;
}

const bool cast_registered = register_cases("cast", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const DType from : all_dtypes) {
    for (const DType to : all_dtypes) {
      KernelCase c;
      c.label = std::string(rtl::name_of(from)) + "_to_" + std::string(rtl::name_of(to));
      const bool floating = is_floating(from);
      Reals values = floating ? random.normal({33}, 0, 1e3) : random.below({33}, from == DType::u8 ? 256 : 60000);
      if (floating) {
        // Ties and near-ties of the 16-bit types, subnormals, overflow, and what is no number.
        for (const long double x : {1.00390625L, 1.01171875L, 1.00390626L, 1.00048828125L, 1.000488281251L, 1e-6L,
                                    1e-41L, 65519.9L, 65520.0L, 1e30L, -1e30L, 0.5L, -1.5L, 255.9L, 256.0L}) {
          values.push_back(x);
        }
        values.insert(values.end(), {NAN, INFINITY, -INFINITY, -0.0L});
      } else if (from == DType::i64) {
        for (const std::int64_t x : {INT64_MIN, INT64_MAX, std::int64_t{16908289}, (std::int64_t{1} << 53) + 1,
                                     (std::int64_t{0x101} << 50) + 1, std::int64_t{-70000}}) {
          values.push_back(static_cast<long double>(x));
        }
      }
      const Shape shape{static_cast<std::int64_t>(values.size())};
      c.inputs = {{"x", shape, values, from}};
      c.outputs = {{"y", shape, 0, 0, {}, to}};
      c.dtypes = {to};
      c.run = [](const Device& device, auto& in, auto& out) { kernels::cast(device, in[0], out[0]); };
      c.reference = [to](auto& in, auto&) {
        Reals y;
        for (const long double x : in[0]) y.push_back(converted(x, to));
        return std::vector<Expected>{{y}};
      };
      cases.push_back(c);
    }
  }
  return cases;
});

/// Cases of an operation on two tensors of one shape.
template <typename Run, typename Exact>
std::vector<KernelCase> pair_cases(Random& random, const char* first, const char* second, const char* result,
                                   double roundoffs, Run run, Exact exact) {
  std::vector<KernelCase> cases;
  for (const std::int64_t size : {0, 1, 31, 33, 1025, 20011}) {
    KernelCase c;
    c.label = std::to_string(size);
    c.inputs = {{first, {size}, random.normal({size})}, {second, {size}, random.normal({size})}};
    c.outputs = {{result, {size}, roundoffs}};
    c.outputs[0].roundoffs_bf16 = rounded_once_unless_exact(roundoffs);
    c.dtypes = activation_dtypes;
    c.run = run;
    c.reference = [exact](auto& in, auto&) {
      Reals y;
      for (std::size_t i = 0; i < in[0].size(); ++i) y.push_back(exact(in[0][i], in[1][i]));
      return std::vector<Expected>{{y}};
    };
    c.in_place = {{0, 1}};
    cases.push_back(c);
  }
  return cases;
}

const bool add_relu_registered = register_cases("add_relu", [](Random& random) {
  return pair_cases(
      random, "a", "b", "y", 1,
      [](const Device& device, auto& in, auto& out) { kernels::add_relu(device, in[0], in[1], out[0]); },
      [](long double a, long double b) { return a + b > 0 ? a + b : 0; });
});

const bool relu_backward_registered = register_cases("relu_backward", [](Random& random) {
  return pair_cases(
      random, "y", "dy", "dx", 0,
      [](const Device& device, auto& in, auto& out) { kernels::relu_backward(device, in[0], in[1], out[0]); },
      [](long double y, long double dy) { return y > 0 ? dy : 0; });
});

TEST(Pointwise, NanGoesThroughReluMaximumAndMinimum) {
  for (const Device& device : devices_and_threads()) {
    const Tensor x = Tensor::from(std::vector<float>{NAN, -1, 2}, {3}, device);
    const Tensor zero = Tensor::from(std::vector<float>{0, NAN, 0}, {3}, device);
    Tensor y({3}, DType::f32, device);
    kernels::unary(device, UnaryOp::relu, x, y);
    EXPECT_TRUE(std::isnan(y.to_vector<float>()[0]));
    for (const BinaryOp op : {BinaryOp::maximum, BinaryOp::minimum}) {
      kernels::binary(device, op, x, zero, y);
      EXPECT_TRUE(std::isnan(y.to_vector<float>()[0]));
      EXPECT_TRUE(std::isnan(y.to_vector<float>()[1]));
      EXPECT_EQ(y.to_vector<float>()[2], op == BinaryOp::maximum ? 2 : 0);
    }
  }
}

TEST(Pointwise, Bfloat16GivesWhatF32GivesForEveryValueRoundedOnce) {
  std::vector<bfloat16> narrow, other;
  std::vector<float> wide, other_wide;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    narrow.push_back({static_cast<std::uint16_t>(bits)});
    other.push_back({static_cast<std::uint16_t>(bits * 40503)});
    wide.push_back(to_float(narrow.back()));
    other_wide.push_back(to_float(other.back()));
  }
  const Shape shape{static_cast<std::int64_t>(narrow.size())};
  for (const Device& device : devices_and_threads()) {
    const Tensor x = Tensor::from(narrow, shape, device), z = Tensor::from(other, shape, device);
    const Tensor x_wide = Tensor::from(wide, shape, device), z_wide = Tensor::from(other_wide, shape, device);
    Tensor y(shape, DType::bf16, device), y_wide(shape, DType::f32, device);
    const auto expect_same = [&](std::string_view name) {
      const std::vector<bfloat16> got = y.to_vector<bfloat16>();
      const std::vector<float> wanted = y_wide.to_vector<float>();
      for (std::size_t i = 0; i < got.size(); ++i) {
        const float value = to_float(got[i]), rounded = to_float(to_bfloat16(wanted[i]));
        const bool same =
            std::isnan(rounded) ? std::isnan(value) : value == rounded && std::signbit(value) == std::signbit(rounded);
        ASSERT_TRUE(same) << name << " of " << wide[i] << ", " << other_wide[i] << ": " << value << ", not " << rounded;
      }
    };
    for (const UnaryCase& facts : unary_cases) {
      kernels::unary(device, unary_op(facts.name), x, y);
      kernels::unary(device, unary_op(facts.name), x_wide, y_wide);
      expect_same(facts.name);
    }
    for (const BinaryCase& facts : binary_cases) {
      kernels::binary(device, binary_op(facts.name), x, z, y);
      kernels::binary(device, binary_op(facts.name), x_wide, z_wide, y_wide);
      expect_same(facts.name);
    }
    kernels::relu_backward(device, x, z, y);
    kernels::relu_backward(device, x_wide, z_wide, y_wide);
    expect_same("relu_backward");
    kernels::add_relu(device, x, z, y);
    kernels::add_relu(device, x_wide, z_wide, y_wide);
    expect_same("add_relu");
  }
}

}  // namespace
}  // namespace rtl::test
