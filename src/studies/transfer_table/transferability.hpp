// Scores that foretell transfer without training, and how well they rank what probes then do.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "studies/transfer_table/material.hpp"
#include "studies/transfer_table/outcome.hpp"

namespace rtl::studies::transfer_table {

/// Keys of Outcome::transferability, with their names in tables: log_me, h_score, h_score_shrunk, transrate, leep, nce.
const std::vector<std::pair<std::string, std::string>>& score_names();

/// Of the features on the training rows of seed 1, as the probes have them, and of the head's logits there. Real
/// targets have log_me alone; leep and nce are there where the source has a head of classes, which permuted features
/// and noise have not.
std::map<std::string, double> transferability_of(const Prepared& prepared, const Setting& setting);

/// Spearman's: Pearson's correlation of the ranks, equal numbers having the mean of theirs. None for fewer than two
/// pairs or numbers that are all equal. Throws ShapeError unless both are equally many.
std::optional<double> rank_correlation(std::span<const double> a, std::span<const double> b);

/// How a score ranks settings beside the better of probe and ridge-probe, by its mean: its gain over scratch, and its
/// own accuracy or R^2.
struct Agreement {
  std::size_t settings = 0;  ///< that have the score
  std::size_t targets = 0;   ///< targets, with a number of rows, of at least three sources that the score tells apart
  std::optional<double> gain_within, accuracy_within;  ///< mean over these targets of the correlation over sources
  std::optional<double> gain_over_all, accuracy_over_all;

  static Agreement of(const std::vector<const Outcome*>& outcomes, const std::string& score);
};

}  // namespace rtl::studies::transfer_table
