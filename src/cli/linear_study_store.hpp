// Keeps the finished settings of the linear transfer study, a file each, so that a stopped study goes on.
#pragma once

#include <string>

#include "cli/json_report.hpp"
#include "cli/linear_study.hpp"

namespace rtl::cli {

/// {"family", "source", "target", "rows", "seeds", "policies": {policy: {"values", "difference_from_scratch",
/// "verdict"}}, "trust"}; scores are fractions of one.
Json to_json(const LinearOutcome& outcome);

class LinearStudyStore {
 public:
  /// Makes the folder; without a name nothing is kept. Throws IoError if it cannot be made.
  explicit LinearStudyStore(std::string folder);
  /// True, with the scores filled in, if the folder holds this setting with as many seeds. Damaged files are passed
  /// over.
  bool load(LinearOutcome& outcome, int seeds) const;
  void save(const LinearOutcome& outcome) const;

 private:
  std::string path(const LinearOutcome& outcome) const;
  std::string folder_;
};

}  // namespace rtl::cli
