// Strategies summed up over settings: each kind of setting, all of them, and where strategies are left out.
#pragma once

#include <string>
#include <vector>

#include "studies/reproduction.hpp"
#include "studies/transfer_table/outcome.hpp"

namespace rtl::studies::transfer_table {

using Outcomes = std::vector<const Outcome*>;

/// Settings that are summed up together.
struct Kind {
  const char* name;
  bool (*has)(const Setting& setting);
  bool whole = false;  ///< it consists of other kinds
};
/// Classes with natural sources, with useless ones and with both, and real targets.
const std::vector<Kind>& kinds();

/// Of those the settings that are wanted.
template <typename Wanted>
Outcomes chosen(const std::vector<Outcome>& outcomes, const Wanted& wanted) {
  Outcomes some;
  for (const Outcome& outcome : outcomes) {
    if (wanted(outcome.setting)) some.push_back(&outcome);
  }
  return some;
}

/// "3 (2 %)".
std::string share(std::size_t count, std::size_t of);

Json to_json(const Tally& tally);

/// A row each strategy over the settings that allow it, their kinds apart and both parts together, and the same as
/// JSON: {label: tally, with "kinds": {kind: tally}}.
TextTable overview_table(const std::vector<Outcome>& outcomes, const std::vector<std::string>& labels, Json& json);
/// A row each part, kind of setting and strategy.
TextTable kinds_table(const std::vector<Outcome>& outcomes, const std::vector<std::string>& labels);
/// Strategies that the same settings do not allow, those settings by their groups, and one of the reasons. No rows
/// where none is left out.
TextTable left_out_table(const std::vector<Outcome>& outcomes, const std::vector<std::string>& labels);

/// A row each setting: mean differences from scratch in points, with a star where the 95 % interval lies beyond zero.
TextTable differences_table(const std::vector<Outcome>& outcomes, const std::vector<std::string>& labels);

}  // namespace rtl::studies::transfer_table
