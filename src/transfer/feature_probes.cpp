#include "transfer/feature_probes.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "rtl/kernels/gather.hpp"
#include "transfer/clipped_gram.hpp"

namespace rtl::transfer::detail {
namespace {

using Rows = std::vector<std::int64_t>;

/// More sources than this have no probe each, beside that on all.
constexpr std::size_t most_own_probes = 8;
/// Of the parts' sums of products.
constexpr double most_bytes_of_sums = 512 << 20;

Tensor order_of(const Rows& rows, const Device& device) {
  return Tensor::from(rows, {static_cast<std::int64_t>(rows.size())}, device);
}

Rows others(std::int64_t count, const Rows& part) {
  Rows all(static_cast<std::size_t>(count)), rest;
  std::iota(all.begin(), all.end(), 0);
  std::set_difference(all.begin(), all.end(), part.begin(), part.end(), std::back_inserter(rest));
  return rest;
}

/// What the blocks make of raw features, which are taken over, side by side.
Tensor columns_of(const std::vector<FrozenBlock>& blocks, std::vector<Tensor> raw) {
  std::vector<Tensor> columns;
  for (std::size_t k = 0; k < blocks.size(); ++k) columns.push_back(blocks[k].scaled(std::move(raw[k])));
  return columns.size() == 1 ? std::move(columns.front()) : side_by_side(columns);
}

}  // namespace

FeatureProbes::Features FeatureProbes::features(const std::vector<std::size_t>& sources, bool standardized,
                                                const Tensor& rows) const {
  Features result;
  for (const std::size_t k : sources) {
    Tensor raw({rows.count(), raw_[k].extent(1)}, DType::f32, rows.device());
    kernels::gather_rows(rows.device(), raw_[k], rows, raw);
    result.blocks.push_back(standardized ? FrozenBlock::fit(sources_[k], raw, FeatureScaling::standardize, 1, clip_)
                                         : FrozenBlock::fit_centred(sources_[k], raw));
    result.raw.push_back(std::move(raw));
  }
  return result;
}

/// Of these sources' features, standardised and clipped; of classes, if their exact leave-one-out loss is smaller, all
/// in one scale: where most of the features tell little, what they are worth may be in their deviations.
FeatureProbe FeatureProbes::fitted(std::vector<std::size_t> sources, const Tensor& rows) const {
  const auto fit = [&](bool standardized) {
    Features seen = features(sources, standardized, rows);
    const Tensor columns = columns_of(seen.blocks, std::move(seen.raw));
    return calibrated_probe(std::move(seen.blocks), columns, targets_);
  };
  FeatureProbe best{sources, true, fit(true)};
  if (!targets_.task.regression) {
    CalibratedProbe centred = fit(false);
    if (centred.loss < best.fit.loss) best = {std::move(sources), false, std::move(centred)};
  }
  return best;
}

std::vector<FeatureProbe> FeatureProbes::of_all_rows(bool each) const {
  std::vector<std::size_t> all(raw_.size());
  std::iota(all.begin(), all.end(), 0);
  const Tensor order = order_of(others(targets_.rows(), {}), raw_.front().device());
  std::vector<FeatureProbe> probes;
  probes.push_back(fitted(std::move(all), order));
  const bool several = raw_.size() > 1 && raw_.size() <= most_own_probes;
  for (std::size_t k = 0; each && several && k < raw_.size(); ++k) probes.push_back(fitted({k}, order));
  return probes;
}

/// Folds, each with fewer rows than the columns leave over: the Gram matrices of their complements are differences.
bool FeatureProbes::share_sums(const std::vector<Rows>& parts) const {
  std::int64_t columns = 0, covered = 0, largest = 0;
  for (const Tensor& raw : raw_) columns += raw.extent(1);
  for (const Rows& part : parts) {
    covered += static_cast<std::int64_t>(part.size());
    largest = std::max(largest, static_cast<std::int64_t>(part.size()));
  }
  const auto width = static_cast<double>(columns + targets_.task.outputs);
  return parts.size() > 2 && !raw_.front().device().is_cuda() && covered == targets_.rows() &&
         columns <= covered - largest && 8 * width * width * static_cast<double>(parts.size()) <= most_bytes_of_sums;
}

std::unique_ptr<solvers::PartGrams> FeatureProbes::sums_of(const std::vector<Rows>& parts) const {
  Rows order;
  std::vector<std::int64_t> sizes;
  for (const Rows& part : parts) {
    order.insert(order.end(), part.begin(), part.end());
    sizes.push_back(static_cast<std::int64_t>(part.size()));
  }
  const Device& device = raw_.front().device();
  const Tensor rows = order_of(order, device);
  std::vector<Tensor> columns;
  for (const Tensor& raw : raw_) {
    columns.emplace_back(Shape{rows.count(), raw.extent(1)}, DType::f32, device);
    kernels::gather_rows(device, raw, rows, columns.back());
  }
  const RowTargets targets = targets_.subset(order);
  const Tensor weights = targets.row_weights(device);
  return std::make_unique<solvers::PartGrams>(
      "safe", device, columns.size() == 1 ? std::move(columns.front()) : side_by_side(columns), targets.columns(device),
      weights.defined() ? weights.view() : ConstView(), sizes);
}

std::vector<FeatureProbes::Heads> FeatureProbes::without(const std::vector<Rows>& parts,
                                                         const std::vector<FeatureProbe>& all_rows) const {
  const std::unique_ptr<solvers::PartGrams> sums = share_sums(parts) ? sums_of(parts) : nullptr;
  std::vector<std::int64_t> first_columns{0};
  for (const Tensor& raw : raw_) first_columns.push_back(first_columns.back() + raw.extent(1));
  std::vector<Heads> all;
  for (std::size_t part = 0; part < parts.size(); ++part) {
    const Rows rows = others(targets_.rows(), parts[part]);
    const Tensor order = order_of(rows, raw_.front().device());
    const RowTargets targets = targets_.subset(rows);
    std::optional<solvers::PartGrams::Rest> rest;
    if (sums != nullptr) rest = sums->without(part);
    Heads& heads = all.emplace_back();
    for (const FeatureProbe& probe : all_rows) {
      Features seen = features(probe.sources, probe.standardized, order);
      std::optional<solvers::RidgeFit> fit;
      if (rest) {
        fit = ridge_of_clipped(*rest, first_columns[probe.sources.front()], seen.blocks, seen.raw, targets,
                               probe.fit.alpha);
      }
      if (fit) {
        heads.push_back(calibrated_head(std::move(seen.blocks), *fit, targets, probe.fit.temperature));
        continue;
      }
      const Tensor columns = columns_of(seen.blocks, std::move(seen.raw));
      heads.push_back(probe_with(std::move(seen.blocks), columns, targets, probe.fit.alpha, probe.fit.temperature));
    }
  }
  return all;
}

}  // namespace rtl::transfer::detail
