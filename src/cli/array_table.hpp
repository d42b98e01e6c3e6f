// Tables as matrices.
#pragma once

#include <string>

#include "cli/array_argument.hpp"
#include "rtl/data/spec.hpp"

namespace rtl::cli {

/// [rows, columns], f32 or f64 and finite, of a matrix or vector of any dtype. Throws FormatError naming the file.
Tensor checked_matrix(const std::string& file, Tensor values);

/// The columns of numbers, and which rows were left out.
Array from_table(const data::Spec& spec, data::CsvTable table);

/// The columns of a CSV file; of features prepared as the SPEC says, or by `fitted`.
Array read_table(const data::Spec& spec, bool targets, const data::Preprocessing* fitted);

}  // namespace rtl::cli
