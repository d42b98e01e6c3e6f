// Arguments that name a matrix of numbers.
#pragma once

#include <cstdint>
#include <string>

#include "rtl/core/tensor.hpp"

namespace rtl::cli {

/// What --help says of such arguments.
inline constexpr const char* array_help = "FILE.npy or FILE.csv[?columns=A,B|drop=A,B], plain or .gz";

/// Reads FILE.npy[.gz] or FILE.csv[.gz][?columns=A,B&drop=C] onto the host: f32 as it is, anything else as f64, rank 1
/// or 2 (a table always 2). Throws UsageError naming `option` for what stands behind the '?'; IoError; FormatError
/// naming the file for other kinds of file, other ranks, an empty array, and NaN, infinite or missing values.
Tensor read_array(const std::string& option, const std::string& argument);

/// FILE of such an argument, without what stands behind a table's '?'.
std::string array_file(const std::string& argument);

/// read_array as [rows, columns]; rank 1 is one column. Throws FormatError naming the file if it has another shape;
/// `reason` is where the wanted one comes from.
Tensor read_array(const std::string& option, const std::string& argument, std::int64_t rows, std::int64_t columns,
                  const std::string& reason);

}  // namespace rtl::cli
