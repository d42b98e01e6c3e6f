#include "studies/ensemble/pretraining.hpp"

#include <fmt/format.h>

#include "rtl/core/random.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/transfer/strategies.hpp"
#include "studies/thin_networks.hpp"

namespace rtl::studies::ensemble {
namespace {

using transfer::FrozenSource;

constexpr auto normalization = data::Normalization::cifar;
constexpr const char* architecture = "thin_resnet";
/// Beside the members' numbers.
constexpr int wide_number = 1000, towers_number = 1001, student_number = 1002;

FrozenSource frozen(std::unique_ptr<layers::Network> network) {
  return FrozenSource(std::move(network), data::InputNormalization(normalization));
}

/// A copy of the network that a strategy has trained.
FrozenSource frozen_copy(transfer::Predictor& predictor, const Device& device) {
  return frozen(layers::clone(dynamic_cast<transfer::NetworkPredictor&>(predictor).network(), device));
}

}  // namespace

std::string Recipe::text() const {
  return fmt::format(
      "thin_resnet:{0} (residual, 8 layers, {0}-{1}-{2} channels, {2} features), images of 16 x 16, {3} for the source "
      "and {4} for the target; T = {5} epochs, batches of 64, SGD with momentum 0.9, rate {6} falling to 0 along half "
      "a "
      "cosine in each run, weight decay {7}, augmentation: {8}",
      width, 2 * width, 4 * width, source_images > 0 ? std::to_string(source_images) : "all",
      target_images > 0 ? std::to_string(target_images) : "all", epochs, rate, decay, augmentation);
}

Pretraining::Pretraining(const data::Dataset& samples, const Recipe& recipe, std::uint64_t seed, const Device& device,
                         const std::function<bool()>& stop)
    : samples_(samples), recipe_(recipe), seed_(seed), device_(device), stop_(stop) {
  register_thin_networks();
}

std::uint64_t Pretraining::seed_of(int member) const { return mix(seed_, static_cast<std::uint64_t>(member)); }

std::unique_ptr<layers::Network> Pretraining::network(const std::string& variant, std::uint64_t seed) const {
  return layers::make_network(
      {.name = architecture, .variant = variant, .input = samples_.sample_shape(), .classes = samples_.classes},
      device_, seed);
}

transfer::TrainingOptions Pretraining::training(std::uint64_t seed, int epochs) const {
  transfer::TrainingOptions options;
  options.learning_rate = recipe_.rate;
  options.weight_decay = recipe_.decay;
  options.schedule = transfer::ScheduleKind::cosine;
  options.augment = transfer::parse_augmentation(recipe_.augmentation);
  options.epochs = epochs;
  options.seed = seed;
  options.stop = stop_;
  return options;
}

FrozenSource Pretraining::trained(const std::string& variant, std::uint64_t seed, int epochs) const {
  auto one = network(variant, seed);
  transfer::train(*one, samples_, normalization, training(seed, epochs));
  return frozen(std::move(one));
}

FrozenSource Pretraining::untrained(int member) const { return frozen(network(member_variant(), seed_of(member))); }

FrozenSource Pretraining::member(int member, int epochs) const {
  return trained(member_variant(), seed_of(member), epochs);
}

FrozenSource Pretraining::wide() const {
  return trained(std::to_string(2 * recipe_.width), seed_of(wide_number), recipe_.epochs);
}

FrozenSource Pretraining::towers(int count) const {
  return trained(fmt::format("{}-{}", recipe_.width, count), seed_of(towers_number), recipe_.epochs);
}

std::vector<FrozenSource> Pretraining::snapshots(int count) const {
  // The strategy goes on training a source: here the first member before its first step.
  const transfer::Fitted fitted =
      transfer::fit(fmt::format("snapshots:snapshots={}:head_start=pretrained", count), {untrained(0)}, samples_,
                    training(seed_of(0), recipe_.epochs), {.device = device_});
  std::vector<FrozenSource> all;
  for (const transfer::StackMember& cycle : dynamic_cast<transfer::Stack&>(fitted.predictor()).members()) {
    all.push_back(frozen_copy(*cycle.predictor, device_));
  }
  return all;
}

FrozenSource Pretraining::distilled(const std::vector<FrozenSource>& teachers) const {
  const transfer::Fitted fitted = transfer::fit("ensemble-distill:student_heads=many:teachers=own:teacher_weight=1",
                                                teachers, samples_, training(seed_of(student_number), recipe_.epochs),
                                                {.model = fmt::format("{}:{}", architecture, member_variant()),
                                                 .normalization = normalization,
                                                 .device = device_});
  return frozen_copy(fitted.predictor(), device_);
}

}  // namespace rtl::studies::ensemble
