// Small sources, and what is compared with them, for the tests of strategies that train a source.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rtl/transfer/strategies.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer::testing {

/// A residual network, trained a little so that its running statistics and norms are no defaults.
inline FrozenSource residual_source(const Device& device, std::int64_t classes = 4) {
  auto network = make("resnet_cifar", "8", {8, 8, 3}, classes, 3, device);
  train(*network, make_images(9, 48, classes, 8, device), data::Normalization::half, quick(2));
  return FrozenSource(std::move(network), data::Normalization::half);
}

inline FrozenSource plain_source(const Device& device, std::int64_t classes = 4) {
  return FrozenSource(make("paper_cnn", "4-4-8-16", {8, 8, 3}, classes, 3, device));
}

using Values = std::map<std::string, std::vector<float>>;

inline Values named_values(const layers::ModuleState& state) {
  Values all;
  for (const auto& parameter : state.parameters) all[parameter.name] = parameter.value().to_vector<float>();
  for (const auto& buffer : state.buffers) all[buffer.name] = buffer.value().to_vector<float>();
  return all;
}

inline Values values_of_source(const FrozenSource& source) {
  return named_values(source.copy_network(source.device())->state());
}

/// Names of tensors that are not the source's any more.
inline std::vector<std::string> moved(const FrozenSource& source, const Fitted& fitted) {
  const Values before = values_of_source(source);
  std::vector<std::string> names;
  for (const auto& [name, values] : named_values(fitted.state())) {
    const auto found = before.find(name);
    if (found == before.end() || !same_bytes(found->second, values)) names.push_back(name);
  }
  return names;
}

inline Fitted fit_one(const std::string& strategy, const FrozenSource& source, const data::Dataset& data,
                      const TrainingOptions& training) {
  return fit(strategy, {source}, data, training);
}

inline void expect_equal(const Fitted& a, const Fitted& b) {
  EXPECT_TRUE(same_bytes(values_of(a.state()), values_of(b.state())));
  EXPECT_EQ(a.training().losses, b.training().losses);
}

}  // namespace rtl::transfer::testing
