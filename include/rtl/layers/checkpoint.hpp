// Networks in safetensors files. Files written here say in their metadata what they hold; for files from elsewhere the
// architecture is recognised by the names and shapes of their tensors.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rtl/io/safetensors.hpp"
#include "rtl/layers/network.hpp"

namespace rtl::layers {

/// The architecture whose parameters and buffers are exactly these ("num_batches_tracked" entries and a common prefix
/// "module." are overlooked; tensors of other names are not). The input's height and width, which no tensor shows for
/// convolutional networks with a pooled head, are taken to be 32 (28 where the first linear layer says so). Throws
/// ValueError that lists, for each architecture, the first tensor that does not fit. `name` restricts the choice.
Architecture recognise(const std::vector<io::TensorEntry>& tensors, const std::string& name = "");

/// What a checkpoint held.
struct LoadedNetwork {
  std::unique_ptr<Network> network;
  std::string normalization;  ///< of the inputs: "none", "half", "imagenet", "cifar", or "" if the file does not say
  std::map<std::string, std::string> metadata;  ///< all of it
};

/// Writes parameters and buffers (f32 or f64) with the metadata keys "architecture", "variant", "input" ("32,32,3"),
/// "classes" and "normalization", and those of `extra`. Written beside and renamed. Throws IoError.
void save_network(const std::string& path, Network& network, const std::string& normalization,
                  const std::map<std::string, std::string>& extra = {});

/// Reads a network; parameters that the file holds as f16, bf16 or f64 are converted to `dtype`. `hint` ("resnet_cifar"
/// or "resnet_cifar:20") says what it has to be. Throws IoError, FormatError naming
/// the file and the tensor that is missing, superfluous or of the wrong shape.
LoadedNetwork load_network(const std::string& path, const Device& device, const std::optional<std::string>& hint = {},
                           DType dtype = DType::f32);

}  // namespace rtl::layers

namespace rtl::io {

/// Fills an existing network from a file. Throws as layers::load_network, and then leaves the network as it was.
void load_safetensors(const std::string& path, layers::Network& network);
void load_safetensors(const std::string& path, const std::unique_ptr<layers::Network>& network);

}  // namespace rtl::io
