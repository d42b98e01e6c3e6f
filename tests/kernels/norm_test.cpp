#include "rtl/kernels/norm.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/devices.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

constexpr double epsilon = 1e-3, momentum = 0.1;

/// Which of the fused extras a case has.
struct Extras {
  bool relu, residual;
  std::string name() const { return fmt::format("{}{}", relu ? "_relu" : "", residual ? "_residual" : ""); }
};
const Extras all_extras[] = {{false, false}, {true, false}, {false, true}, {true, true}};

struct Statistics {
  Reals mean, variance;
};

Statistics statistics_of(const Reals& x, std::size_t channels) {
  Statistics s{Reals(channels, 0), Reals(channels, 0)};
  const auto rows = static_cast<long double>(x.size() / channels);
  for (std::size_t i = 0; i < x.size(); ++i) s.mean[i % channels] += x[i] / rows;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double centred = x[i] - s.mean[i % channels];
    s.variance[i % channels] += centred * centred / rows;
  }
  return s;
}

/// The forward formula, with the magnitudes of its terms as the scale.
Expected normalised(const Reals& x, const Statistics& s, const Reals& gamma, const Reals& beta, const Extras& extras,
                    const Reals& residual) {
  Expected y;
  const std::size_t channels = gamma.size();
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % channels;
    const long double inverse = 1 / std::sqrt(s.variance[c] + epsilon);
    const long double product = gamma[c] * (x[i] - s.mean[c]) * inverse;
    const long double added = extras.residual ? residual[i] : 0;
    const long double value = product + beta[c] + added;
    y.value.push_back(extras.relu && value < 0 ? 0 : value);
    // x and the mean are rounded to the dtype before they are subtracted.
    y.scale.push_back(std::fabs(product) + std::fabs(beta[c]) + std::fabs(added) +
                      std::fabs(gamma[c] * inverse) * (std::fabs(s.mean[c]) + std::fabs(x[i] - s.mean[c])));
  }
  return y;
}

struct Layout {
  Shape shape;
  double mean = 0.5;
  std::string name() const {
    std::string text;
    for (const std::int64_t extent : shape.extents()) text += fmt::format("{}{}", text.empty() ? "" : "x", extent);
    return text;
  }
  std::size_t channels() const { return static_cast<std::size_t>(shape[-1]); }
};

const std::vector<Layout> layouts = {{{2, 1}},          {{33, 31}},      {{31, 33}, 100}, {{5, 1025}},
                                     {{1025, 3}, -20},  {{2, 3, 3, 16}}, {{3, 5, 7, 10}}, {{1, 2, 1, 64}},
                                     {{4, 16, 16, 32}}, {{1201, 16}}};

/// Inputs x, gamma, beta, residual of a layout.
std::vector<Input> forward_inputs(const Layout& layout, Random& random) {
  const Shape channels{layout.shape[-1]};
  return {{"x", layout.shape, random.normal(layout.shape, layout.mean, 2)},
          {"gamma", channels, random.normal(channels, 1, 0.3), {}, Role::parameter},
          {"beta", channels, random.normal(channels), {}, Role::parameter},
          {"residual", layout.shape, random.normal(layout.shape)}};
}

ConstView given_if(bool given, const View& view) { return given ? ConstView(view) : ConstView(); }
View written_if(bool given, const View& view) { return given ? view : View(); }

/// Roundoffs of a normalised value: mean, difference, scale (rounded), product, shift, residual.
constexpr double forward_roundoffs = 6;
/// What the block sums of the batch's statistics add to that.
constexpr double statistics_roundoffs = 6;
/// Roundoffs of a variance of bf16, whose few values are rounded in the same direction again and again: half of the 64
/// additions to a running sum of f32, since that is half of the sum on average; and a few for the squares and the
/// centre.
constexpr double repeated_roundoffs = 32 + 4;

