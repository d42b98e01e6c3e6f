#include "rtl/kernels/attention.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "rtl/core/random.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "support/devices.hpp"
#include "support/guarded.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::AttentionOptions;

struct Sizes {
  std::size_t sequences, queries, keys, heads, groups, size;
  bool causal = false, padded = false, packed = false;
  double dropout = 0, scale = 0;
  std::string name() const {
    return fmt::format("{}x{}x{}_heads_{}_of_{}_by_{}{}{}{}{}{}", sequences, queries, keys, heads, groups, size,
                       causal ? "_causal" : "", padded ? "_padded" : "", packed ? "_packed" : "",
                       dropout > 0 ? "_dropout" : "", scale < 0 ? "_negative_scale" : "");
  }
  AttentionOptions options() const { return {.scale = scale, .causal = causal, .dropout = dropout, .name = 77}; }
  long double factor() const { return scale != 0 ? scale : 1 / std::sqrt(static_cast<long double>(size)); }
  Shape query_shape() const { return shape(queries, heads); }
  Shape key_shape() const { return shape(keys, groups); }
  Shape shape(std::size_t positions, std::size_t count) const {
    const auto n = [](std::size_t extent) { return static_cast<std::int64_t>(extent); };
    return {n(sequences), n(positions), n(count), n(size)};
  }
  Shape sums_shape() const {
    return {static_cast<std::int64_t>(sequences), static_cast<std::int64_t>(heads), static_cast<std::int64_t>(queries)};
  }
};

const std::vector<Sizes> all_sizes = {{1, 1, 1, 1, 1, 1},
                                      {2, 5, 7, 2, 2, 3},
                                      {1, 65, 65, 3, 1, 8, true},
                                      {3, 31, 31, 4, 2, 16, true, true, true},
                                      {2, 64, 64, 4, 4, 32, false, true, true},
                                      {2, 33, 33, 2, 1, 7, false, true, false, 0.3},
                                      {1, 130, 150, 2, 2, 33, true, false, false, 0.1},
                                      {1, 3, 600, 1, 1, 64, false, false, false, 0, 0.05},
                                      {1, 150, 3, 2, 1, 5, true},
                                      {1, 4, 9, 1, 1, 256},
                                      {2, 6, 6, 2, 2, 20, false, false, true, 0, -0.4}};

/// Everything about one case in extended precision, with the whole matrix of weights.
class Exact {
 public:
  /// in: q, k, v, lengths, counters.
  Exact(const Sizes& s, const std::vector<Reals>& in) : s_(s), in_(in) {
    for (std::size_t n = 0; n < s.sequences; ++n) {
      for (std::size_t h = 0; h < s.heads; ++h) {
        for (std::size_t i = 0; i < s.queries; ++i) add_row(n, h, i);
      }
    }
  }
  std::size_t key_at(std::size_t n, std::size_t j, std::size_t h) const {
    return ((n * s_.keys + j) * s_.groups + h / (s_.heads / s_.groups)) * s_.size;
  }
  std::size_t query_at(std::size_t n, std::size_t i, std::size_t h) const {
    return ((n * s_.queries + i) * s_.heads + h) * s_.size;
  }
  std::size_t row(std::size_t n, std::size_t h, std::size_t i) const { return (n * s_.heads + h) * s_.queries + i; }
  /// exp(score - log_sum_exp), 0 for a hidden key.
  long double weight(std::size_t row, std::size_t j) const { return weights_[row * s_.keys + j]; }
  /// What dropout multiplies the weight by.
  long double kept(std::size_t row, std::size_t j) const {
    if (s_.dropout == 0) return 1;
    const Philox philox(static_cast<std::uint64_t>(in_[4][0]), mix(77, static_cast<std::uint64_t>(in_[4][1])));
    return static_cast<double>(philox.uniform(row * s_.keys + j)) >= s_.dropout ? 1 / (1 - s_.dropout) : 0;
  }
  /// Of the magnitudes that the row's scores are sums of.
  long double spread(std::size_t row) const { return 1 + spreads_[row]; }

