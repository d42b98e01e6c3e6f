// The advisor where the target has 12 to 30 rows: what it gives away to the better of scratch and the source as it is.
#pragma once

#include <string>
#include <vector>

#include "studies/study.hpp"

namespace rtl::studies::linear_transfer {

struct FewRows {
  std::string data;
  std::vector<std::string> families;
  int draws = 400;  ///< of the target's rows in each setting, the same for all models
};

/// Adds claims, tables, a figure and the fact "few_rows". Four parts are judged apart: the settings that the rule was
/// made on; a third of the ordered pairs of each of these families, the first in an order that depends on a seed and
/// their names alone, on which the first rule was checked; two other families, on which the second was; and two that no
/// rule had seen before this one.
void few_rows(Reproduction& result, const RunOptions& options, const FewRows& wanted);

}  // namespace rtl::studies::linear_transfer
