// Keeps the finished settings of the study, a file each.
#pragma once

#include <string>

#include "studies/linear_transfer/policies.hpp"
#include "studies/store.hpp"

namespace rtl::studies::linear_transfer {

/// {"family", "source", "target", "rows", "seeds", "policies": {policy: {"values", "difference_from_scratch",
/// "verdict"}}, "trust"}; scores are fractions of one.
Json to_json(const Outcome& outcome);

class SettingStore {
 public:
  /// Throws as Store. An empty folder keeps nothing.
  SettingStore(const std::string& folder, const RunOptions& options);
  /// Fills in the scores of the seeds that the folder has for this setting, at most `seeds`, and returns how many they
  /// are. Throws ValueError if they are of other data.
  int load(Outcome& outcome, const Domain& source, const Domain& target, int seeds) const;
  void save(const Outcome& outcome, const Domain& source, const Domain& target) const;

 private:
  Store store_;
};

}  // namespace rtl::studies::linear_transfer