const bool training_forward_registered = register_cases("batch_norm_training_forward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Layout& layout : layouts) {
    for (const Extras& extras : all_extras) {
      KernelCase c;
      c.label = layout.name() + extras.name();
      c.inputs = forward_inputs(layout, random);
      const Shape channels{layout.shape[-1]};
      const auto rows = static_cast<long double>(layout.shape.count() / layout.shape[-1]);
      // Statistics: block sums in the dtype, so more than the single rounding of the result.
      c.outputs = {{"running_mean", channels, 8, 16, random.normal(channels), {}, Role::parameter},
                   {"running_variance", channels, 8, 24, random.uniform(channels, 0.5, 2), {}, Role::parameter},
                   {"y", layout.shape, forward_roundoffs + statistics_roundoffs, 24},
                   {"saved_mean", channels, 8, 16, {}, {}, Role::parameter},
                   {"saved_inverse_deviation", channels, 8, 24, {}, {}, Role::parameter}};
      for (const std::size_t spread : {1, 4}) c.outputs[spread].roundoffs_bf16 = repeated_roundoffs;
      c.outputs[2].roundoffs_bf16 = rounded_once;
      c.dtypes = activation_dtypes;
      c.run = [extras](const Device& device, auto& in, auto& out) {
        kernels::batch_norm_training_forward(device, in[0], in[1], in[2], epsilon, momentum, out[0], out[1], out[2],
                                             out[3], out[4], extras.relu, given_if(extras.residual, in[3]));
      };
      c.reference = [extras, rows, count = layout.channels()](auto& in, auto& initial) {
        const Statistics s = statistics_of(in[0], count);
        Expected mean{{}, {}}, variance, saved{s.mean, {}}, inverse;
        for (std::size_t k = 0; k < count; ++k) {
          const long double unbiased = s.variance[k] * rows / (rows - 1);
          mean.value.push_back((1 - momentum) * initial[0][k] + momentum * s.mean[k]);
          mean.scale.push_back(std::fabs(initial[0][k]) + std::fabs(s.mean[k]) + std::sqrt(s.variance[k]));
          variance.value.push_back((1 - momentum) * initial[1][k] + momentum * unbiased);
          saved.scale.push_back(std::fabs(s.mean[k]) + std::sqrt(s.variance[k]));
          inverse.value.push_back(1 / std::sqrt(s.variance[k] + epsilon));
        }
        return std::vector<Expected>{mean, variance, normalised(in[0], s, in[1], in[2], extras, in[3]), saved, inverse};
      };
      cases.push_back(c);
    }
  }
  return cases;
});

/// Gradients of loss = dot(dy, forward), with the batch's or given statistics; scales are sums of magnitudes.
struct Gradients {
  Expected dx, dgamma, dbeta, dresidual;
};

Gradients gradients_of(const Reals& x, const Reals& y, const Reals& gamma, const Reals& mean, const Reals& inverse,
                       const Reals& dy, bool relu, bool batch_statistics) {
  const std::size_t channels = gamma.size();
  const auto rows = static_cast<long double>(x.size() / channels);
  Gradients g;
  g.dresidual.value = dy;
  Reals sum(channels, 0), sum_scale(channels, 0), product(channels, 0), product_scale(channels, 0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % channels;
    long double& dz = g.dresidual.value[i];
    if (relu && !(y[i] > 0)) dz = 0;
    const long double xhat = (x[i] - mean[c]) * inverse[c];
    sum[c] += dz;
    sum_scale[c] += std::fabs(dz);
    product[c] += dz * xhat;
    // Rounding x - mean costs a roundoff of the difference.
    product_scale[c] += std::fabs(dz * xhat);
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % channels;
    const long double dz = g.dresidual.value[i], xhat = (x[i] - mean[c]) * inverse[c];
    const long double share = batch_statistics ? 1 / rows : 0;
    g.dx.value.push_back(gamma[c] * inverse[c] * (dz - share * (sum[c] + xhat * product[c])));
    g.dx.scale.push_back(std::fabs(gamma[c] * inverse[c]) *
                         (std::fabs(dz) + share * (sum_scale[c] + std::fabs(xhat) * product_scale[c])));
  }
  g.dgamma = {product, product_scale};
  g.dbeta = {sum, sum_scale};
  return g;
}

