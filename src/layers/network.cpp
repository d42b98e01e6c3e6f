#include "rtl/layers/network.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/joined.hpp"
#include "rtl/core/random.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/layers/initialization.hpp"

namespace rtl::layers {
namespace {

/// Both networks' tensors side by side; throws before anything is touched if they differ.
void check_same(const std::string& name, const std::string& other, const Tensor& from, const Tensor& to) {
  if (name != other || from.shape() != to.shape() || from.dtype() != to.dtype()) {
    throw ShapeError(fmt::format("copy_state: {} {} {} cannot go to {} {} {}", name, from.shape().to_string(),
                                 name_of(from.dtype()), other, to.shape().to_string(), name_of(to.dtype())));
  }
}

}  // namespace

Value Network::drop_features(const Value& features, const ForwardContext& context) const {
  if (!context.training) return features;
  static const std::uint64_t stream = stream_of("features");
  return graph::dropout(features, head_dropout(), stream, context.counters);
}

Value Network::output_of(const std::string& layer, const Value& x, const ForwardContext& context) {
  const std::vector<std::string> names = layer_names();
  if (std::find(names.begin(), names.end(), layer) == names.end()) {
    throw ValueError(fmt::format("{} has no layer '{}'; there {}", architecture().to_string(), layer,
                                 names.empty() ? "is none to take features from" : "are " + joined(names, ", ")));
  }
  return forward_to(layer, x, context);
}

Value Network::features_at(const std::string& layer, const Value& x, const ForwardContext& context) {
  const Value y = output_of(layer, x, context);
  if (y.rank() == 3) return graph::sequence_mean(y, x.dtype() == DType::i32 ? graph::sequence_lengths(x) : Value());
  return y.rank() == 4 ? graph::global_average_pool(y) : y;
}

Value Network::forward_to(const std::string& layer, const Value&, const ForwardContext&) {
  throw ValueError(fmt::format("{} names the layer '{}' and does not record it", architecture().to_string(), layer));
}

Device Network::device() { return state().parameters.front().value().device(); }
DType Network::dtype() { return state().parameters.front().value().dtype(); }

void copy_state(Module& from, Module& to) {
  ModuleState source = from.state();
  ModuleState target = to.state();
  if (source.parameters.size() != target.parameters.size() || source.buffers.size() != target.buffers.size()) {
    throw ShapeError(fmt::format("copy_state: {} parameters and {} buffers cannot go to {} and {}",
                                 source.parameters.size(), source.buffers.size(), target.parameters.size(),
                                 target.buffers.size()));
  }
  for (std::size_t i = 0; i < source.parameters.size(); ++i) {
    check_same(source.parameters[i].name, target.parameters[i].name, source.parameters[i].value(),
               target.parameters[i].value());
  }
  for (std::size_t i = 0; i < source.buffers.size(); ++i) {
    check_same(source.buffers[i].name, target.buffers[i].name, source.buffers[i].value(), target.buffers[i].value());
  }
  for (std::size_t i = 0; i < source.parameters.size(); ++i) {
    copy_bytes(source.parameters[i].value(), target.parameters[i].value());
  }
  for (std::size_t i = 0; i < source.buffers.size(); ++i) {
    copy_bytes(source.buffers[i].value(), target.buffers[i].value());
  }
}

std::unique_ptr<Network> clone(Network& network, const Device& device) {
  std::unique_ptr<Network> copy = make_network(network.architecture(), device, 0, network.dtype());
  copy_state(network, *copy);
  return copy;
}

}  // namespace rtl::layers