  Expected out() const {
    Expected out{Reals(in_[0].size(), 0), Reals(in_[0].size(), 0)};
    for_weights([&](std::size_t n, std::size_t h, std::size_t i, std::size_t j, std::size_t r, std::size_t d) {
      const long double part = weight(r, j) * kept(r, j) * in_[2][key_at(n, j, h) + d];
      out.value[query_at(n, i, h) + d] += part;
      out.scale[query_at(n, i, h) + d] += std::fabs(part) * spread(r);
    });
    return out;
  }
  Expected log_sum_exp() const {
    Expected e{sums_, {}};
    for (std::size_t r = 0; r < sums_.size(); ++r) e.scale.push_back(spread(r));
    return e;
  }
  /// Gradients of q, k and v for gradients of out, and out as it was stored.
  std::vector<Expected> gradients(const Reals& out, const Reals& dout) const {
    std::vector<Expected> g;
    for (std::size_t t = 0; t < 3; ++t) g.push_back({Reals(in_[t].size(), 0), Reals(in_[t].size(), 0)});
    for (std::size_t n = 0; n < s_.sequences; ++n) {
      for (std::size_t h = 0; h < s_.heads; ++h) {
        for (std::size_t i = 0; i < s_.queries; ++i) add_gradients(n, h, i, out, dout, g);
      }
    }
    return g;
  }

 private:
  void add_row(std::size_t n, std::size_t h, std::size_t i) {
    std::size_t visible = s_.keys;
    if (s_.padded) visible = std::min(visible, static_cast<std::size_t>(in_[3][n]));
    if (s_.causal) visible = i + s_.keys + 1 < s_.queries + 1 ? 0 : std::min(visible, i + s_.keys + 1 - s_.queries);
    Reals scores;
    long double sum = 0, spread = 0;
    for (std::size_t j = 0; j < visible; ++j) {
      long double score = 0, magnitudes = 0;
      for (std::size_t d = 0; d < s_.size; ++d) {
        const long double product = in_[0][query_at(n, i, h) + d] * in_[1][key_at(n, j, h) + d] * s_.factor();
        score += product;
        magnitudes += std::fabs(product);
      }
      scores.push_back(score);
      spread = std::max(spread, magnitudes);
      sum += std::exp(score);
    }
    sums_.push_back(visible == 0 ? -INFINITY : std::log(sum));
    spreads_.push_back(spread);
    for (std::size_t j = 0; j < s_.keys; ++j) weights_.push_back(j < visible ? std::exp(scores[j]) / sum : 0);
  }
  template <typename F>
  void for_weights(const F& f) const {
    for (std::size_t n = 0; n < s_.sequences; ++n) {
      for (std::size_t h = 0; h < s_.heads; ++h) {
        for (std::size_t i = 0; i < s_.queries; ++i) {
          for (std::size_t j = 0; j < s_.keys; ++j) {
            if (weight(row(n, h, i), j) == 0) continue;
            for (std::size_t d = 0; d < s_.size; ++d) f(n, h, i, j, row(n, h, i), d);
          }
        }
      }
    }
  }
  void add_gradients(std::size_t n, std::size_t h, std::size_t i, const Reals& out, const Reals& dout,
                     std::vector<Expected>& g) const {
    const std::size_t at = query_at(n, i, h), r = row(n, h, i);
    long double delta = 0, deltas = 0;
    for (std::size_t d = 0; d < s_.size; ++d) {
      delta += out[at + d] * dout[at + d];
      deltas += std::fabs(out[at + d] * dout[at + d]);
    }
    const auto add = [](Expected& sum, std::size_t place, long double value, long double scale) {
      sum.value[place] += value;
      sum.scale[place] += scale;
    };
    for (std::size_t j = 0; j < s_.keys; ++j) {
      const long double p = weight(r, j), keep = kept(r, j);
      if (p == 0) continue;
      const std::size_t key = key_at(n, j, h);
      long double product = 0, products = 0;
      for (std::size_t d = 0; d < s_.size; ++d) {
        product += dout[at + d] * in_[2][key + d] * keep;
        products += std::fabs(dout[at + d] * in_[2][key + d] * keep);
        add(g[2], key + d, p * keep * dout[at + d], std::fabs(p * keep * dout[at + d]) * spread(r));
      }
      const long double slope = p * (product - delta) * s_.factor();
      const long double slopes = p * (products + deltas) * std::fabs(s_.factor()) * spread(r);
      for (std::size_t d = 0; d < s_.size; ++d) {
        add(g[0], at + d, slope * in_[1][key + d], std::fabs(slopes * in_[1][key + d]));
        add(g[1], key + d, slope * in_[0][at + d], std::fabs(slopes * in_[0][at + d]));
      }
    }
  }

