// The svmlight (libsvm) format: "target index:value index:value ..", one sample a line, zeros left out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::data {

struct SvmlightOptions {
  /// Index of the first feature: 1, as the format says, or 0, as many files have it.
  std::int64_t first_index = 1;
};

/// Samples with their targets, on the host.
struct SvmlightData {
  Tensor features;                  ///< f32 [n, p], dense, zeros filled in
  Tensor targets;                   ///< f64 [n]
  std::vector<std::int64_t> lines;  ///< line of the file that holds each sample, the first being 1
};

/// Reads a file, plain or .gz. `features` is p; 0: as many as the largest index needs. What stands behind '#' is a
/// comment; lines without anything else are skipped.
///
/// Memory: the file, eight bytes a stored value, and the dense result, which may take up to 16 GiB.
///
/// Throws IoError if the file cannot be read; FormatError, naming file, line and fault, for a damaged .gz, a file
/// without a sample or feature, a target or value that is no number, NaN or infinite (as float32), an index that is no
/// whole number or out of range, indices that do not ascend, and a dense result that would be too large; ValueError for
/// options out of range.
SvmlightData read_svmlight(const std::string& path, std::int64_t features = 0, const SvmlightOptions& options = {});

}  // namespace rtl::data
