#include "rtl/kernels/sequence.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::RotaryPairs;

struct Sizes {
  std::int64_t sequences, positions, columns;
  std::string name() const { return fmt::format("{}x{}x{}", sequences, positions, columns); }
  std::size_t n() const { return static_cast<std::size_t>(sequences); }
  std::size_t t() const { return static_cast<std::size_t>(positions); }
  std::size_t c() const { return static_cast<std::size_t>(columns); }
};
const std::vector<Sizes> all_sizes = {{1, 1, 1}, {5, 7, 33}, {3, 31, 64}, {33, 3, 1}, {2, 65, 130}, {0, 4, 3}};

const bool lengths_registered = register_cases("sequence_lengths", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Sizes& s : all_sizes) {
    KernelCase c;
    c.label = s.name();
    const Shape shape{s.sequences, s.positions};
    Reals ids = random.below(shape, 1000);
    const Reals lengths = random.below({s.sequences}, static_cast<std::uint64_t>(s.positions) + 1);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::size_t n = i / s.t(), t = i % s.t();
      if (static_cast<long double>(t) >= lengths[n]) ids[i] = -1;
    }
    c.inputs = {{"ids", shape, ids, DType::i32}};
    c.outputs = {{"lengths", {s.sequences}, 0, 0, {}, DType::i32}};
    c.dtypes = {DType::f32};
    c.run = [](const Device& device, auto& in, auto& out) { kernels::sequence_lengths(device, in[0], out[0]); };
    c.reference = [lengths](auto&, auto&) { return std::vector<Expected>{{lengths}}; };
    cases.push_back(c);
  }
  return cases;
});

/// Lengths of all kinds: whole, none, too large, negative.
Reals some_lengths(const Sizes& s, Random& random) {
  Reals lengths = random.below({s.sequences}, static_cast<std::uint64_t>(s.positions) + 1);
  if (s.n() > 2) {
    lengths[0] = 0;
    lengths[1] = static_cast<long double>(s.positions) + 3;
    lengths[2] = -2;
  }
  return lengths;
}

std::size_t used(const Reals& lengths, std::size_t n, const Sizes& s, bool given) {
  if (!given) return s.t();
  const long double most = static_cast<long double>(s.positions);
  return static_cast<std::size_t>(std::min(std::max(lengths[n], 0.0L), most));
}

const bool mean_registered = register_cases("sequence_mean", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Sizes& s : all_sizes) {
    for (const bool given : {true, false}) {
      for (const bool wide : {true, false}) {
        KernelCase c;
        c.label = s.name() + (given ? "_lengths" : "") + (wide ? "_wide" : "");
        const Shape shape{s.sequences, s.positions, s.columns};
        c.inputs = {{"x", shape, random.normal(shape)},
                    {"lengths", {s.sequences}, some_lengths(s, random), DType::i32}};
        c.outputs = {{"y", {s.sequences, s.columns}, 66}};
        if (wide) c.outputs[0].role = Role::parameter;
        c.outputs[0].roundoffs_bf16 = wide ? 66 : rounded_once;
        c.dtypes = activation_dtypes;
        c.run = [given](const Device& device, auto& in, auto& out) {
          kernels::sequence_mean(device, in[0], given ? ConstView(in[1]) : ConstView(), out[0]);
        };
        c.reference = [s, given](auto& in, auto&) {
          Expected y;
          for (std::size_t n = 0; n < s.n(); ++n) {
            const std::size_t length = used(in[1], n, s, given);
            for (std::size_t k = 0; k < s.c(); ++k) {
              long double sum = 0, magnitudes = 0;
              for (std::size_t t = 0; t < length; ++t) {
                const long double value = in[0][(n * s.t() + t) * s.c() + k];
                sum += value;
                magnitudes += std::fabs(value);
              }
              const auto count = static_cast<long double>(std::max<std::size_t>(length, 1));
              y.value.push_back(sum / count);
              y.scale.push_back(magnitudes / count);
            }
          }
          return std::vector<Expected>{y};
        };
        cases.push_back(c);
      }
    }
  }
  return cases;
});

const bool mean_backward_registered = register_cases("sequence_mean_backward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Sizes& s : all_sizes) {
    for (const bool given : {true, false}) {
      KernelCase c;
      c.label = s.name() + (given ? "_lengths" : "");
      const Shape pooled{s.sequences, s.columns};
      c.inputs = {{"dy", pooled, random.normal(pooled), {}, Role::parameter},
                  {"lengths", {s.sequences}, some_lengths(s, random), DType::i32}};
      c.outputs = {{"dx", {s.sequences, s.positions, s.columns}, 1}};
      c.outputs[0].roundoffs_bf16 = rounded_once;
      c.dtypes = activation_dtypes;
      c.run = [given](const Device& device, auto& in, auto& out) {
        kernels::sequence_mean_backward(device, in[0], given ? ConstView(in[1]) : ConstView(), out[0]);
      };
      c.reference = [s, given](auto& in, auto&) {
        Expected dx;
        for (std::size_t i = 0; i < s.n() * s.t() * s.c(); ++i) {
          const std::size_t n = i / (s.t() * s.c()), t = i / s.c() % s.t(), length = used(in[1], n, s, given);
          dx.value.push_back(t < length ? in[0][n * s.c() + i % s.c()] / static_cast<long double>(length) : 0);
        }
        return std::vector<Expected>{dx};
      };
      cases.push_back(c);
    }
  }
  return cases;
});