  Sizes s_;
  const std::vector<Reals>& in_;
  Reals sums_, spreads_, weights_;
};

/// q, k, v, lengths and counters.
std::vector<Input> inputs_of(const Sizes& s, Random& random) {
  Reals lengths = random.below({static_cast<std::int64_t>(s.sequences)}, s.keys + 1);
  if (s.padded) lengths[0] = static_cast<long double>(s.keys);
  return {{"q", s.query_shape(), random.normal(s.query_shape())},
          {"k", s.key_shape(), random.normal(s.key_shape())},
          {"v", s.key_shape(), random.normal(s.key_shape())},
          {"lengths", {static_cast<std::int64_t>(s.sequences)}, lengths, DType::i32},
          {"counters", {4}, {41, 7, 0, 0}, DType::i64}};
}

ConstView given_if(bool given, const View& view) { return given ? ConstView(view) : ConstView(); }

/// A tensor [N, T, H + 2 G, D], and views of its parts.
struct Packed {
  Tensor memory;
  View q, k, v;
  Packed(const Sizes& s, DType dtype, const Device& device)
      : memory(s.shape(s.queries, s.heads + 2 * s.groups), dtype, device) {
    const auto h = static_cast<std::int64_t>(s.heads), g = static_cast<std::int64_t>(s.groups);
    q = memory.view().slice(2, 0, h);
    k = memory.view().slice(2, h, h + g);
    v = memory.view().slice(2, h + g, h + 2 * g);
  }
};

/// f(q, k, v), which are packed if the case says so.
template <typename F>
void with_heads(const Sizes& s, const Device& device, const std::vector<View>& in, const F& f) {
  if (!s.packed) return f(in[0], in[1], in[2]);
  const Packed packed(s, in[0].dtype(), device);
  kernels::cast(device, in[0], packed.q);
  kernels::cast(device, in[1], packed.k);
  kernels::cast(device, in[2], packed.v);
  f(packed.q, packed.k, packed.v);
}

const bool forward_registered = register_cases("attention_forward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Sizes& s : all_sizes) {
    KernelCase c;
    c.label = s.name();
    c.inputs = inputs_of(s, random);
    // Scores of some hundreds of terms in parts, exponentials, sums.
    c.outputs = {{"out", s.query_shape(), 40, 40}, {"log_sum_exp", s.sums_shape(), 40, 40, {}, {}, Role::parameter}};
    // Probabilities of bf16 are rounded, and so is the result.
    c.outputs[0].roundoffs_bf16 = 2.1;
    c.outputs[1].roundoffs_bf16 = 40;
    c.dtypes = activation_dtypes;
    c.run = [s](const Device& device, auto& in, auto& out) {
      with_heads(s, device, in, [&](ConstView q, ConstView k, ConstView v) {
        kernels::attention_forward(device, q, k, v, given_if(s.padded, in[3]), given_if(s.dropout > 0, in[4]),
                                   s.options(), out[0], out[1]);
      });
    };
    c.reference = [s](auto& in, auto&) {
      const Exact exact(s, in);
      return std::vector<Expected>{exact.out(), exact.log_sum_exp()};
    };
    cases.push_back(c);
  }
  return cases;
});

