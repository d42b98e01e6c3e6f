// What strategies are given that look at samples of the source.
#pragma once

#include <utility>

#include "transfer/support.hpp"

namespace rtl::transfer::testing {

/// A target with test rows, and samples of the source, which its options name; so it stays where it is made.
struct Setting {
  Setting(data::Dataset target, data::Dataset tested, data::Dataset beside)
      : train(std::move(target)), test(std::move(tested)), source_data(std::move(beside)) {
    options.source_data = &source_data;
  }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;
  Fitted fit(const std::string& name, const std::vector<FrozenSource>& sources, const TrainingOptions& training) const {
    return transfer::fit(name, sources, train, training, options);
  }
  data::Dataset train, test, source_data;
  StrategyOptions options;
};

/// Three classes of vectors, which lie further apart in the source's samples.
struct GaussianSetting : Setting {
  explicit GaussianSetting(const Device& device)
      : Setting(make_vectors(1, 60, 5, 3, 2.0, device), make_vectors(2, 200, 5, 3, 2.0, device),
                make_vectors(3, 150, 5, 3, 2.5, device)) {
    options.model = "mlp:8";
    options.normalization = data::Normalization::none;
  }
  /// A network that was trained on them.
  FrozenSource trained(const char* width, std::uint64_t seed, const Device& device) const {
    auto network = make("mlp", width, {5}, 3, seed, device);
    transfer::train(*network, source_data, data::Normalization::none, quick(15));
    return FrozenSource(std::move(network), data::Normalization::none, std::string("mlp ") + width);
  }
};

}  // namespace rtl::transfer::testing