const bool rotary_registered = register_cases("rotate_positions", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const auto& [shape, heads] : {std::pair(Shape{1, 1, 1, 2}, 1), std::pair(Shape{2, 7, 3, 6}, 2),
                                     std::pair(Shape{3, 5, 4, 64}, 4), std::pair(Shape{2, 33, 5, 10}, 0)}) {
    for (const RotaryPairs pairs : {RotaryPairs::interleaved, RotaryPairs::halves}) {
      for (const bool back : {false, true}) {
        KernelCase c;
        c.label = fmt::format("{}x{}x{}x{}{}{}", shape[0], shape[1], shape[2], shape[3],
                              pairs == RotaryPairs::halves ? "_halves" : "", back ? "_back" : "");
        const Shape table{shape[1] + 2, shape[3] / 2};
        Reals cosines, sines;
        for (const long double angle : random.uniform(table, -3, 3)) {
          cosines.push_back(std::cos(angle));
          sines.push_back(std::sin(angle));
        }
        c.inputs = {{"x", shape, random.normal(shape)},
                    {"cosines", table, cosines, {}, Role::parameter},
                    {"sines", table, sines, {}, Role::parameter}};
        c.outputs = {{"y", shape, 3}};
        c.outputs[0].roundoffs_bf16 = rounded_once;
        c.dtypes = activation_dtypes;
        c.in_place = {{0, 0}};
        c.run = [pairs, back, count = heads](const Device& device, auto& in, auto& out) {
          kernels::rotate_positions(device, in[0], in[1], in[2], pairs, count, back, out[0]);
        };
        c.reference = [=, count = heads](auto& in, auto&) {
          Expected y{in[0], {}};
          for (const long double value : in[0]) y.scale.push_back(std::fabs(value));
          const auto size = static_cast<std::size_t>(shape[3]), half = size / 2;
          for (std::size_t line = 0; line < in[0].size() / size; ++line) {
            const auto all = static_cast<std::size_t>(shape[2]);
            if (line % all >= static_cast<std::size_t>(count)) continue;
            const std::size_t position = line / all % static_cast<std::size_t>(shape[1]);
            for (std::size_t i = 0; i < half; ++i) {
              const bool halves = pairs == RotaryPairs::halves;
              const std::size_t first = line * size + (halves ? i : 2 * i), second = first + (halves ? half : 1);
              const long double a = in[0][first], b = in[0][second], cosine = in[1][position * half + i];
              const long double sine = (back ? -1 : 1) * in[2][position * half + i];
              y.value[first] = a * cosine - b * sine;
              y.value[second] = b * cosine + a * sine;
              y.scale[first] = y.scale[second] = std::fabs(a) + std::fabs(b);
            }
          }
          return std::vector<Expected>{y};
        };
        cases.push_back(c);
      }
    }
  }
  return cases;
});

TEST(Sequence, FaultsNameShapesAndRemedies) {
  const Device device = Device::cpu(1);
  const auto zeros = [&](const Shape& shape, DType dtype) { return Tensor::zeros(shape, dtype, device); };
  const Tensor ids = zeros({2, 5}, DType::i32), x = zeros({2, 5, 3}, DType::f32),
               heads = zeros({2, 5, 2, 4}, DType::f32);
  Tensor lengths = zeros({2}, DType::i32), y = zeros({2, 3}, DType::f32), turned = zeros({2, 5, 2, 4}, DType::f32);
  Tensor wrong = zeros({3}, DType::i32), table = zeros({5, 2}, DType::f32), odd = zeros({2, 5, 2, 3}, DType::f32);
  EXPECT_THROW(kernels::sequence_lengths(device, ids, wrong), ShapeError);
  EXPECT_THROW(kernels::sequence_lengths(device, x, lengths), DTypeError);
  EXPECT_THROW(kernels::sequence_mean(device, x, wrong, y), ShapeError);
  EXPECT_THROW(kernels::sequence_mean(device, x, lengths, lengths), ShapeError);
  EXPECT_THROW(kernels::sequence_mean_backward(device, y, lengths, zeros({2, 5, 4}, DType::f32).view()), ShapeError);
  const auto turn = [&](const Tensor& from, const Tensor& angles, std::int64_t count, Tensor& to) {
    kernels::rotate_positions(device, from, angles, angles, RotaryPairs::halves, count, false, to);
  };
  EXPECT_THROW(turn(heads, zeros({4, 2}, DType::f32), 2, turned), ShapeError);
  EXPECT_THROW(turn(heads, table, 3, turned), ValueError);
  EXPECT_THROW(turn(odd, table, 2, odd), ValueError);
  EXPECT_THROW(turn(heads, table, 2, odd), ShapeError);
}

}  // namespace
}  // namespace rtl::test
