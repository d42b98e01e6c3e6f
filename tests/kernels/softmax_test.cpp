#include "rtl/kernels/softmax.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/devices.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

struct SoftmaxRows {
  Reals probabilities;
  long double loss = 0;
};

/// Softmax of every row, and the mean of -log of the labels' probabilities if there are labels.
SoftmaxRows softmax_of(const Reals& logits, std::size_t classes, const Reals& labels = {}) {
  SoftmaxRows result{logits, 0};
  const std::size_t rows = classes == 0 ? 0 : logits.size() / classes;
  for (std::size_t row = 0; row < rows; ++row) {
    long double* p = result.probabilities.data() + row * classes;
    const long double largest = *std::max_element(p, p + classes);
    long double sum = 0;
    for (std::size_t c = 0; c < classes; ++c) sum += std::exp(p[c] - largest);
    if (!labels.empty()) result.loss -= p[static_cast<std::size_t>(labels[row])] - largest - std::log(sum);
    for (std::size_t c = 0; c < classes; ++c) p[c] = std::exp(p[c] - largest) / sum;
  }
  if (rows > 0) result.loss /= static_cast<long double>(rows);
  return result;
}

/// A probability p is exp(x - largest) / sum. Rounding the difference moves it by |x - largest| roundoffs, exp by one
/// unit in the last place, the sum and the scale by a few roundoffs more: those of log2(classes) additions and lanes.
Expected with_scale(const Reals& logits, const Reals& probabilities, std::size_t classes) {
  Expected expected{probabilities, {}};
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i / classes * classes);
    const long double largest = *std::max_element(row, row + static_cast<std::ptrdiff_t>(classes));
    expected.scale.push_back(probabilities[i] *
                             (8 + std::log2(static_cast<long double>(classes)) + largest - logits[i]));
  }
  return expected;
}

const std::vector<Shape> logit_shapes = {{1, 1},    {3, 31},   {31, 33},   {2, 1025}, {64, 10},
                                         {33, 100}, {300, 17}, {1025, 10}, {3, 2500}};

std::string label_of(const Shape& shape) { return fmt::format("{}x{}", shape[0], shape[1]); }

const bool softmax_registered = register_cases("softmax", [](Random& random) {
  std::vector<KernelCase> cases;
  std::vector<Shape> shapes = logit_shapes;
  shapes.insert(shapes.end(), {{0, 10}, {4, 0}});
  for (const Shape& shape : shapes) {
    KernelCase c;
    c.label = label_of(shape);
    const auto classes = static_cast<std::size_t>(shape[1]);
    // Large enough that exp without the shift would overflow.
    c.inputs = {{"logits", shape, random.normal(shape, 500, 4)}};
    c.outputs = {{"probabilities", shape, 1}};
    c.run = [](const Device& device, auto& in, auto& out) { kernels::softmax(device, in[0], out[0]); };
    c.reference = [classes](auto& in, auto&) {
      return std::vector<Expected>{with_scale(in[0], softmax_of(in[0], classes).probabilities, classes)};
    };
    c.in_place = {{0, 0}};
    cases.push_back(c);
  }
  return cases;
});

const bool forward_registered = register_cases("cross_entropy_forward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Shape& shape : logit_shapes) {
    KernelCase c;
    c.label = label_of(shape);
    const auto classes = static_cast<std::size_t>(shape[1]);
    c.inputs = {{"logits", shape, random.normal(shape, 0, 4)},
                {"labels", {shape[0]}, random.below({shape[0]}, classes), DType::i32}};
    c.outputs = {{"probabilities", shape, 1}, {"loss", {1}, 8, 8 + std::sqrt(static_cast<double>(shape[0]))}};
    c.run = [](const Device& device, auto& in, auto& out) {
      kernels::cross_entropy_forward(device, in[0], {in[1]}, out[0], out[1]);
    };
    c.reference = [classes](auto& in, auto&) {
      const SoftmaxRows rows = softmax_of(in[0], classes, in[1]);
      // Each term is log(sum) + largest - chosen: the error is relative to the logits' size.
      long double largest = 1;
      for (const long double x : in[0]) largest = std::max(largest, std::fabs(x));
      return std::vector<Expected>{with_scale(in[0], rows.probabilities, classes), {{rows.loss}, {largest}}};
    };
    cases.push_back(c);
  }
  return cases;
});

