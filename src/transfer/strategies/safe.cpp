// Safe transfer: a residual encoder beside clipped, scaled, sometimes absent frozen features, read out with them and
// without, and a calibrated probe, weighted by how each does on rows that were left out.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "rtl/core/random.hpp"
#include "rtl/data/split.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/transfer/strategy.hpp"
#include "transfer/feature_probes.hpp"
#include "transfer/read_out_weights.hpp"

namespace rtl::transfer::recipes {
namespace {

enum class Fits : std::uint8_t { folds, two, one };

struct Options {
  Fits fits = Fits::folds;
  std::int64_t folds = 4;
  double block_scale = 4;
  double block_dropout = 0.5;
  double clip = 6;
  double prior_count = 5;
  double tolerance = 0;

  void visit(OptionVisitor& option) {
    option("fits", fits, {"folds", "two", "one"},
           "networks that are trained: one a fold, whose mean predicts; one on three quarters to weigh its outputs and "
           "one on all; or one, whose outputs weigh alike");
    option("folds", folds, Range::between(2, 100), "of `fits` folds");
    option("block_scale", block_scale, Range::above(0), "c of (features / deviation * c / sqrt(p))");
    option("block_dropout", block_dropout, Range::from_below(0, 1),
           "probability with which a sample's frozen features are absent while training");
    option("clip", clip, Range::above(0), "deviations beyond which a feature is clipped");
    option("prior_count", prior_count, Range::above(0), "rows that each weight is given beforehand");
    option("tolerance", tolerance, Range{},
           "standard errors by which the network may be worse with the features than alone; beyond that the weight of "
           "the former is what prior_count gives");
  }
};

using Rows = std::vector<std::int64_t>;
using Probes = std::vector<detail::FeatureProbe>;

constexpr double held_out_share = 0.25;
constexpr std::size_t network_read_outs = 2;
constexpr std::int64_t few_rows = 10;
constexpr double little_trust = 0.2;

/// One network and its probes, trained on some of the rows.
struct Part {
  std::unique_ptr<const data::Dataset> own;  ///< of part of the rows
  const data::Dataset* dataset;
  TrainingOptions training;
  std::unique_ptr<FusedHead> network;
  std::vector<std::unique_ptr<FusedHead>> probes = {};
  Rows left_out;
  Tensor rows = {};                              ///< that it was trained on
  std::vector<Tensor> transforms = {};           ///< of the features of each source, as the network sees them
  std::vector<std::vector<float>> outputs = {};  ///< of each read-out on the rows left out
};

/// Too few rows, or one class.
struct NotTrainable {};

void check_trainable(const data::Dataset& dataset) {
  try {
    dataset.validate(true);
  } catch (const ValueError&) {
    throw NotTrainable();
  }
}

class SafeFit {
 public:
  SafeFit(FitContext& context, const Options& options)
      : context_(context),
        options_(options),
        targets_(detail::RowTargets::of(context)),
        raw_(features_of(context)),
        probes_(context.sources(), raw_, targets_, options.clip) {}

  /// Rows that are left out of each fit; none, where they are too few for that.
  std::vector<Rows> left_out() const {
    const std::int64_t rows = targets_.rows();
    if (options_.fits == Fits::one || (options_.fits == Fits::folds && rows < options_.folds)) return {};
    std::vector<Rows> parts;
    if (options_.fits == Fits::two) {
      parts.push_back(
          targets_.task.regression
              ? data::random_split(rows, held_out_share, context_.seed()).second
              : data::stratified_split(targets_.labels, targets_.task.outputs, held_out_share, context_.seed()).second);
      std::sort(parts.front().begin(), parts.front().end());
    } else {
      parts = targets_.task.regression
                  ? data::random_folds(rows, options_.folds, context_.seed())
                  : data::stratified_folds(targets_.labels, targets_.task.outputs, options_.folds, context_.seed());
    }
    return parts;
  }

