// The svmlight (libsvm) format: "target index:value index:value ..", one sample a line, zeros left out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/data/sparse_rows.hpp"

namespace rtl::data {

struct SvmlightOptions {
  /// Index of the first feature: 1, as the format says, or 0, as many files have it.
  std::int64_t first_index = 1;
  /// Bytes that what is dense may take, the result, or of sparse rows a batch of 256 of them; 0: 64 MiB, or 1,000 times
  /// the bytes of the text where that is more, and 16 GiB at most.
  std::int64_t dense_limit = 0;
  /// Whether the features stay sparse.
  SparseForm sparse = SparseForm::no;
};

/// Samples with their targets, on the host.
struct SvmlightData {
  Tensor features;                  ///< f32 [n, p], dense, zeros filled in; undefined where there is ..
  SparseRows sparse;                ///< .. the same without its zeros
  Tensor targets;                   ///< f64 [n]
  std::vector<std::int64_t> lines;  ///< line of the file that holds each sample, the first being 1
};

/// Reads a file, plain or .gz. `features` is p; 0: as many as the largest index needs. What stands behind '#' is a
/// comment; lines without anything else are skipped, and so is "qid:" of ranking data. The tensors lie on
/// device.host().
///
/// Memory: the text, sixteen bytes a stored value, and what is dense, which `dense_limit` bounds: one large index in a
/// short file asks for no memory that the file does not warrant.
///
/// Throws IoError if the file cannot be read; FormatError, naming file, line and fault, for a damaged .gz, a file
/// without a sample or feature, a target or value that is no number, NaN or infinite (as float32), an index that is no
/// whole number or out of range, indices that do not ascend, and what would be dense above the limit; ValueError for
/// options out of range.
SvmlightData read_svmlight(const std::string& path, std::int64_t features = 0, const SvmlightOptions& options = {},
                           const Device& device = Device::cpu());

}  // namespace rtl::data
