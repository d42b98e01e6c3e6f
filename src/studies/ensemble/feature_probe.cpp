#include "studies/ensemble/feature_probe.hpp"

#include <algorithm>
#include <cmath>

#include "rtl/solvers/ridge_path.hpp"
#include "rtl/transfer/metrics.hpp"

namespace rtl::studies::ensemble {
namespace {

using transfer::FrozenSource;

Tensor one_hot(const data::Dataset& samples) {
  const std::vector<std::int32_t> labels = samples.labels.to_vector<std::int32_t>();
  std::vector<float> columns(labels.size() * static_cast<std::size_t>(samples.classes));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    columns[i * static_cast<std::size_t>(samples.classes) + static_cast<std::size_t>(labels[i])] = 1;
  }
  return Tensor::from(columns, {samples.size(), samples.classes}, Device::cpu());
}

/// Features of all sources side by side, f32 [N, sum of their features].
Tensor side_by_side(const std::vector<FrozenSource>& sources, const data::Dataset& samples) {
  std::int64_t columns = 0, first = 0;
  for (const FrozenSource& source : sources) columns += source.feature_count();
  Tensor all({samples.size(), columns}, DType::f32, Device::cpu());
  for (const FrozenSource& source : sources) {
    const Tensor block = source.features(samples);
    for (std::int64_t i = 0; i < samples.size(); ++i) {
      std::copy_n(block.data_as<float>() + i * block.extent(1), block.extent(1),
                  all.data_as<float>() + i * columns + first);
    }
    first += block.extent(1);
  }
  return all;
}

/// By the training rows' means and variances, as a batch norm in front of the probe does it.
void standardise(Tensor& training, Tensor& test) {
  const std::int64_t columns = training.extent(1);
  for (std::int64_t j = 0; j < columns; ++j) {
    double sum = 0, squares = 0;
    const float* x = training.data_as<float>() + j;
    const auto rows = static_cast<double>(training.extent(0));
    for (std::int64_t i = 0; i < training.extent(0); ++i) sum += x[i * columns];
    const double mean = sum / rows;
    for (std::int64_t i = 0; i < training.extent(0); ++i) squares += (x[i * columns] - mean) * (x[i * columns] - mean);
    const double factor = 1 / std::sqrt(squares / rows + 1e-5);
    for (Tensor* table : {&training, &test}) {
      float* values = table->data_as<float>() + j;
      for (std::int64_t i = 0; i < table->extent(0); ++i) {
        values[i * columns] = static_cast<float>((values[i * columns] - mean) * factor);
      }
    }
  }
}

double ridge_accuracy(const Tensor& training, const Tensor& classes, const Tensor& test, const data::Dataset& labels,
                      const Device& device) {
  const solvers::RidgePath path(device, training, classes, solvers::logarithmic_penalties(1e-6, 1e4, 21));
  return transfer::score(path.predict(test, path.best_penalty()), labels).accuracy;
}

}  // namespace

ProbeScores probe_features(const std::vector<FrozenSource>& sources, const data::TrainTest& task,
                           const Device& device) {
  Tensor training = side_by_side(sources, task.train), test = side_by_side(sources, task.test);
  const Tensor classes = one_hot(task.train);
  ProbeScores scores;
  scores.plain = ridge_accuracy(training, classes, test, task.test, device);
  standardise(training, test);
  scores.batch_norm = ridge_accuracy(training, classes, test, task.test, device);
  return scores;
}

}  // namespace rtl::studies::ensemble