  /// The network of one fit; throws NotTrainable where the rows that are left cannot be trained on.
  Part prepare(Rows left_out, std::size_t number) const {
    const Rows kept = others(left_out);
    const bool whole = left_out.empty();
    Part part{nullptr, &context_.train(), context_.training(), nullptr, {}, std::move(left_out)};
    if (!whole) {
      part.own = std::make_unique<const data::Dataset>(subset(kept));
      check_trainable(*part.own);
      part.dataset = part.own.get();
      if (!part.training.flip_each_epoch) part.training.label_flips = 0;  // the labels have theirs
      scale_epochs(part.training, static_cast<std::int64_t>(kept.size()));
    }
    part.training.seed = number == 0 ? context_.seed() : mix(context_.seed(), number);
    std::vector<FrozenBlock> blocks;
    part.rows = order_of(kept);
    for (std::size_t k = 0; k < raw_.size(); ++k) {
      const Tensor raw = gathered(k, part.rows);
      // All blocks together have the mean squared norm block_scale^2.
      const double share = static_cast<double>(raw.extent(1)) / static_cast<double>(columns());
      blocks.push_back(FrozenBlock::fit(context_.sources()[k], raw, FeatureScaling::balance,
                                        options_.block_scale * std::sqrt(share), options_.clip));
      part.transforms.push_back(
          FeatureTable::plain_transform(blocks.back().shift, blocks.back().factor, context_.device()));
    }
    part.network =
        std::make_unique<FusedHead>(context_.new_network(part.training.seed),
                                    data::fit_normalization(*part.dataset, context_.options().normalization),
                                    std::move(blocks), context_.task().outputs, context_.device(), part.training.seed);
    part.network->set_block_dropout(options_.block_dropout);
    return part;
  }

  /// Fitted to all rows: that on all sources and, if `each`, one on each where there are several. Fits that see the
  /// same rows and labels share them.
  std::shared_ptr<const Probes> probes(bool each) const {
    const TrainingOptions& training = context_.training();
    const std::uint64_t flips = training.label_flips > 0 ? training.flip_seed.value_or(training.seed) : 0;
    return context_.shared<Probes>(fmt::format("probes {} {} {}", each, training.label_flips, flips),
                                   [&] { return probes_.of_all_rows(each); });
  }

  /// Those of the rows that each part was trained on.
  void fit_probes(std::vector<Part>& parts, const Probes& all_rows) const {
    std::vector<Rows> left_out;
    for (const Part& part : parts) left_out.push_back(part.left_out);
    auto heads = probes_.without(left_out, all_rows);
    for (std::size_t k = 0; k < parts.size(); ++k) parts[k].probes = std::move(heads[k]);
  }

  Replica replica(Part& part) const {
    FusedHead& network = *part.network;
    TrainingData data{part.dataset, network.normalization(), {}};
    for (std::size_t k = 0; k < raw_.size(); ++k) {
      data.features.push_back(network.blocks()[k].stored(raw_[k], part.transforms[k], part.rows));
    }
    return {&network, std::move(data), part.training};
  }

  /// After its training: outputs in the units of all training rows.
  void finish(Part& part) const {
    part.transforms.clear();
    if (!targets_.task.regression || part.dataset == &context_.train()) return;
    const Task own = Task::of(*part.dataset);
    const Task& all = targets_.task;
    FusedHead& head = *part.network;
    std::vector<float> weight = head.weight().to_vector<float>(), bias = head.bias().to_vector<float>();
    const std::size_t columns = weight.size() / bias.size();
    for (std::size_t c = 0; c < bias.size(); ++c) {
      const double factor = own.deviation[c] / all.deviation[c];
      for (std::size_t j = 0; j < columns; ++j) {
        weight[c * columns + j] = static_cast<float>(factor * weight[c * columns + j]);
      }
      bias[c] = static_cast<float>(factor * bias[c] + (own.mean[c] - all.mean[c]) / all.deviation[c]);
    }
    const auto outputs = static_cast<std::int64_t>(bias.size());
    copy_bytes(Tensor::from(weight, {outputs, static_cast<std::int64_t>(columns)}, context_.device()), head.weight());
    copy_bytes(Tensor::from(bias, {outputs}, context_.device()), head.bias());
  }

  /// The outputs of every read-out on the rows that the part was not trained on.
  void read_out(Part& part) const {
    const data::Dataset samples = subset(part.left_out);
    const Tensor order = order_of(part.left_out);
    const std::vector<Tensor> shares =
        part.network->shares(part.network->head_inputs(samples, scaled(*part.network, order)));
    part.outputs = {sum_of(shares).to_vector<float>(), shares.front().to_vector<float>()};
    for (const auto& probe : part.probes) {
      part.outputs.push_back(sum_of(probe->shares(scaled(*probe, order))).to_vector<float>());
    }
  }

