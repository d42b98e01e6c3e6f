// The linear probe of networks: ridge regression on the features of all of them side by side.
#pragma once

#include <vector>

#include "rtl/transfer/source.hpp"

namespace rtl::studies::ensemble {

/// Test accuracies; as they are, and standardised by the training rows as a batch norm in front of the probe does it.
struct ProbeScores {
  double plain = 0, batch_norm = 0;
};

/// One column a class, 1 for the samples of the class and else 0; the penalty by leave-one-out.
ProbeScores probe_features(const std::vector<transfer::FrozenSource>& sources, const data::TrainTest& task,
                           const Device& device);

}  // namespace rtl::studies::ensemble
