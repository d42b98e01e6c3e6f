// Part of a network's parameters copied into another one of the same architecture (partial parameter transfer).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/layers/network.hpp"

namespace rtl::transfer {

enum class CopyUnit : std::uint8_t {
  filters,  ///< of each layer with weights a share of its outputs: rows of the weight, and what belongs to them
  layers,   ///< whole layers: a weight with its bias, and the norm behind it
  blocks    ///< the layers of one entry of Network::layer_names together
};
enum class CopyOrder : std::uint8_t {
  random,  ///< drawn from the seed, and of filters from the layer's name too
  first    ///< from the inputs on; of filters the first rows
};

struct PartialCopyOptions {
  CopyUnit unit = CopyUnit::filters;
  double fraction = 0.5;  ///< in [0, 1], of the units, rounded down
  CopyOrder order = CopyOrder::random;
  bool head = false;  ///< whether the head is a layer too, or stays as it is
  std::uint64_t seed = 0;
};

/// What was copied.
struct PartialCopy {
  struct Layer {
    std::string name;                  ///< "layer1.0.conv1"
    std::vector<std::int64_t> rows;    ///< outputs that were copied, ascending
    std::int64_t outputs = 0;          ///< of the layer
    std::vector<std::string> tensors;  ///< its own, and those of the norm behind it, running statistics included
  };
  std::vector<Layer> layers;  ///< all, from the inputs on
  std::int64_t copied = 0;    ///< numbers in parameters and buffers
  std::int64_t numbers = 0;   ///< of all these layers
  /// A line for each layer: "conv1: 8 of 16".
  std::string to_text() const;
};

/// Copies into `to`. A norm's scale, shift and running statistics go with the outputs of the layer before it that they
/// belong to. A fraction of 0 changes nothing; 1 makes the trunk (and the head, if it is a layer) that of `from`, bit
/// for bit. Throws ShapeError, naming the tensor, for networks of different tensors, before anything is copied;
/// ValueError for a fraction outside [0, 1].
PartialCopy copy_part(layers::Network& from, layers::Network& to, const PartialCopyOptions& options);

}  // namespace rtl::transfer
