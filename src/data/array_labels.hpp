// Arrays of a file as class labels and real targets.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "data/text_table.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::data {

/// Labels as below, of arrays that were read.
LabelTexts array_labels(const std::string& file, const Tensor& values, std::vector<std::string>& notes);
LabelTexts array_labels(const std::string& file, io::TextArray texts);
/// Targets likewise.
Tensor array_targets(const std::string& file, const Tensor& values, const Device& host);

/// The labels of a .npy file in memory: text, or numbers of any dtype, [N] or [N, 1]; numbers are written shortest, so
/// that 3 and 3.0 are one label. Rows [N, K] of zeros with a single one are the labels 0 .. K-1; a note says so. Throws
/// FormatError naming the file for other shapes, NaN and infinities.
LabelTexts array_labels(const std::string& file, std::span<const std::byte> content, const Device& host,
                        std::vector<std::string>& notes);

/// The real targets of a .npy file in memory, numbers of any dtype [N] or [N, outputs], as f32 [N, outputs]. Throws
/// FormatError naming the file for text, other shapes, no value, NaN, infinities, and what f32 cannot hold.
Tensor array_targets(const std::string& file, std::span<const std::byte> content, const Device& host);

}  // namespace rtl::data