/// A backward case. The forward's output is only looked at for its sign, so dy = 0 where it is near zero would not
/// matter; x, gamma, beta and residual are kept for the finite differences.
KernelCase backward_case(const Layout& layout, const Extras& extras, bool training, Random& random) {
  KernelCase c;
  c.label = layout.name() + extras.name();
  c.inputs = forward_inputs(layout, random);
  const std::size_t channels = layout.channels();
  Statistics s = statistics_of(c.inputs[0].values, channels);
  if (!training) s = {random.normal({layout.shape[-1]}), random.uniform({layout.shape[-1]}, 0.5, 2)};
  Reals inverse;
  for (const long double variance : s.variance) inverse.push_back(1 / std::sqrt(variance + epsilon));
  Reals y = normalised(c.inputs[0].values, s, c.inputs[1].values, c.inputs[2].values, extras, c.inputs[3].values).value;
  const Shape vector{layout.shape[-1]};
  c.inputs.push_back({"y", layout.shape, y});
  c.inputs.push_back({"mean", vector, s.mean, {}, Role::parameter});
  c.inputs.push_back({training ? "inverse" : "variance", vector, training ? inverse : s.variance, {}, Role::parameter});
  c.inputs.push_back({"dy", layout.shape, random.normal(layout.shape)});
  // dx: selection, three rounded factors, two products, two differences. Sums: block sums of some tens of terms.
  c.outputs = {{"dx", layout.shape, 16},
               {"dgamma", vector, 16, 0, {}, {}, Role::parameter},
               {"dbeta", vector, 16, 0, {}, {}, Role::parameter},
               {"dresidual", layout.shape, 0}};
  c.outputs[0].roundoffs_bf16 = rounded_once;
  c.dtypes = activation_dtypes;
  c.run = [extras, training](const Device& device, auto& in, auto& out) {
    const ConstView forward = given_if(extras.relu, in[4]);
    const View dresidual = written_if(extras.residual, out[3]);
    if (training) {
      kernels::batch_norm_training_backward(device, in[0], forward, in[1], in[5], in[6], in[7], out[0], out[1], out[2],
                                            extras.relu, dresidual);
    } else {
      kernels::batch_norm_evaluation_backward(device, in[0], forward, in[1], in[5], in[6], epsilon, in[7], out[0],
                                              out[1], out[2], extras.relu, dresidual);
    }
  };
  c.reference = [extras, training](auto& in, auto&) {
    Reals deviation = in[6];
    for (long double& value : deviation) value = training ? value : 1 / std::sqrt(value + epsilon);
    Gradients g = gradients_of(in[0], in[4], in[1], in[5], deviation, in[7], extras.relu, training);
    // An absent dresidual stays poisoned.
    if (!extras.residual) g.dresidual = {Reals(in[0].size(), NAN), {}};
    return std::vector<Expected>{g.dx, g.dgamma, g.dbeta, g.dresidual};
  };
  c.in_place = {{0, 7}};
  if (layout.shape.count() < 700) {
    c.gradients = {{0, 0}, {1, 1}, {2, 2}};
    if (extras.residual) c.gradients.push_back({3, 3});
  }
  c.loss = [extras, training, channels](auto& in) {
    const Statistics used = training ? statistics_of(in[0], channels) : Statistics{in[5], in[6]};
    Expected forward = normalised(in[0], used, in[1], in[2], Extras{false, extras.residual}, in[3]);
    // The kink of ReLU is kept where the unmoved point has it.
    for (std::size_t i = 0; i < forward.value.size(); ++i) {
      if (extras.relu && !(in[4][i] > 0)) forward.value[i] = 0;
    }
    return dot(in[7], forward.value);
  };
  return c;
}

std::vector<KernelCase> backward_cases(bool training, Random& random) {
  std::vector<KernelCase> cases;
  for (const Layout& layout : layouts) {
    for (const Extras& extras : all_extras) cases.push_back(backward_case(layout, extras, training, random));
  }
  if (!training) cases.push_back(backward_case({{0, 3}}, {true, true}, false, random));
  return cases;
}

const bool training_backward_registered =
    register_cases("batch_norm_training_backward", [](Random& random) { return backward_cases(true, random); });
const bool evaluation_backward_registered =
    register_cases("batch_norm_evaluation_backward", [](Random& random) { return backward_cases(false, random); });

const bool evaluation_forward_registered = register_cases("batch_norm_evaluation_forward", [](Random& random) {
  std::vector<KernelCase> cases;
  std::vector<Layout> shapes = layouts;
  shapes.push_back({{0, 5}});
  for (const Layout& layout : shapes) {
    for (const Extras& extras : all_extras) {
      KernelCase c;
      c.label = layout.name() + extras.name();
      c.inputs = forward_inputs(layout, random);
      const Shape channels{layout.shape[-1]};
      c.inputs.push_back({"mean", channels, random.normal(channels, layout.mean), {}, Role::parameter});
      c.inputs.push_back({"variance", channels, random.uniform(channels, 0.1, 3), {}, Role::parameter});
      c.outputs = {{"y", layout.shape, forward_roundoffs}};
      c.outputs[0].roundoffs_bf16 = rounded_once;
      c.dtypes = activation_dtypes;
      c.run = [extras](const Device& device, auto& in, auto& out) {
        kernels::batch_norm_evaluation_forward(device, in[0], in[1], in[2], in[4], in[5], epsilon, out[0], extras.relu,
                                               given_if(extras.residual, in[3]));
      };
      c.reference = [extras](auto& in, auto&) {
        return std::vector<Expected>{normalised(in[0], {in[4], in[5]}, in[1], in[2], extras, in[3])};
      };
      cases.push_back(c);
    }
  }
  return cases;
});

