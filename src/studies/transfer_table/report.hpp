// What the table says: strategies over settings, and every setting.
#pragma once

#include <vector>

#include "studies/reproduction.hpp"
#include "studies/transfer_table/outcome.hpp"
#include "studies/transfer_table/selection.hpp"

namespace rtl::studies::transfer_table {

/// Adds tables, claims, a figure and facts. Settings that are kept aside and those that are not are summed up apart,
/// and so are classes and real targets, natural sources and useless ones.
void report(const std::vector<Outcome>& outcomes, const Selection& selection, Reproduction& result);

}  // namespace rtl::studies::transfer_table
