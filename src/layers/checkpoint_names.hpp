// The names of a checkpoint's tensors without what wrappers, averaging and training loops put around them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rtl/io/safetensors.hpp"

namespace rtl::layers {

/// A tensor of a file, of whatever dtype.
struct StoredTensor {
  std::string name;
  Shape shape;
  std::string dtype;
  bool floating = true;  ///< of a floating-point dtype that rtl reads
};

std::vector<StoredTensor> stored_tensors(const std::vector<io::TensorEntry>& tensors);
std::vector<StoredTensor> stored_tensors(const std::vector<io::TensorEntry>& tensors,
                                         const std::vector<io::UnreadTensor>& unread);

struct CheckpointNames {
  std::map<std::string, StoredTensor> tensors;  ///< by canonical name; StoredTensor::name is the file's own
  /// The numbers of standardised inputs likewise, which are no tensors of a network.
  std::map<std::string, StoredTensor> input_statistics;
  std::vector<std::string> notes;  ///< what was left out or taken off, for people
};

/// The rule for all architectures: `_orig_mod` and `module` are dropped wherever they stand, and any sequence of
/// `model`, `backbone`, `net`, `network`, `encoder`, `state_dict` in front; then a first word that all names share, but
/// for a head's and `input.mean` and `input.deviation`. Batch counters, the
/// frequencies of rotary positions and an optimizer's state are left out, and
/// averaged copies (`ema.`, `model_ema.`, `.._averaged`, ..) where there are plain tensors beside them. Throws
/// ValueError where two names become one.
CheckpointNames canonical_names(const std::vector<StoredTensor>& tensors);

/// What a network's last linear layer may be called.
const std::vector<std::string>& head_names();

/// Whether a tensor that no architecture needs may lie in a file without a word against it: a single number (`epoch`),
/// or one of integers or of a dtype that is not read.
bool may_be_left_out(const StoredTensor& tensor);

/// "a, b, c and 4 more"
std::string first_few(const std::vector<std::string>& names);

}  // namespace rtl::layers
