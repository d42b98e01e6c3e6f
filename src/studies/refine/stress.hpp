// Sources that are trained on bad data, on CIFAR-10: what the parts noise, confusion and imbalance have in common.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "studies/refine/images.hpp"

namespace rtl::studies::refine {

/// A strategy by the paper's name, with the label that transfer::fit knows it by.
struct Method {
  const char* name;
  const char* label;
};
/// Scratch first.
const std::vector<Method>& methods();

/// One way to train a source.
struct Stressed {
  std::string name;  ///< "flips 0.8"
  /// Of the source's images: what it is trained on, and with which options.
  std::function<data::Dataset(const data::Dataset& images, std::uint64_t seed)> images;
  std::function<void(transfer::TrainingOptions& training)> change = [](transfer::TrainingOptions&) {};
  /// The published accuracy of each of methods(), in their order; fewer where the paper has none.
  std::vector<std::optional<Published>> published = {};
};

/// The table of a part: each source itself, and what those strategies make of it that have scores, named as below.
void add_table(Reproduction& result, const std::string& part, const std::vector<Stressed>& sources,
               const Trials& trials);

/// A fresh source and a fresh target for each seed. Adds a table; scores are "NAME: LABEL", "scratch", and "NAME:
/// source", the accuracy of the source itself.
Trials run_stressed(Reproduction& result, const std::string& part, const std::vector<Stressed>& sources,
                    const Runs& runs, const RunOptions& options);

/// "flips 0.8: refine".
std::string score_name(const std::string& source, const std::string& label);

}  // namespace rtl::studies::refine
