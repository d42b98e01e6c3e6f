// Runs the table's settings, several at a time, and keeps the finished ones.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "studies/store.hpp"
#include "studies/transfer_table/material.hpp"
#include "studies/transfer_table/outcome.hpp"

namespace rtl::studies::transfer_table {

/// {"family", "source", "target", "rows", "stress", "part", "regression", "strategies": {label: {"scores",
/// "diverged_seeds", "processor_seconds"}}, "left_out": {label: why}, "transferability": {score: number}}; scores of
/// strategies are fractions of one.
Json to_json(const Outcome& outcome);

/// Finished settings, a file each.
class OutcomeStore {
 public:
  /// Throws as Store. An empty folder keeps nothing.
  OutcomeStore(const std::string& folder, const RunOptions& options);
  bool keeps() const noexcept { return store_.keeps(); }
  /// What the folder has for a setting. Throws ValueError if it is of other data.
  Outcome load(const Setting& setting, const Store::Facts& facts) const;
  void save(const Outcome& outcome, const Store::Facts& facts) const;

 private:
  Store store_;
};

/// Adds strategies, for seeds 1 to `seeds`, by transfer::compare on one thread. Throws transfer::Interrupted where
/// `stop` says so.
void run_setting(const Prepared& prepared, const std::vector<std::string>& labels, int seeds,
                 const std::function<bool()>& stop, Outcome& outcome);

/// All settings in their order, with these strategies as far as a setting allows them; so many run at a time, each on
/// one thread, as the machine has cores. Results do not depend on how many that are.
std::vector<Outcome> run_settings(const std::vector<Setting>& settings, const std::vector<std::string>& labels,
                                  const Folders& folders, const OutcomeStore& store, int seeds,
                                  const RunOptions& options);

}  // namespace rtl::studies::transfer_table
