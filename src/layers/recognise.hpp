// What recognition and the checkpoint reader share.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "layers/checkpoint_names.hpp"
#include "layers/model_config.hpp"
#include "rtl/layers/checkpoint.hpp"

namespace rtl::layers {

/// How the tensors of a file and those of an architecture go together.
struct Fit {
  Architecture architecture;
  std::string fault = {};                         ///< why its sizes cannot be read from the tensors; empty if they can
  std::map<std::string, std::string> files = {};  ///< the network's names to the file's
  std::vector<std::string> missing = {};          ///< "layer2.0.bn1.bias [32]"
  std::vector<std::string> misshaped = {};        ///< "fc1.weight is f32 [3, 4], not [3, 5]"
  std::vector<std::string> unexpected = {};       ///< "layer9.weight [2, 2]"
  std::vector<std::string> left_out = {};         ///< file names of what nothing needs

  bool good() const { return fault.empty() && missing.empty() && misshaped.empty() && unexpected.empty(); }
  /// Missing, mis-shaped and unexpected tensors, the first few of each.
  std::string faults() const;
};

/// Pairs names; a head may be called otherwise in the file (head_names).
Fit fit(const CheckpointNames& names, const Architecture& architecture);

/// The architecture that fits, with the shape of one input if it is known (else null) and the variant that the file
/// says, if it does, and what a file beside it says. Classes are 0 if the file has no head.
/// Throws ValueError as the public recognise.
Fit recognise(const CheckpointNames& names, const std::string& name, const Shape* input,
              const std::string& variant = {}, const ModelConfig& config = {});

}  // namespace rtl::layers