const bool fold_registered = register_cases("fold_batch_norm", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const bool biased : {false, true}) {
    for (const Shape& shape : {Shape{1, 1}, Shape{31, 33}, Shape{33, 3, 3, 3}, Shape{0, 4}}) {
      KernelCase c;
      c.label = fmt::format("{}x{}{}", shape[0], shape[1], biased ? "_bias" : "");
      const Shape outputs{shape[0]};
      c.inputs = {{"w", shape, random.normal(shape)},           {"bias", outputs, random.normal(outputs)},
                  {"gamma", outputs, random.normal(outputs)},   {"beta", outputs, random.normal(outputs)},
                  {"mean", outputs, random.normal(outputs, 3)}, {"variance", outputs, random.uniform(outputs, 0.1, 3)}};
      c.outputs = {{"folded_w", shape, 4}, {"folded_bias", outputs, 5}};
      c.run = [biased](const Device& device, auto& in, auto& out) {
        kernels::fold_batch_norm(device, in[0], given_if(biased, in[1]), in[2], in[3], in[4], in[5], epsilon, out[0],
                                 out[1]);
      };
      c.reference = [biased](auto& in, auto&) {
        Expected w, bias;
        const std::size_t count = in[1].size(), size = count == 0 ? 0 : in[0].size() / count;
        for (std::size_t o = 0; o < count; ++o) {
          const long double scale = in[2][o] / std::sqrt(in[5][o] + epsilon), before = biased ? in[1][o] : 0;
          for (std::size_t i = 0; i < size; ++i) w.value.push_back(in[0][o * size + i] * scale);
          bias.value.push_back((before - in[4][o]) * scale + in[3][o]);
          bias.scale.push_back((std::fabs(before) + std::fabs(in[4][o])) * std::fabs(scale) + std::fabs(in[3][o]));
        }
        return std::vector<Expected>{w, bias};
      };
      cases.push_back(c);
    }
  }
  return cases;
});

TEST(BatchNorm, VarianceSurvivesALargeMean) {
  // A single pass over squares would lose every digit here.
  for (const Device& device : devices_and_threads()) {
    std::vector<float> values;
    for (int i = 0; i < 3000; ++i) values.push_back(10000.0F + static_cast<float>(i % 2));
    Tensor y({3000, 1}, DType::f32, device);
    Tensor mean = Tensor::zeros({1}, DType::f32, device), variance = Tensor::zeros({1}, DType::f32, device);
    Tensor saved({1}, DType::f32, device), inverse({1}, DType::f32, device);
    const Tensor one = Tensor::from(std::vector<float>{1}, {1}, device);
    kernels::batch_norm_training_forward(device, Tensor::from(values, {3000, 1}, device), one, mean, 0, 1, mean,
                                         variance, y, saved, inverse);
    EXPECT_FLOAT_EQ(inverse.item<float>(), 2);
    EXPECT_FLOAT_EQ(saved.item<float>(), 10000.5F);
  }
}

TEST(BatchNorm, RoundsToTheNearestBfloat16AndKeepsWhatIsNoNumber) {
  // (1 + 2^-8) x of a power of two lies halfway between two neighbours.
  std::vector<bfloat16> x, wanted;
  for (std::uint32_t bits = 0; bits < 0x10000; bits += 3) x.push_back({static_cast<std::uint16_t>(bits)});
  for (const bfloat16 value : x) wanted.push_back(to_bfloat16(to_float(value) * (1 + 0x1p-8F)));
  const Shape shape{static_cast<std::int64_t>(x.size()), 1};
  for (const Device& device : devices()) {
    const auto one = [&](float value) { return Tensor::from(std::vector<float>{value}, {1}, device); };
    Tensor y(shape, DType::bf16, device);
    kernels::batch_norm_evaluation_forward(device, Tensor::from(x, shape, device), one(1 + 0x1p-8F), one(0), one(0),
                                           one(1), 0, y);
    const std::vector<bfloat16> got = y.to_vector<bfloat16>();
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float value = to_float(wanted[i]);
      ASSERT_TRUE(std::isnan(value) ? std::isnan(to_float(got[i])) : value == to_float(got[i])) << x[i].bits;
    }
  }
}

}  // namespace
}  // namespace rtl::test
