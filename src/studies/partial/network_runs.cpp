#include "studies/partial/network_runs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "rtl/core/random.hpp"
#include "rtl/data/stress.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/transfer/source.hpp"
#include "rtl/transfer/strategies.hpp"
#include "studies/thin_networks.hpp"

namespace rtl::studies::partial {
namespace {

using transfer::FrozenSource;

constexpr auto normalization = data::Normalization::cifar;
/// Streams of a seed.
enum : std::uint64_t { classes_stream = 0x636c6173, upstream_stream };

/// Greatest difference of parameters and buffers of two states of the same tensors.
double largest_difference(const layers::ModuleState& a, const layers::ModuleState& b) {
  double largest = 0;
  for (const auto& [left, right] : {std::pair{&a.parameters, &b.parameters}, std::pair{&a.buffers, &b.buffers}}) {
    if (left->size() != right->size()) throw ShapeError("largest_difference: the networks differ");
    for (std::size_t k = 0; k < left->size(); ++k) {
      const std::vector<float> x = (*left)[k].value().to_vector<float>(), y = (*right)[k].value().to_vector<float>();
      for (std::size_t i = 0; i < x.size(); ++i) {
        largest = std::max(largest, std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
      }
    }
  }
  return largest;
}

layers::ModuleState trunk_of(layers::Network& network) {
  layers::ModuleState state;
  network.visit_trunk("", state);
  return state;
}

data::Dataset drawn(const data::Dataset& samples, std::int64_t count, std::uint64_t seed) {
  if (count == 0 || count >= samples.size()) return samples.clone();
  const std::vector<std::int32_t> labels = samples.labels.to_vector<std::int32_t>();
  return samples.subset(data::stratified_subset(labels, samples.classes, count, seed));
}

class Run {
 public:
  Run(const data::TrainTest& images, const NetworkRecipe& recipe, std::uint64_t seed, const std::function<bool()>& stop)
      : recipe_(recipe), seed_(seed), stop_(stop), device_(Device::cpu(1).separate()) {
    const std::vector<std::int64_t> order = RandomSequence(seed, classes_stream).permutation(images.train.classes);
    const auto middle = order.begin() + static_cast<std::ptrdiff_t>(order.size() / 2);
    const std::vector<std::int64_t> first(order.begin(), middle), second(middle, order.end());
    upstream_ = {.train = drawn(with_classes(images.train, first), recipe.upstream_images, seed),
                 .test = with_classes(images.test, first)};
    downstream_ = {.train = drawn(with_classes(images.train, second), recipe.downstream_images, seed),
                   .test = with_classes(images.test, second)};
  }

  NetworkRun run() {
    const transfer::Fitted scratch = fit_downstream("scratch", {}, recipe_.downstream_epochs);
    result_.scratch = transfer::evaluate(scratch, downstream_.test).accuracy;
    const std::vector<Start> starts = all_starts();
    for (const Training training : {Training::images, Training::fewer_images, Training::noisy_images,
                                    Training::random_labels, Training::nothing}) {
      const FrozenSource source = upstream(training);
      result_.upstream[to_string(training)] = transfer::score(source.logits(upstream_.test), upstream_.test).accuracy;
      if (training == Training::images) compare_ends(source, scratch);
      for (const Start& start : starts) {
        if (start.upstream != training || stop_()) continue;
        const transfer::Fitted fitted = fit_downstream(strategy(start), {source}, recipe_.downstream_epochs);
        result_.accuracies[start.name()] = transfer::evaluate(fitted, downstream_.test).accuracy;
      }
    }
    return result_;
  }

 private:
  static std::string strategy(const Start& start) {
    return fmt::format("partial:copy_fraction={}:copy_unit={}:copy_order={}", start.alpha, start.unit,
                       start.unit == "blocks" ? "first" : "random");
  }

  transfer::TrainingOptions training(std::int64_t epochs, std::uint64_t seed) const {
    transfer::TrainingOptions options;
    options.learning_rate = recipe_.rate;
    options.weight_decay = recipe_.decay;
    options.schedule = transfer::ScheduleKind::cosine;
    options.batch_size = 32;
    options.augment = transfer::parse_augmentation(recipe_.augmentation);
    options.epochs = epochs;
    options.seed = seed;
    options.stop = stop_;
    return options;
  }

  transfer::Fitted fit_downstream(const std::string& strategy, const std::vector<FrozenSource>& sources,
                                  std::int64_t epochs) const {
    return transfer::fit(strategy, sources, downstream_.train, training(epochs, seed_),
                         {.model = recipe_.model, .normalization = normalization, .device = device_});
  }

  FrozenSource upstream(Training kind) const {
    const std::uint64_t seed = mix(seed_, upstream_stream);
    const std::size_t colon = recipe_.model.find(':');
    auto network = layers::make_network({.name = recipe_.model.substr(0, colon),
                                         .variant = recipe_.model.substr(colon + 1),
                                         .input = upstream_.train.sample_shape(),
                                         .classes = upstream_.train.classes},
                                        device_, seed);
    transfer::TrainingOptions options = training(recipe_.upstream_epochs, seed);
    data::Dataset samples = upstream_.train.clone();
    if (kind == Training::fewer_images) samples = drawn(upstream_.train, recipe_.few_images, seed);
    if (kind == Training::noisy_images) samples = data::with_input_noise(upstream_.train, recipe_.noise, seed);
    // Every label is as likely as every other then.
    if (kind == Training::random_labels) options.label_flips = 1 - 1 / static_cast<double>(samples.classes);
    if (kind != Training::nothing) transfer::train(*network, samples, normalization, options);
    return FrozenSource(std::move(network), data::InputNormalization(normalization));
  }

  void compare_ends(const FrozenSource& source, const transfer::Fitted& scratch) {
    const transfer::Fitted nothing = fit_downstream(strategy({.alpha = 0}), {source}, recipe_.downstream_epochs);
    result_.nothing_inherited = largest_difference(nothing.state(), scratch.state());
    const transfer::Fitted all = fit_downstream(strategy({.alpha = 1}), {source}, 0);
    auto& inherited = dynamic_cast<transfer::NetworkPredictor&>(all.predictor()).network();
    result_.all_inherited = largest_difference(trunk_of(inherited), trunk_of(*source.copy_network(device_)));
  }

  const NetworkRecipe& recipe_;
  std::uint64_t seed_;
  const std::function<bool()>& stop_;
  Device device_;
  data::TrainTest upstream_, downstream_;
  NetworkRun result_;
};

}  // namespace

std::string NetworkRecipe::text() const {
  return fmt::format(
      "{}; images of 16 x 16: {} upstream ({} where there are fewer), {} downstream; {} and {} epochs, batches of 32, "
      "SGD with momentum 0.9, rate {} falling to 0 along half a cosine, weight decay {}, augmentation {}; noise {}",
      model, upstream_images > 0 ? std::to_string(upstream_images) : "all", few_images, downstream_images,
      upstream_epochs, downstream_epochs, rate, decay, augmentation, noise);
}

const char* to_string(Training training) {
  constexpr std::array names = {"images", "fewer images", "noisy images", "random labels", "nothing"};
  return names[static_cast<std::size_t>(training)];
}

std::string Start::name() const { return fmt::format("{}, {}, alpha {}", to_string(upstream), unit, alpha); }

std::vector<Start> all_starts() {
  std::vector<Start> all;
  for (const double alpha : {.2, .5, .8, 1.}) all.push_back({.alpha = alpha});
  for (const double alpha : {.2, .5, .8}) all.push_back({.alpha = alpha, .unit = "blocks"});
  for (const Training upstream :
       {Training::fewer_images, Training::noisy_images, Training::random_labels, Training::nothing}) {
    for (const double alpha : {.5, 1.}) all.push_back({.upstream = upstream, .alpha = alpha});
  }
  return all;
}

data::Dataset with_classes(const data::Dataset& samples, const std::vector<std::int64_t>& classes) {
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(samples.classes), -1);
  for (std::size_t k = 0; k < classes.size(); ++k) {
    numbers.at(static_cast<std::size_t>(classes[k])) = static_cast<std::int32_t>(k);
  }
  const std::vector<std::int32_t> labels = samples.labels.to_vector<std::int32_t>();
  std::vector<std::int64_t> rows;
  std::vector<std::int32_t> renumbered;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::int32_t number = numbers[static_cast<std::size_t>(labels[i])];
    if (number < 0) continue;
    rows.push_back(static_cast<std::int64_t>(i));
    renumbered.push_back(number);
  }
  data::Dataset result = samples.subset(rows);
  const auto count = static_cast<std::int64_t>(renumbered.size());
  result.labels = Tensor::from(renumbered, {count}, Device::cpu(1));
  result.classes = static_cast<std::int64_t>(classes.size());
  result.class_names.clear();
  return result;
}

NetworkRun run_networks(const data::TrainTest& images, const NetworkRecipe& recipe, std::uint64_t seed,
                        const std::function<bool()>& stop) {
  register_thin_networks();
  return Run(images, recipe, seed, stop).run();
}

}  // namespace rtl::studies::partial
