#include "transfer/adapted_network.hpp"

#include <fmt/format.h>

#include <utility>

#include "rtl/graph/operations.hpp"
#include "rtl/layers/initialization.hpp"
#include "rtl/transfer/archive.hpp"
#include "transfer/outputs_plan.hpp"
#include "transfer/predictor_kinds.hpp"

namespace rtl::transfer {

namespace detail {
namespace {

/// A recorded pass of one sample, with these hooks.
void record_pass(layers::Network& network, const layers::Hooks& hooks) {
  graph::Graph graph(network.device());
  std::vector<std::int64_t> extents{1};
  for (const std::int64_t extent : network.architecture().input.extents()) extents.push_back(extent);
  const Shape shape{std::span<const std::int64_t>(extents)};
  const DType inputs = network.architecture().takes_tokens() ? DType::i32 : network.dtype();
  network.features(graph.input("sample", shape, inputs), {.hooks = &hooks});
}

}  // namespace

std::vector<Branch> residual_branches(layers::Network& network) {
  std::vector<Branch> branches;
  layers::Hooks hooks;
  hooks.branch = [&](const layers::Parameter& last, const graph::Value& branch) {
    branches.push_back({last.name, branch.extent(-1)});
    return branch;
  };
  record_pass(network, hooks);
  return branches;
}

AdaptedNetwork::AdaptedNetwork(std::unique_ptr<layers::Network> network, data::InputNormalization normalization,
                               const std::vector<std::int64_t>& widths, std::uint64_t seed)
    : base_(std::move(network), std::move(normalization)), hooked_(base_, {}), widths_(widths) {
  layers::ModuleState head;
  base_.network().visit_head("", head);
  for (const layers::NamedParameter& parameter : head.parameters) parameter.parameter->trainable = true;
  const std::vector<Branch> branches = residual_branches(base_.network());
  if (branches.size() != widths.size()) {
    throw ValueError(fmt::format("AdaptedNetwork: {} has {} residual branches, not {}",
                                 base_.network().architecture().to_string(), branches.size(), widths.size()));
  }
  for (std::size_t i = 0; i < branches.size(); ++i) add_bottleneck(branches[i], widths[i], seed);
  hooked_.hooks().branch = [this](const layers::Parameter& last, const graph::Value& branch) {
    return behind_.at(last.name)(branch);
  };
}

void AdaptedNetwork::add_bottleneck(const Branch& branch, std::int64_t width, std::uint64_t seed) {
  const Device device = base_.network().device();
  const std::string name = branch.last.substr(0, branch.last.rfind('.')) + ".bottleneck.";
  Tensor drawn({width, branch.channels}, DType::f32, device);
  layers::initialize_weight(layers::Initialization::uniform_fan_in, seed, name + "down.weight", drawn);
  const layers::Parameter& down = hooked_.add(name + "down.weight", std::move(drawn));
  const layers::Parameter& down_bias = hooked_.add(name + "down.bias", Tensor::zeros({width}, DType::f32, device));
  const layers::Parameter& up =
      hooked_.add(name + "up.weight", Tensor::zeros({branch.channels, width}, DType::f32, device));
  const layers::Parameter& up_bias =
      hooked_.add(name + "up.bias", Tensor::zeros({branch.channels}, DType::f32, device));
  behind_[branch.last] = [&](const graph::Value& r) {
    const std::int64_t channels = r.extent(-1);
    const graph::Value pixels = graph::reshape(r, {r.shape().count() / channels, channels});
    const graph::Value inner = graph::relu(graph::linear(pixels, read_in(r, down), read_in(r, down_bias)));
    return graph::add(r, graph::reshape(graph::linear(inner, read_in(r, up), read_in(r, up_bias)), r.shape()));
  };
}

Tensor AdaptedNetwork::predict(const data::Dataset& samples, const FeatureLookup& /*features*/) {
  return outputs_of(*this, samples, normalization(), {}, outputs_count(), base_.network().device());
}

std::vector<layers::NamedParameter> AdaptedNetwork::bottlenecks() {
  const std::vector<layers::NamedParameter> all = state().parameters;
  const auto own = static_cast<std::ptrdiff_t>(base_.state().parameters.size());
  return {all.begin() + own, all.end()};
}

void AdaptedNetwork::write(ArchiveWriter& archive) {
  archive.network("network", base_.network(), normalization());
  archive.integer("branches", static_cast<std::int64_t>(widths_.size()));
  for (std::size_t i = 0; i < widths_.size(); ++i) archive.integer(fmt::format("width{}", i), widths_[i]);
  for (const layers::NamedParameter& parameter : bottlenecks()) archive.tensor(parameter.name, parameter.value());
}

}  // namespace detail

namespace predictors {
namespace {

std::unique_ptr<Predictor> read_adapted_network(const ArchiveReader& archive) {
  auto network = archive.network("network");
  const std::vector<detail::Branch> branches = detail::residual_branches(*network);
  if (archive.integer("branches") != static_cast<std::int64_t>(branches.size())) {
    archive.fail(fmt::format("its network has {} residual branches", branches.size()));
  }
  std::vector<std::int64_t> widths;
  for (std::size_t i = 0; i < branches.size(); ++i) {
    widths.push_back(archive.integer(fmt::format("width{}", i)));
    // A damaged number must not ask for memory that the file does not have.
    const std::string name = branches[i].last.substr(0, branches[i].last.rfind('.')) + ".bottleneck.down.bias";
    archive.tensor(name, {widths.back()});
  }
  auto made = std::make_unique<detail::AdaptedNetwork>(std::move(network), archive.normalization("network"), widths, 0);
  for (const layers::NamedParameter& parameter : made->bottlenecks()) {
    copy_bytes(archive.tensor(parameter.name, parameter.value().shape()), parameter.value());
  }
  return made;
}

}  // namespace

const PredictorKind& adapted_network() {
  static const PredictorKind kind{"adapted_network", read_adapted_network};
  return kind;
}

}  // namespace predictors
}  // namespace rtl::transfer
