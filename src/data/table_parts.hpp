// Tables and their labels as parts of data sets.
#pragma once

#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/data/csv.hpp"
#include "rtl/data/preprocessing.hpp"
#include "rtl/data/spec.hpp"

namespace rtl::data {

/// The columns of a table, numbers and texts, in the file's order. Throws FormatError for a table without columns.
ColumnTable table_columns(const std::string& file, const CsvTable& table);

/// The target columns of a table as f32 [rows, targets]. Throws FormatError, naming line and column, for values that
/// f32 cannot hold.
Tensor table_targets(const std::string& file, const CsvTable& table, const Device& host);

/// The weights of a table's rows as f32 [rows].
Tensor table_weights(const CsvTable& table, const Device& host);

/// Whether the SPEC asks for regression.
inline bool wants_real_targets(const Spec& spec) { return spec.text("target") == "real"; }

/// Whether it asks that missing values are filled.
bool wants_imputation(const Spec& spec);

/// Adds "FILE: NOTE" for each.
void add_notes(std::vector<std::string>& notes, const std::string& file, const std::vector<std::string>& more);

}  // namespace rtl::data
