// Tables and their labels as parts of data sets.
#pragma once

#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/data/csv.hpp"
#include "rtl/data/spec.hpp"

namespace rtl::data {

/// The columns of a table as f32 vectors. Throws FormatError, naming line and column, for values that f32 cannot hold
/// and for a table without columns.
Tensor table_features(const std::string& file, const CsvTable& table, const Device& host);

/// The target columns of a table as f32 [rows, targets]. Throws FormatError as table_features.
Tensor table_targets(const std::string& file, const CsvTable& table, const Device& host);

/// Whether the SPEC asks for regression.
inline bool wants_real_targets(const Spec& spec) { return spec.text("target") == "real"; }

/// Adds "FILE: NOTE" for each.
void add_notes(std::vector<std::string>& notes, const std::string& file, const std::vector<std::string>& more);

}  // namespace rtl::data