  /// Takes away parts whose training failed, with a warning.
  void drop_failed(std::vector<Part>& parts, const std::vector<std::optional<TrainingDiverged>>& divergences) const {
    std::vector<bool> failed(divergences.size());
    std::transform(divergences.begin(), divergences.end(), failed.begin(),
                   [](const auto& divergence) { return divergence.has_value(); });
    if (std::count(failed.begin(), failed.end(), true) == static_cast<std::ptrdiff_t>(parts.size())) {
      throw TrainingDiverged(*divergences.front());
    }
    erase(parts, failed);
    for (Part& part : parts) {
      finish(part);
      read_out(part);
    }
    if (context_.record().complete) {
      for (std::size_t read_out = 0; read_out < network_read_outs; ++read_out) erase(parts, failed_by(parts, read_out));
    }
    if (parts.size() == divergences.size()) return;
    context_.warn(fmt::format("{} of {} networks failed in training and are left out",
                              divergences.size() - parts.size(), divergences.size()));
  }

  std::vector<ReadOut> weigh(const std::vector<Part>& parts) const {
    Rows rows;
    std::vector<detail::LeftOutOutputs> outputs;
    for (const std::string& name : names(parts.front().outputs.size())) outputs.push_back({name, {}});
    for (const Part& part : parts) {
      rows.insert(rows.end(), part.left_out.begin(), part.left_out.end());
      for (std::size_t k = 0; k < outputs.size(); ++k) append(part.outputs[k], outputs[k].outputs);
    }
    return detail::weigh(targets_.subset(rows), outputs, {options_.prior_count, options_.tolerance});
  }

  /// With the same weight for each.
  std::vector<ReadOut> alike(std::size_t count) const {
    std::vector<ReadOut> read_outs;
    for (const std::string& name : names(count)) {
      read_outs.push_back({name, 1 / static_cast<double>(count), 1, NAN, NAN, NAN});
    }
    return read_outs;
  }

  void warn(const std::vector<Part>& parts, const std::vector<ReadOut>& read_outs) const {
    const std::int64_t classes = targets_.task.regression ? 1 : targets_.task.outputs;
    const auto rows = static_cast<std::int64_t>(parts.front().left_out.size());
    if (rows < few_rows * classes) {
      context_.warn(fmt::format("each part that is left out has {} samples, fewer than {}{}: the weights are rough",
                                rows, few_rows, targets_.task.regression ? "" : " a class"));
    }
    const double trust = 1 - read_outs[1].weight;
    if (trust < little_trust) {
      context_.warn(
          fmt::format("the source is hardly of use here: what looks at its features has the weight {:.2f}", trust));
    }
  }

 private:
  static std::vector<Tensor> features_of(const FitContext& context) {
    std::vector<Tensor> raw;
    for (std::size_t k = 0; k < context.sources().size(); ++k) raw.push_back(context.features(k));
    return raw;
  }

  static void append(const std::vector<float>& from, std::vector<float>& to) {
    to.insert(to.end(), from.begin(), from.end());
  }

  static void erase(std::vector<Part>& parts, const std::vector<bool>& failed) {
    std::vector<Part> kept;
    for (std::size_t k = 0; k < parts.size(); ++k) {
      if (!failed[k]) kept.push_back(std::move(parts[k]));
    }
    parts = std::move(kept);
  }

  std::vector<bool> failed_by(const std::vector<Part>& parts, std::size_t read_out) const {
    Rows rows;
    std::vector<float> outputs;
    std::vector<std::int64_t> sizes;
    for (const Part& part : parts) {
      rows.insert(rows.end(), part.left_out.begin(), part.left_out.end());
      append(part.outputs[read_out], outputs);
      sizes.push_back(static_cast<std::int64_t>(part.left_out.size()));
    }
    return detail::failed_parts(targets_.subset(rows), outputs, sizes);
  }

  std::int64_t columns() const {
    return std::accumulate(raw_.begin(), raw_.end(), std::int64_t{0},
                           [](std::int64_t sum, const Tensor& block) { return sum + block.extent(1); });
  }

  Rows others(const Rows& left_out) const {
    Rows kept;
    for (std::int64_t row = 0; row < targets_.rows(); ++row) {
      if (!std::binary_search(left_out.begin(), left_out.end(), row)) kept.push_back(row);
    }
    return kept;
  }

  /// With the labels that trainings see.
  data::Dataset subset(const Rows& rows) const {
    data::Dataset part = context_.train().subset(rows);
    if (!targets_.task.regression && !context_.training().flip_each_epoch) {
      part.labels = Tensor::from(targets_.subset(rows).labels, {part.size()}, part.labels.device());
    }
    return part;
  }

  /// As many steps as with all rows.
  void scale_epochs(TrainingOptions& training, std::int64_t rows) const {
    const auto batches = [&](std::int64_t size) { return (size + training.batch_size - 1) / training.batch_size; };
    const double factor = static_cast<double>(batches(targets_.rows())) / static_cast<double>(batches(rows));
    const auto scaled = [&](std::int64_t epochs) {
      return std::max<std::int64_t>(std::llround(factor * static_cast<double>(epochs)), 1);
    };
    training.epochs = scaled(training.epochs);
    training.schedule_epochs = scaled(training.schedule_epochs);
  }

