// What the two networks of the REFINE paper have in common.
#pragma once

#include <cstdint>
#include <vector>

#include "rtl/layers/model.hpp"

namespace rtl::layers {

/// Convolutions of 3x3 with ReLU, the first `pooled` of them with 2x2 max pooling behind; flatten; linear, ReLU.
Trunk paper_trunk(const Architecture& architecture, const std::vector<std::int64_t>& channels, std::size_t pooled,
                  std::int64_t features, const Construction& construction);

struct PaperWeights {
  Recognised found;          ///< without a variant
  std::vector<Shape> chain;  ///< of conv1..convN, fc1 and the head; empty if one does not fit
};

/// Reads the tensors of such a network.
PaperWeights paper_weights(const CheckpointTensors& tensors, int convolutions, int pooled);

}  // namespace rtl::layers
