// Members of an ensemble: probes or fine-tuned copies, one for each source, and one head that stands for all of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::detail {

/// A linear head on one block each, newly drawn.
std::vector<std::unique_ptr<FusedHead>> probes_of(FitContext& context, std::vector<FrozenBlock> blocks);
/// Trainings of heads, each on features of its own.
std::vector<Replica> trainings_of(FitContext& context, const std::vector<std::unique_ptr<FusedHead>>& heads,
                                  const std::vector<kernels::StoredFeatures>& features);

/// A copy of every source. Throws ValueError for a source that is features alone or taken at a layer, ShapeError for
/// samples that one does not take.
std::vector<std::unique_ptr<NetworkPredictor>> copies_of_sources(const FitContext& context, HeadStart start);
std::vector<Replica> trainings_of(FitContext& context, const std::vector<std::unique_ptr<NetworkPredictor>>& networks);

/// A copy of the network, frozen, with its own head on its raw features.
std::unique_ptr<FusedHead> frozen(const NetworkPredictor& network, const std::string& name, Precision precision);

/// A source as it is: its own head on its raw features; of real targets, in the units of the target's. Throws
/// ValueError where the head is not of the target's classes or real targets.
std::unique_ptr<FusedHead> as_it_is(const FitContext& context, const FrozenSource& source);
/// A copy of a network as an encoder with a head, whose outputs are the same.
std::unique_ptr<FusedHead> encoder_with_head(const NetworkPredictor& network);

/// W = [W_1, .., W_n] / n and b = mean of b_k, on the blocks of all heads, of which the first alone may have an
/// encoder: its outputs are the mean of theirs (Zhang and Bottou 2023).
std::unique_ptr<FusedHead> mean_of(const std::vector<std::unique_ptr<FusedHead>>& heads);
/// The mean of their probabilities, or of their predictions of real targets; they are taken over.
std::unique_ptr<Stack> mean_of(std::vector<std::unique_ptr<Predictor>> members, const Task& task);

}  // namespace rtl::transfer::detail