const bool backward_registered = register_cases("cross_entropy_backward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Shape& shape : logit_shapes) {
    KernelCase c;
    c.label = label_of(shape);
    const auto classes = static_cast<std::size_t>(shape[1]);
    const Reals logits = random.normal(shape, 0, 2);
    c.inputs = {{"probabilities", shape, softmax_of(logits, classes).probabilities},
                {"labels", {shape[0]}, random.below({shape[0]}, classes), DType::i32},
                {"dloss", {}, {0.75}},
                {"logits", shape, logits}};
    // A difference, a quotient and a product.
    c.outputs = {{"dlogits", shape, 3}};
    c.run = [](const Device& device, auto& in, auto& out) {
      kernels::cross_entropy_backward(device, in[0], {in[1]}, in[2], out[0]);
    };
    c.reference = [classes](auto& in, auto&) {
      Expected dlogits;
      const long double rows = static_cast<long double>(in[1].size());
      for (std::size_t i = 0; i < in[0].size(); ++i) {
        const bool chosen = static_cast<long double>(i % classes) == in[1][i / classes];
        dlogits.value.push_back(in[2][0] * (in[0][i] - (chosen ? 1 : 0)) / rows);
      }
      return std::vector<Expected>{dlogits};
    };
    c.in_place = {{0, 0}};
    if (shape.count() < 2000) c.gradients = {{0, 3}};
    c.loss = [classes](auto& in) { return in[2][0] * softmax_of(in[3], classes, in[1]).loss; };
    cases.push_back(c);
  }
  return cases;
});

const bool both_registered = register_cases("cross_entropy_with_gradient", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Shape& shape : logit_shapes) {
    KernelCase c;
    c.label = label_of(shape);
    const auto classes = static_cast<std::size_t>(shape[1]);
    c.inputs = {{"logits", shape, random.normal(shape, 0, 4)},
                {"labels", {shape[0]}, random.below({shape[0]}, classes), DType::i32}};
    c.outputs = {{"dlogits", shape, 2}, {"loss", {1}, 8, 8 + std::sqrt(static_cast<double>(shape[0]))}};
    c.run = [](const Device& device, auto& in, auto& out) {
      kernels::cross_entropy_with_gradient(device, in[0], {in[1]}, out[0], out[1]);
    };
    c.reference = [classes](auto& in, auto&) {
      const SoftmaxRows rows = softmax_of(in[0], classes, in[1]);
      const long double count = static_cast<long double>(in[1].size());
      Expected dlogits = with_scale(in[0], rows.probabilities, classes);
      for (std::size_t i = 0; i < in[0].size(); ++i) {
        const bool chosen = static_cast<long double>(i % classes) == in[1][i / classes];
        dlogits.value[i] = (dlogits.value[i] - (chosen ? 1 : 0)) / count;
        // The probability's error, then that of a difference and a product.
        dlogits.scale[i] = dlogits.scale[i] / count + 2 * std::fabs(dlogits.value[i]);
      }
      long double largest = 1;
      for (const long double x : in[0]) largest = std::max(largest, std::fabs(x));
      return std::vector<Expected>{dlogits, {{rows.loss}, {largest}}};
    };
    c.in_place = {{0, 0}};
    if (shape.count() < 2000) c.gradients = {{0, 0}};
    c.loss = [classes](auto& in) { return softmax_of(in[0], classes, in[1]).loss; };
    cases.push_back(c);
  }
  return cases;
});

TEST(Softmax, KeepsInfinitiesAndNan) {
  for (const Device& device : devices_and_threads()) {
    const std::vector<float> logits{-INFINITY, 0, -INFINITY, NAN, 1, 2};
    Tensor p({2, 3}, DType::f32, device);
    kernels::softmax(device, Tensor::from(logits, {2, 3}, device), p);
    const std::vector<float> values = p.to_vector<float>();
    EXPECT_EQ(values[0], 0);
    EXPECT_EQ(values[1], 1);
    EXPECT_EQ(values[2], 0);
    EXPECT_TRUE(std::isnan(values[4]));
  }
}

}  // namespace
}  // namespace rtl::test