  Tensor order_of(const Rows& rows) const {
    return Tensor::from(rows, {static_cast<std::int64_t>(rows.size())}, context_.device());
  }

  Tensor gathered(std::size_t source, const Tensor& rows) const {
    Tensor out({rows.count(), raw_[source].extent(1)}, DType::f32, context_.device());
    kernels::gather_rows(context_.device(), raw_[source], rows, out);
    return out;
  }

  /// The features of some rows, as a head sees them.
  std::vector<Tensor> scaled(const FusedHead& head, const Tensor& order) const {
    std::vector<Tensor> blocks;
    for (const FrozenBlock& block : head.blocks()) {
      const auto found = std::find(context_.sources().begin(), context_.sources().end(), block.source);
      blocks.push_back(block.scaled(gathered(static_cast<std::size_t>(found - context_.sources().begin()), order)));
    }
    return blocks;
  }

  Tensor sum_of(const std::vector<Tensor>& shares) const {
    Tensor sum = shares.front().clone();
    for (std::size_t k = 1; k < shares.size(); ++k) {
      kernels::binary(context_.device(), kernels::BinaryOp::add, sum, shares[k], sum);
    }
    return sum;
  }

  std::vector<std::string> names(std::size_t count) const {
    std::vector<std::string> names{"network with features", "network alone", "probe"};
    for (std::size_t k = 0; names.size() < count; ++k) names.push_back("probe of " + context_.sources()[k].name());
    return names;
  }

  FitContext& context_;
  const Options& options_;
  const detail::RowTargets targets_;
  const std::vector<Tensor> raw_;  ///< features of all training rows
  const detail::FeatureProbes probes_;
};

/// A part for each of the rows left out; none, where what is left cannot be trained on: too few rows, or one class.
std::vector<Part> prepare_all(const SafeFit& safe) {
  std::vector<Part> parts;
  try {
    for (Rows& rows : safe.left_out()) parts.push_back(safe.prepare(std::move(rows), parts.size()));
  } catch (const NotTrainable&) {
    parts.clear();
  }
  return parts;
}

std::vector<Replica> replicas_of(const SafeFit& safe, std::vector<Part>& parts) {
  std::vector<Replica> replicas;
  replicas.reserve(parts.size());
  for (Part& part : parts) replicas.push_back(safe.replica(part));
  return replicas;
}

/// Networks first: fits that are trained together then share the probes, which need no gradients.
Recipe fit(FitContext& context, Options options) {
  const SafeFit safe(context, options);
  std::vector<Part> parts = prepare_all(safe);
  std::shared_ptr<const Probes> probes;
  std::vector<ReadOut> read_outs;
  if (!parts.empty()) {
    const auto divergences = co_await context.train_each(replicas_of(safe, parts));
    probes = safe.probes(true);
    safe.fit_probes(parts, *probes);
    safe.drop_failed(parts, divergences);
    read_outs = safe.weigh(parts);
    safe.warn(parts, read_outs);
  } else if (options.fits != Fits::one) {
    context.warn("there are too few samples to leave some out: all outputs have the same weight");
  }
  if (parts.empty() || options.fits == Fits::two) {
    parts.clear();
    parts.push_back(safe.prepare({}, 0));
    co_await context.train_all(replicas_of(safe, parts));
    safe.finish(parts.front());
  }
  if (!probes) probes = safe.probes(false);
  if (read_outs.empty()) read_outs = safe.alike(network_read_outs + probes->size());
  std::vector<std::unique_ptr<FusedHead>> networks, heads;
  for (Part& part : parts) networks.push_back(std::move(part.network));
  for (const detail::FeatureProbe& probe : *probes) heads.push_back(detail::copy_of(*probe.fit.head));
  context.report(read_outs);
  co_return std::make_unique<ReadOuts>(context.task().regression, std::move(networks), std::move(heads),
                                       std::move(read_outs));
}

}  // namespace

const Strategy& safe() {
  static const StrategyOf<Options> strategy(
      {.name = "safe",
       .summary = "a residual encoder with and without the frozen features and a probe, weighted on rows left out",
       .reference = "docs/safe.md; after Xu et al. 2025 (REFINE) and Breiman 1996 (stacking)",
       .most_sources = std::numeric_limits<std::int64_t>::max(),
       .uses_features = true},
      fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes
