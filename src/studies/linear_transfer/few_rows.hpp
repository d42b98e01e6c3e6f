// The advisor where the target has 12 to 30 rows: what it gives away to the better of scratch and the source as it is.
#pragma once

#include <string>
#include <vector>

#include "studies/study.hpp"

namespace rtl::studies::linear_transfer {

/// Adds claims, tables, a figure and the fact "few_rows". A third of the ordered pairs of each family, the first in an
/// order that depends on a seed and their names alone, was not looked at while the rule was made; it is judged apart.
void few_rows(Reproduction& result, const RunOptions& options, const std::string& data,
              const std::vector<std::string>& families);

}  // namespace rtl::studies::linear_transfer
