// Adapting sources to a target by name, or by the strategies that most programs call.
#pragma once

#include <string>
#include <vector>

#include "rtl/transfer/metrics.hpp"
#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer {

// TrainingOptions::l2sp_strength acts on what starts at weights of a source: fine_tune and its like, and probe with the
// source's own head. What starts at drawn weights is trained as if it were 0. l2sp-fine-tune adds the published form of
// L2-SP to that: a strength for the source's weights alone, and a decay of a new head, which has no start to be drawn
// to.

/// By name, "NAME" or with options, "refine:balance" (parse_strategy). Throws ValueError for what the strategy cannot
/// do (check_fits), TrainingDiverged.
Fitted fit(const std::string& strategy, const std::vector<FrozenSource>& sources, const data::Dataset& train,
           const TrainingOptions& training, const StrategyOptions& options = {});

/// A network of the options' model, from random initialisation, on the target alone.
Fitted scratch(const data::Dataset& train, const TrainingOptions& training, const StrategyOptions& options = {});
/// A linear head on the source's frozen features.
Fitted probe(const FrozenSource& source, const data::Dataset& train, const TrainingOptions& training,
             const StrategyOptions& options = {});
/// All parameters of the source, or those of its last blocks, go on training. Inputs are normalised as the source's
/// are, with its numbers where it has some: its weights expect them.
Fitted fine_tune(const FrozenSource& source, const data::Dataset& train, const TrainingOptions& training,
                 const StrategyOptions& options = {});
/// REFINE (Xu, Nakada, Zhang and Li 2025, arXiv 2505.11771): logits = W [h(x); f_1(x); ...; f_K(x)] + b. h, the
/// residual encoder, has the scratch model's trunk and initial weights; dropout (the model's, 0.5 for paper_cnn) acts
/// on h(x) alone and only while training; f_k are frozen. Without sources it is `scratch`.
Fitted refine(const std::vector<FrozenSource>& sources, const data::Dataset& train, const TrainingOptions& training,
              const StrategyOptions& options = {});

/// The default, for whoever wants one answer: strategy `safe` (docs/safe.md). It is made not to do worse than training
/// from scratch, a probe or refine, whichever of these is best: networks trained on folds of the target are read out
/// with the sources' features and without, beside a calibrated probe, and weighted by their losses on the rows left
/// out. TrainingRecord::read_outs tells weights and losses. Costs four trainings of the residual encoder; options of
/// `safe` go into StrategyOptions::values ({"fits", "one"} trains one network).
Fitted adapt(const std::vector<FrozenSource>& sources, const data::Dataset& train, const TrainingOptions& training = {},
             const StrategyOptions& options = {});
inline Fitted adapt(const FrozenSource& source, const data::Dataset& train, const TrainingOptions& training = {},
                    const StrategyOptions& options = {}) {
  return adapt(std::vector{source}, train, training, options);
}

/// Scores of a fitted model on data with labels or targets.
Scores evaluate(const Fitted& fitted, const data::Dataset& test, FeatureCache* cache = nullptr);

}  // namespace rtl::transfer
