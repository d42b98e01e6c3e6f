// A frozen linear head with a trained update of low rank (LoRA; Hu et al. 2022).
#pragma once

#include <memory>

#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::detail {

/// outputs = (W0 + (alpha / rank) B A) x + b0 on a source's raw features x [m, p]: A [rank, p] drawn uniformly in
/// +-1/sqrt(p), B [outputs, rank] zero at first, W0 and b0 frozen: the source's own head, or a drawn one.
class LowRankHead {
 public:
  LowRankHead(FitContext& context, HeadStart start, std::int64_t rank, double alpha);

  /// Logits [m, outputs] of features.
  graph::Value outputs(const graph::Value& features, const layers::ForwardContext& context) const;
  /// A and B.
  std::vector<optim::NamedStorage> trained() const;
  /// All four tensors.
  void append_to(layers::ModuleState& state);
  /// The merged head, W0 + (alpha / rank) B A.
  std::unique_ptr<FusedHead> merged() const;

 private:
  FrozenSource source_;
  double scale_;
  layers::Parameter weight_, bias_, a_, b_;
};

}  // namespace rtl::transfer::detail
