#include "rtl/kernels/residual_fusion.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::FusionBlock;

struct Block {
  std::int64_t columns;
  double scale = 1;
  bool kept = false;    ///< has a per-sample mask
  bool narrow = false;  ///< bf16 features
  bool frozen = false;  ///< no gradient is asked for
};

struct Fusion {
  std::int64_t samples, classes;
  std::vector<Block> blocks;
  bool biased = true;
  std::int64_t columns() const {
    std::int64_t sum = 0;
    for (const Block& block : blocks) sum += block.columns;
    return sum;
  }
  bool narrow() const {
    for (const Block& block : blocks) {
      if (block.narrow) return true;
    }
    return false;
  }
  std::string name() const {
    std::string text = fmt::format("{}x{}", samples, classes);
    for (const Block& b : blocks) {
      text += fmt::format("_{}{}{}{}", b.columns, b.kept ? "m" : "", b.narrow ? "h" : "", b.frozen ? "f" : "");
    }
    return text + (biased ? "" : "_unbiased");
  }
};

const std::vector<Fusion> fusions = {
    {1, 1, {{1}}},
    {33, 10, {{64}}, false},
    {31, 10, {{64, 0.5}, {33, 2, true}}},
    {64, 7, {{31, 1, true}, {1, 3}, {20, -1, true, false, true}}},
    {33, 10, {{65, 0.25, false, true, true}, {17, 1}}},
    {9, 33, {{100, 1, true, true, true}, {7, 1, true}}, false},
    {5, 3, {{1025, 0.1}, {2}}},
    {0, 4, {{3}, {2}}},
    {300, 10, {{300, 1, true, true, true}, {64}}},
    {33, 5, {{31, 0.5, true, true}, {7, 1}, {64, 1, false, true}}},
    {1100, 3, {{300, 1, true, true}, {9, 2, false, true}}},
};

/// Inputs: w, bias, dlogits, then features and mask of every block.
std::vector<Input> inputs_of(const Fusion& f, Random& random) {
  const Shape w{f.classes, f.columns()}, logits{f.samples, f.classes};
  std::vector<Input> inputs = {{"w", w, random.normal(w), {}, Role::parameter},
                               {"bias", {f.classes}, random.normal({f.classes}), {}, Role::parameter},
                               {"dlogits", logits, random.normal(logits), {}, Role::parameter}};
  for (const Block& block : f.blocks) {
    const Shape features{f.samples, block.columns};
    inputs.push_back({"features", features, random.normal(features)});
    if (block.narrow) inputs.back().dtype = DType::bf16;
    Reals keep = random.below({f.samples}, 3);
    for (long double& value : keep) value *= 0.75L;
    inputs.push_back({"keep", {f.samples}, keep, {}, Role::parameter});
  }
  return inputs;
}

std::vector<FusionBlock> blocks_of(const Fusion& f, const std::vector<View>& in) {
  std::vector<FusionBlock> blocks;
  for (std::size_t k = 0; k < f.blocks.size(); ++k) {
    blocks.push_back({in[3 + 2 * k], f.blocks[k].scale, f.blocks[k].kept ? ConstView(in[4 + 2 * k]) : ConstView()});
  }
  return blocks;
}

/// The concatenation z that the kernels never build, [samples, columns].
Reals concatenated(const Fusion& f, const std::vector<Reals>& in) {
  Reals z;
  for (std::size_t i = 0; i < static_cast<std::size_t>(f.samples); ++i) {
    for (std::size_t k = 0; k < f.blocks.size(); ++k) {
      const Block& b = f.blocks[k];
      const auto columns = static_cast<std::size_t>(b.columns);
      const long double factor = b.scale * (b.kept ? in[4 + 2 * k][i] : 1);
      for (std::size_t j = 0; j < columns; ++j) z.push_back(factor * in[3 + 2 * k][i * columns + j]);
    }
  }
  return z;
}

Expected logits_of(const Fusion& f, const std::vector<Reals>& in) {
  const Reals z = concatenated(f, in);
  const auto columns = static_cast<std::size_t>(f.columns()), classes = static_cast<std::size_t>(f.classes);
  Expected logits;
  for (std::size_t i = 0; i < static_cast<std::size_t>(f.samples); ++i) {
    for (std::size_t c = 0; c < classes; ++c) {
      long double sum = f.biased ? in[1][c] : 0, scale = std::fabs(sum);
      for (std::size_t j = 0; j < columns; ++j) {
        sum += z[i * columns + j] * in[0][c * columns + j];
        scale += std::fabs(z[i * columns + j] * in[0][c * columns + j]);
      }
      logits.value.push_back(sum);
      logits.scale.push_back(scale);
    }
  }
  return logits;
}

/// bf16 features go with heads of f32 only.
std::vector<DType> dtypes_of(const Fusion& f) {
  return f.narrow() ? std::vector<DType>{DType::f32, DType::bf16} : activation_dtypes;
}