const bool backward_registered = register_cases("attention_backward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Sizes& s : all_sizes) {
    KernelCase c;
    c.label = s.name();
    c.inputs = inputs_of(s, random);
    std::vector<Reals> values;
    for (const Input& input : c.inputs) values.push_back(input.values);
    const Exact exact(s, values);
    c.inputs.push_back({"out", s.query_shape(), exact.out().value});
    c.inputs.push_back({"log_sum_exp", s.sums_shape(), exact.log_sum_exp().value, {}, Role::parameter});
    c.inputs.push_back({"dout", s.query_shape(), random.normal(s.query_shape())});
    c.outputs = {{"dq", s.query_shape(), 80, 80}, {"dk", s.key_shape(), 80, 80}, {"dv", s.key_shape(), 80, 80}};
    for (Output& output : c.outputs) output.roundoffs_bf16 = 3;
    c.dtypes = activation_dtypes;
    c.run = [s](const Device& device, auto& in, auto& out) {
      with_heads(s, device, in, [&](ConstView q, ConstView k, ConstView v) {
        const auto run = [&](const View& dq, const View& dk, const View& dv) {
          kernels::attention_backward(device, q, k, v, given_if(s.padded, in[3]), given_if(s.dropout > 0, in[4]),
                                      s.options(), in[5], in[6], in[7], dq, dk, dv);
        };
        if (!s.packed) return run(out[0], out[1], out[2]);
        const Packed results(s, out[0].dtype(), device);
        run(results.q, results.k, results.v);
        kernels::cast(device, results.q, out[0]);
        kernels::cast(device, results.k, out[1]);
        kernels::cast(device, results.v, out[2]);
      });
    };
    c.reference = [s](auto& in, auto&) { return Exact(s, in).gradients(in[5], in[7]); };
    cases.push_back(c);
  }
  return cases;
});

TEST(Attention, EqualsThePlainFormulaWithin1e5AndDoesNotDependOnTheNumberOfThreads) {
  const Sizes s{2, 200, 200, 4, 2, 64, true, true, false, 0.1};
  Random random(seed());
  const std::vector<Input> inputs = inputs_of(s, random);
  std::vector<Reals> stored;
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    const Device device = Device::cpu(threads);
    std::vector<Guarded> in;
    in.reserve(inputs.size());
    for (const Input& input : inputs) {
      in.emplace_back(input.shape, input.dtype_for(DType::f32), device);
      in.back().write(input.values);
      if (threads == 1) stored.push_back(in.back().read());
    }
    Tensor out(s.query_shape(), DType::f32, device), sums(s.sums_shape(), DType::f32, device);
    kernels::attention_forward(device, in[0].view(), in[1].view(), in[2].view(), in[3].view(), in[4].view(),
                               s.options(), out, sums);
    const std::vector<float> found = out.to_vector<float>();
    if (threads == 1) {
      first = found;
      const Expected wanted = Exact(s, stored).out();
      for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], static_cast<double>(wanted.value[i]), 1e-5);
    }
    EXPECT_EQ(found, first) << threads << " threads";
  }
}

TEST(Attention, FaultsNameShapesAndRemedies) {
  const Device device = Device::cpu(1);
  const auto zeros = [&](const Shape& shape, DType dtype = DType::f32) { return Tensor::zeros(shape, dtype, device); };
  const Tensor q = zeros({2, 5, 4, 8}), k = zeros({2, 6, 2, 8});
  Tensor out = zeros({2, 5, 4, 8}), sums = zeros({2, 4, 5});
  const auto run = [&](const Tensor& queries, const Tensor& keys, ConstView lengths, const AttentionOptions& options) {
    kernels::attention_forward(device, queries, keys, keys, lengths, {}, options, out, sums);
  };
  EXPECT_NO_THROW(run(q, k, {}, {}));
  EXPECT_THROW(run(q, zeros({2, 6, 3, 8}), {}, {}), ShapeError);
  EXPECT_THROW(run(q, zeros({2, 6, 2, 4}), {}, {}), ShapeError);
  EXPECT_THROW(run(q, zeros({2, 6, 2, 8}, DType::f64), {}, {}), DTypeError);
  EXPECT_THROW(run(q, k, zeros({3}, DType::i32), {}), ShapeError);
  EXPECT_THROW(run(q, k, zeros({2}), {}), DTypeError);
  EXPECT_THROW(run(q, k, {}, {.dropout = 1}), ValueError);
  EXPECT_THROW(run(q, k, {}, {.dropout = 0.5}), Error) << "no counters";
  EXPECT_THROW(kernels::attention_forward(device, q, k, k, {}, {}, {}, out, out), ShapeError);
  const Tensor large = zeros({1, 1, 1, 300});
  Tensor large_out = zeros({1, 1, 1, 300}), one = zeros({1, 1, 1});
  EXPECT_THROW(kernels::attention_forward(device, large, large, large, {}, {}, {}, large_out, one), ValueError);
  EXPECT_THROW(kernels::attention_backward(device, q, k, k, {}, {}, {}, out, sums, out, out, out, out), ShapeError);
}

}  // namespace
}  // namespace rtl::test
