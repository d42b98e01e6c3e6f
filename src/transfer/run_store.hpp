// One file for each finished run of a comparison, so that an interrupted one can go on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rtl/transfer/strategies.hpp"

namespace rtl::transfer::detail {

/// What is kept of one run.
struct RunResult {
  Scores scores;
  std::int64_t trainable_parameters = 0;
  double seconds = 0;
  std::vector<BlockInfluence> influence;
  std::vector<double> losses;  ///< mean training loss of each epoch
};

class RunStore {
 public:
  /// Makes the folder. Throws IoError. An empty name stores nothing.
  explicit RunStore(std::string folder);

  /// The result of a run with this fingerprint; nothing if there is none, or it is damaged or of another run.
  std::optional<RunResult> find(const std::string& strategy, std::uint64_t seed, std::uint64_t fingerprint) const;
  /// Written beside and renamed. Throws IoError.
  void store(const std::string& strategy, std::uint64_t seed, std::uint64_t fingerprint, const RunResult& result) const;
  /// Where an unfinished run keeps its training; empty if nothing is stored.
  std::string checkpoint(const std::string& strategy, std::uint64_t seed) const;

 private:
  std::string path(const std::string& strategy, std::uint64_t seed, const char* ending) const;
  std::string folder_;
};

}  // namespace rtl::transfer::detail
