// Networks in safetensors files, one or several with an index ("model.safetensors.index.json").
// Files written here say in their metadata what they hold; for files from elsewhere the
// architecture is recognised by the names and shapes of their tensors.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rtl/data/fitted_inputs.hpp"
#include "rtl/data/normalization.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/layers/network.hpp"

namespace rtl::layers {

/// The architecture whose parameters and buffers are exactly these. The rule for names: words that wrappers leave are
/// taken off ("module.", "_orig_mod.", "model.", "backbone.", .., several in a row, and a first word that all names
/// share); a head may be called "fc", "classifier", "head", "linear", "output"; without one the architecture has 0
/// classes. Left out are "num_batches_tracked", the numbers of standardised inputs, single numbers ("epoch"), tensors
/// of integers, an optimizer's state, and averaged copies ("ema.", "model_ema.", "_averaged") beside plain tensors; any
/// other tensor that an architecture does not have speaks against it. The input's height and width, which no tensor
/// shows for convolutional networks with a pooled head, are taken to be 32, or 224 for those of ImageNet (28 where the
/// first linear layer says so).
/// Throws ValueError that lists for each architecture, the nearest first, which tensors are missing, superfluous or of
/// another shape; and for two tensors whose names become one ("x" and "module.x"). `name` restricts the choice.
Architecture recognise(const std::vector<io::TensorEntry>& tensors, const std::string& name = "");

/// What a checkpoint held.
struct LoadedNetwork {
  std::unique_ptr<Network> network;
  std::optional<data::InputNormalization> normalization;  ///< of the inputs; absent if the file does not say
  std::map<std::string, std::string> metadata;            ///< all of it
  data::FittedInputs inputs;                              ///< of what it was trained on, as far as the file says
  std::vector<std::string> notes;                         ///< what was left out or is missing, for people
};

/// Writes parameters and buffers (f32 or f64) with the metadata keys "architecture", "variant", "input" ("32,32,3"),
/// "classes" and "normalization", of networks that take tokens "vocabulary", and those of `extra`; the numbers of
/// standardised columns are the tensors "input.mean" and "input.deviation", f64 [columns]. Written beside and renamed.
/// Throws IoError.
void save_network(const std::string& path, Network& network, const data::InputNormalization& normalization,
                  const std::map<std::string, std::string>& extra = {});

/// Reads a network; parameters that the file holds as f16, bf16 or f64 are converted to `dtype`. `hint` ("resnet_cifar"
/// or "resnet_cifar:20") says what it has to be. A file without a head gives a network of 0 classes. Where a file of
/// images does not say how large they are, they have height and width of `sample` [H, W, C], as far as the tensors fit:
/// networks that average over all positions take images of any size. Throws IoError;
/// FormatError naming the file and the tensors that are missing, superfluous or of another shape or dtype, the tensor
/// with a value that is not finite or with a negative running variance, the normalisation that is unknown or lacks its
/// numbers, or the format that the file is of instead.
LoadedNetwork load_network(const std::string& path, const Device& device, const std::optional<std::string>& hint = {},
                           DType dtype = DType::f32, const std::optional<Shape>& sample = {});

/// What load_matching did, by the network's names (the file's, for what is unexpected), with shapes where they matter.
struct PartialLoad {
  std::vector<std::string> loaded = {};
  std::vector<std::string> kept = {};        ///< fits, but no pattern matches it
  std::vector<std::string> missing = {};     ///< "layer2.0.bn1.bias [32]"
  std::vector<std::string> misshaped = {};   ///< "fc.weight is f32 [1000, 512], not [10, 512] of floating point"
  std::vector<std::string> unexpected = {};  ///< "layer9.weight [2, 2]"
  /// All of it in a line.
  std::string to_string() const;
};

/// Loads those tensors of a file that the network has in the same shape and whose names match one of the patterns, in
/// which '*' stands for any text and '?' for any character ("layer1.*"). All others stay as they are: so a head of
/// other classes, or a stem of other channels, keeps its initial weights. Throws IoError; FormatError for a damaged
/// file, for values that no trained network has, and where no tensor is left to load; then the network is as it was.
PartialLoad load_matching(const std::string& path, Network& network, const std::vector<std::string>& patterns = {"*"});

}  // namespace rtl::layers

namespace rtl::io {

/// Fills an existing network from a file. Throws as layers::load_network, and then leaves the network as it was.
void load_safetensors(const std::string& path, layers::Network& network);
void load_safetensors(const std::string& path, const std::unique_ptr<layers::Network>& network);

}  // namespace rtl::io