/// Sums of so many products, as in gemm_test.cpp, with a few roundoffs for scales, masks and the sum over blocks.
double roundoffs_of(std::int64_t terms) { return 8 + 4 * std::sqrt(static_cast<double>(terms)); }

const bool forward_registered = register_cases("residual_fusion_forward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Fusion& f : fusions) {
    KernelCase c;
    c.label = f.name();
    c.inputs = inputs_of(f, random);
    c.outputs = {{"logits", {f.samples, f.classes}, roundoffs_of(f.columns()), 0, {}, {}, Role::parameter}};
    c.dtypes = dtypes_of(f);
    c.run = [f](const Device& device, auto& in, auto& out) {
      kernels::residual_fusion_forward(device, blocks_of(f, in), in[0], f.biased ? ConstView(in[1]) : ConstView(),
                                       out[0]);
    };
    c.reference = [f](auto& in, auto&) { return std::vector<Expected>{logits_of(f, in)}; };
    cases.push_back(c);
  }
  return cases;
});

/// dw, dbias and the blocks' gradients, with the scales of their sums.
std::vector<Expected> gradients_of(const Fusion& f, const std::vector<Reals>& in) {
  const Reals z = concatenated(f, in);
  const auto columns = static_cast<std::size_t>(f.columns()), classes = static_cast<std::size_t>(f.classes);
  const auto samples = static_cast<std::size_t>(f.samples);
  std::vector<Expected> out(2);
  out[0] = {Reals(classes * columns, 0), Reals(classes * columns, 0)};
  out[1] = {Reals(classes, f.biased ? 0 : NAN), Reals(classes, 0)};
  Expected dz{Reals(z.size(), 0), Reals(z.size(), 0)};
  const auto add = [](Expected& to, std::size_t at, long double term) {
    to.value[at] += term;
    to.scale[at] += std::fabs(term);
  };
  for (std::size_t i = 0; i < samples * classes; ++i) {
    const std::size_t n = i / classes, c = i % classes;
    add(out[1], c, in[2][i]);
    for (std::size_t j = 0; j < columns; ++j) {
      add(out[0], c * columns + j, in[2][i] * z[n * columns + j]);
      add(dz, n * columns + j, in[2][i] * in[0][c * columns + j]);
    }
  }
  std::size_t first = 0;
  for (std::size_t k = 0; k < f.blocks.size(); ++k) {
    const Block& b = f.blocks[k];
    Expected dx;
    for (std::size_t i = 0; i < samples * static_cast<std::size_t>(b.columns); ++i) {
      const std::size_t n = i / static_cast<std::size_t>(b.columns), j = i % static_cast<std::size_t>(b.columns);
      const long double factor = b.scale * (b.kept ? in[4 + 2 * k][n] : 1);
      dx.value.push_back(b.frozen ? NAN : factor * dz.value[n * columns + first + j]);
      dx.scale.push_back(std::fabs(factor) * dz.scale[n * columns + first + j]);
    }
    out.push_back(dx);
    first += static_cast<std::size_t>(b.columns);
  }
  return out;
}

const bool backward_registered = register_cases("residual_fusion_backward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Fusion& f : fusions) {
    KernelCase c;
    c.label = f.name();
    c.inputs = inputs_of(f, random);
    c.outputs = {{"dw", {f.classes, f.columns()}, roundoffs_of(f.samples), 0, {}, {}, Role::parameter},
                 {"dbias", {f.classes}, roundoffs_of(f.samples), 0, {}, {}, Role::parameter}};
    for (const Block& b : f.blocks) {
      c.outputs.push_back({"dfeatures", {f.samples, b.columns}, b.narrow ? rounded_once : roundoffs_of(f.classes)});
      if (b.narrow) c.outputs.back().dtype = DType::bf16;
      c.outputs.back().roundoffs_bf16 = rounded_once;
    }
    c.dtypes = dtypes_of(f);
    c.run = [f](const Device& device, auto& in, auto& out) {
      std::vector<View> dfeatures;
      for (std::size_t k = 0; k < f.blocks.size(); ++k) dfeatures.push_back(f.blocks[k].frozen ? View() : out[2 + k]);
      kernels::residual_fusion_backward(device, blocks_of(f, in), in[0], in[2], out[0], f.biased ? out[1] : View(),
                                        dfeatures);
    };
    c.reference = [f](auto& in, auto&) { return gradients_of(f, in); };
    if (!f.narrow() && f.samples > 0) {
      c.gradients = {{0, 0}};
      if (f.biased) c.gradients.push_back({1, 1});
      for (std::size_t k = 0; k < f.blocks.size(); ++k) {
        if (!f.blocks[k].frozen) c.gradients.push_back({2 + k, 3 + 2 * k});
      }
    }
    c.loss = [f](auto& in) { return dot(in[2], logits_of(f, in).value); };
    cases.push_back(c);
  }
  return cases;
});

}  // namespace
}  // namespace rtl::test
