// The numbers of standardised inputs in safetensors files.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/data/normalization.hpp"
#include "rtl/io/safetensors.hpp"

namespace rtl::layers {

/// True for "input.mean" and "input.deviation".
bool is_input_statistic(const std::string& name);

/// The numbers of a normalisation as tensors to write: f64, or none.
class InputStatistics {
 public:
  InputStatistics(const data::InputNormalization& normalization, const Device& host);
  /// Called `prefix` + "input.mean" and "input.deviation"; valid while this lives.
  void append_to(std::vector<io::NamedView>& tensors, const std::string& prefix) const;

 private:
  Tensor mean_;
  Tensor deviation_;
};

/// What read_normalization reads, by the names it looks for: those of the file's tensors.
using StatisticNames = std::map<std::string, std::string>;

/// What the metadata's `prefix` + "normalization" says, with its numbers; nothing if it is not there or empty. Throws
/// FormatError for an unknown name, and for numbers that are missing or no numbers to standardise with. The numbers may
/// have other names in the file, `names`; where these are complete and the metadata says nothing, they are what to
/// standardise with.
std::optional<data::InputNormalization> read_normalization(const io::SafetensorsFile& file, const std::string& prefix,
                                                           const StatisticNames& names = {});

}  // namespace rtl::layers
