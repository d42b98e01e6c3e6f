// --stress: training rows or sources made worse.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cli/command_line_classes.hpp"
#include "rtl/data/stress.hpp"
#include "rtl/transfer/source.hpp"
#include "rtl/transfer/training.hpp"

namespace rtl::cli {

/// What the texts say.
struct Stresses {
  data::Stress training_rows;
  double label_flips = 0;  ///< TrainingOptions::label_flips
  std::string sources;     ///< transfer::useless_source; empty: as they are

  /// Throws ValueError for rows that it cannot be of.
  data::Dataset apply(data::Dataset train) const;
  std::vector<transfer::FrozenSource> apply(std::vector<transfer::FrozenSource> sources) const;
};

/// The kinds of stress with their forms ("few=N") and help.
std::vector<std::pair<std::string, std::string>> stress_forms();

struct StressArguments {
  std::vector<std::string> texts;  ///< "few=100"
  std::uint64_t seed = 0;

  /// `takes_sources`: whether the command has sources that could be made useless.
  void add_to(CLI::App& command, bool takes_sources);
  /// For people: "few=100, shift=0.5 (seed 0)"; empty without any.
  std::string text() const;
  /// Throws UsageError for an unknown kind or value, for a kind that is given twice, and for useless-source where the
  /// command has no sources.
  Stresses parse() const;
  /// The same, with label flips put into the options. Throws UsageError where --label-flips asks for some too.
  Stresses parse(transfer::TrainingOptions& training) const;

 private:
  bool takes_sources_ = false;
};

}  // namespace rtl::cli
