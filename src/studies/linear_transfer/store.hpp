// Keeps the finished settings of the linear transfer study, a file each, so that a stopped study goes on.
#pragma once

#include <optional>
#include <string>

#include "cli/interrupt.hpp"
#include "cli/json_report.hpp"
#include "studies/linear_transfer/policies.hpp"
#include "transfer/state_folder.hpp"

namespace rtl::cli {

/// {"family", "source", "target", "rows", "seeds", "policies": {policy: {"values", "difference_from_scratch",
/// "verdict"}}, "trust"}; scores are fractions of one.
Json to_json(const LinearOutcome& outcome);

class LinearStudyStore {
 public:
  /// Makes the folder; without a name nothing is kept. Throws IoError if it cannot be made, ValueError if it holds
  /// settings that another version, kind of device or number of threads made. What is damaged is told on standard
  /// error.
  LinearStudyStore(const std::string& folder, const Device& device);
  /// Fills in the scores of the seeds that the folder has for this setting, at most `seeds`, and returns how many they
  /// are. Throws ValueError if they are of other data.
  int load(LinearOutcome& outcome, const LinearDomain& source, const LinearDomain& target, int seeds) const;
  void save(const LinearOutcome& outcome, const LinearDomain& source, const LinearDomain& target) const;

 private:
  transfer::detail::Facts facts_of(const LinearDomain& source, const LinearDomain& target) const;

  transfer::detail::Facts machine_;
  transfer::detail::StateFolder folder_;
  KeptWork kept_;
};

}  // namespace rtl::cli
