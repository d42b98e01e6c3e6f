#include "studies/ensemble/views.hpp"

#include <algorithm>
#include <cmath>

#include "rtl/kernels/gemm.hpp"
#include "rtl/theory/simulation.hpp"

namespace rtl::studies::ensemble {
namespace {

using kernels::Transpose;

constexpr std::uint64_t label_stream = 1'000'000, order_stream = 2'000'000;
constexpr double view_noise = .02, patch_noise = 1.5;
constexpr std::int64_t batch = 32;
constexpr double rate = .2;
constexpr std::int64_t sample_size = patch_count * patch_size;

float activation(float z) { return z <= 0 ? 0 : z <= 1 ? z * z * z / 3 : z - 2.0F / 3; }
float slope(float z) { return z <= 0 ? 0 : z <= 1 ? z * z : 1; }

/// Softmax minus one-hot over the outputs of one sample, times `factor`; the cross-entropy.
double differentiate(double* outputs, int label, double factor) {
  const double largest = *std::max_element(outputs, outputs + class_count);
  double sum = 0;
  for (int c = 0; c < class_count; ++c) sum += std::exp(outputs[c] - largest);
  const double entropy = std::log(sum) + largest - outputs[label];
  for (int c = 0; c < class_count; ++c) {
    outputs[c] = factor * (std::exp(outputs[c] - largest) / sum - (c == label ? 1 : 0));
  }
  return entropy;
}

}  // namespace

ViewSamples draw_views(const ViewLaw& law, std::int64_t count, std::uint64_t seed, std::uint64_t stream,
                       const Device& device) {
  ViewSamples samples{Tensor({count, sample_size}, DType::f32, device), {}};
  const std::vector<double> noise = theory::standard_normals(seed, stream, count * sample_size);
  RandomSequence random(seed, label_stream + stream);
  float* x = samples.patches.data_as<float>();
  for (std::int64_t i = 0; i < count * sample_size; ++i) {
    const bool view = i % sample_size < view_count * patch_size;
    x[i] = static_cast<float>((view ? view_noise : patch_noise / std::sqrt(patch_size)) *
                              noise[static_cast<std::size_t>(i)]);
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<int>(i % class_count);
    samples.labels.push_back(label);
    const bool single = random.uniform() < law.single_share;
    const auto drawn = static_cast<int>(random.below(view_count));
    const int only = law.only >= 0 ? law.only : single ? drawn : -1;
    for (int p = 0; p < view_count; ++p) {
      const double strength = .7 + .6 * random.uniform();
      if (only >= 0 && p != only) continue;
      x[i * sample_size + p * patch_size + label * view_count + p] += static_cast<float>(strength);
    }
  }
  return samples;
}

ViewNetwork::ViewNetwork(int per_class, double scale, std::uint64_t seed, const Device& device)
    : weights_({class_count * per_class, patch_size}, DType::f32, device),
      per_class_(per_class),
      order_(seed, order_stream) {
  const std::vector<double> values = theory::standard_normals(seed, 0, weights_.count());
  std::transform(values.begin(), values.end(), weights_.data_as<float>(),
                 [&](double value) { return static_cast<float>(scale * value); });
}

ViewNetwork ViewNetwork::clone() const {
  ViewNetwork copy(order_);
  copy.weights_ = weights_.clone();
  copy.per_class_ = per_class_;
  return copy;
}

Tensor ViewNetwork::products(const Tensor& patches) const {
  const std::int64_t rows = patches.extent(0) * patch_count;
  Tensor result({rows, weights_.extent(0)}, DType::f32, weights_.device());
  kernels::gemm(weights_.device(), Transpose::no, Transpose::yes, 1, patches.view().reshaped({rows, patch_size}),
                weights_, 0, result);
  return result;
}

Tensor ViewNetwork::features(const ViewSamples& samples) const {
  const Tensor inner = products(samples.patches);
  const std::int64_t neurons = weights_.extent(0);
  Tensor result = Tensor::zeros({samples.size(), neurons}, DType::f32, weights_.device());
  const float* z = inner.data_as<float>();
  float* sums = result.data_as<float>();
  for (std::int64_t row = 0; row < inner.extent(0); ++row) {
    float* to = sums + row / patch_count * neurons;
    for (std::int64_t j = 0; j < neurons; ++j) to[j] += activation(z[row * neurons + j]);
  }
  return result;
}

std::vector<double> ViewNetwork::outputs(const Tensor& products) const {
  const std::int64_t count = products.extent(0) / patch_count;
  std::vector<double> sums(static_cast<std::size_t>(count * class_count), 0.0);
  const float* z = products.data_as<float>();
  for (std::int64_t row = 0; row < products.extent(0); ++row) {
    for (std::int64_t c = 0; c < class_count; ++c) {
      float sum = 0;
      for (int j = 0; j < per_class_; ++j) sum += activation(*z++);
      sums[static_cast<std::size_t>(row / patch_count * class_count + c)] += sum;
    }
  }
  return sums;
}

double ViewNetwork::accuracy(const ViewSamples& samples) const {
  const std::vector<double> sums = outputs(products(samples.patches));
  std::int64_t right = 0;
  for (std::int64_t i = 0; i < samples.size(); ++i) {
    const double* row = sums.data() + i * class_count;
    right += std::max_element(row, row + class_count) - row == samples.labels[static_cast<std::size_t>(i)] ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(samples.size());
}

double ViewNetwork::loss(const ViewSamples& samples) const {
  std::vector<double> sums = outputs(products(samples.patches));
  double total = 0;
  for (std::size_t i = 0; i < samples.labels.size(); ++i) {
    total += differentiate(sums.data() + i * class_count, samples.labels[i], 1);
  }
  return total / static_cast<double>(samples.size());
}

Tensor ViewNetwork::gradient(const ViewSamples& samples) const {
  Tensor inner = products(samples.patches);
  std::vector<double> sums = outputs(inner);
  for (std::size_t i = 0; i < samples.labels.size(); ++i) {
    differentiate(sums.data() + i * class_count, samples.labels[i], 1 / static_cast<double>(samples.size()));
  }
  float* z = inner.data_as<float>();
  for (std::int64_t row = 0; row < inner.extent(0); ++row) {
    for (std::int64_t c = 0; c < class_count; ++c) {
      const auto error = static_cast<float>(sums[static_cast<std::size_t>(row / patch_count * class_count + c)]);
      for (int j = 0; j < per_class_; ++j, ++z) *z = error * slope(*z);
    }
  }
  Tensor result(weights_.shape(), DType::f32, weights_.device());
  kernels::gemm(weights_.device(), Transpose::yes, Transpose::no, 1, inner,
                samples.patches.view().reshaped({inner.extent(0), patch_size}), 0, result);
  return result;
}

void ViewNetwork::train(const ViewSamples& samples, int steps) {
  ViewSamples drawn{Tensor({batch, sample_size}, DType::f32, weights_.device()), std::vector<int>(batch)};
  for (int step = 0; step < steps; ++step) {
    for (std::int64_t i = 0; i < batch; ++i) {
      const auto row = static_cast<std::int64_t>(order_.below(static_cast<std::uint64_t>(samples.size())));
      std::copy_n(samples.patches.data_as<float>() + row * sample_size, sample_size,
                  drawn.patches.data_as<float>() + i * sample_size);
      drawn.labels[static_cast<std::size_t>(i)] = samples.labels[static_cast<std::size_t>(row)];
    }
    const Tensor change = gradient(drawn);
    float* w = weights_.data_as<float>();
    const float* g = change.data_as<float>();
    for (std::int64_t i = 0; i < weights_.count(); ++i) w[i] -= static_cast<float>(rate) * g[i];
  }
}

}  // namespace rtl::studies::ensemble
