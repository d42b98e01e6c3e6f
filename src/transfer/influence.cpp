#include "transfer/influence.hpp"

#include <cmath>
#include <utility>

namespace rtl::transfer::detail {
namespace {

/// Root mean square of values [rows, columns] after taking away each column's mean and, if `rows_too`, then each row's:
/// what is left is what moves predictions from sample to sample.
double centred_deviation(const std::vector<double>& values, std::size_t columns, bool rows_too) {
  if (values.empty()) return 0;
  const std::size_t rows = values.size() / columns;
  std::vector<double> mean(columns);
  for (std::size_t i = 0; i < values.size(); ++i) mean[i % columns] += values[i] / static_cast<double>(rows);
  double squares = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    double row_mean = 0;
    for (std::size_t c = 0; rows_too && c < columns; ++c) row_mean += values[i * columns + c] - mean[c];
    row_mean /= static_cast<double>(columns);
    for (std::size_t c = 0; c < columns; ++c) {
      const double rest = values[i * columns + c] - mean[c] - row_mean;
      squares += rest * rest;
    }
  }
  return std::sqrt(squares / static_cast<double>(values.size()));
}

}  // namespace

std::size_t InfluenceSum::add_block(std::string name) {
  blocks_.push_back({.name = std::move(name)});
  return blocks_.size() - 1;
}

void InfluenceSum::add(std::size_t block, const Tensor& seen, const Tensor& share, double weight, double temperature) {
  Block& own = blocks_[block];
  own.features = seen.extent(1);
  own.outputs = static_cast<std::size_t>(share.extent(1));
  double squares = 0;
  for (const float value : seen.to_vector<float>()) squares += static_cast<double>(value) * value;
  own.weight += weight;
  own.squared_norm += weight * squares / static_cast<double>(seen.extent(0));
  const std::vector<float> values = share.to_vector<float>();
  own.share.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) own.share[i] += weight * temperature * values[i];
}

std::vector<BlockInfluence> InfluenceSum::result() const {
  std::vector<BlockInfluence> all;
  double total = 0;
  for (const Block& block : blocks_) {
    const double norm = block.weight > 0 ? std::sqrt(block.squared_norm / block.weight) : 0;
    const double deviation = centred_deviation(block.share, block.outputs, !regression_);
    all.push_back({block.name, block.features, norm, deviation, 0});
    total += deviation * deviation;
  }
  for (BlockInfluence& entry : all) {
    entry.share = total > 0 ? entry.logit_deviation * entry.logit_deviation / total : 0;
  }
  return all;
}

}  // namespace rtl::transfer::detail
