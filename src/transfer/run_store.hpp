// One file for each finished run of a comparison, so that an interrupted one can go on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rtl/transfer/strategies.hpp"
#include "transfer/state_folder.hpp"

namespace rtl::transfer::detail {

/// What is kept of one run.
struct RunResult {
  Scores scores;
  std::int64_t trainable_parameters = 0;
  double seconds = 0;
  std::int64_t peak_memory_bytes = 0;
  std::vector<BlockInfluence> influence;
  std::vector<double> losses;         ///< mean training loss of each epoch
  std::vector<std::string> warnings;  ///< TrainingRecord::warnings
  std::vector<ReadOut> read_outs;     ///< TrainingRecord::read_outs
  std::string fitted;                 ///< content hash of the file of what was fitted; empty where none was kept
  /// How the training diverged; empty if it did not. A diverged run has nothing else.
  std::string divergence;
};

/// Of a run's file in a folder: the label, with ':' and '/' replaced, and the seed.
std::string run_file_name(const std::string& strategy, std::uint64_t seed, const std::string& ending);

/// "source 1", "source 2": names of the facts that only runs with sources depend on.
std::string source_fact(std::size_t number);

class RunStore {
 public:
  /// Stores nothing.
  RunStore() = default;
  /// Makes the folder, for runs of one protocol, whose facts on sources (`source_fact`) do not decide runs that need no
  /// source. Throws IoError, ValueError if it holds another protocol's runs. An
  /// empty name stores nothing.
  RunStore(std::string folder, Facts protocol, Notice notice);

  /// The result of a run; nothing if there is none, or it is damaged (which is told). Throws ValueError for a run of
  /// another protocol.
  std::optional<RunResult> find(const std::string& strategy, std::uint64_t seed) const;
  /// Written beside and renamed. Throws IoError.
  void store(const std::string& strategy, std::uint64_t seed, const RunResult& result) const;
  /// Where an unfinished run keeps its training; empty if nothing is stored.
  std::string checkpoint(const std::string& strategy, std::uint64_t seed) const;

 private:
  Facts facts_of_run(const std::string& strategy) const;

  Facts protocol_;
  StateFolder folder_;
};

}  // namespace rtl::transfer::detail
