// A low-rank head that learns from source and target samples, the source's weighted by a discriminator: what the
// strategies with a gate have in common.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rtl/transfer/strategy.hpp"
#include "transfer/domain_discriminator.hpp"
#include "transfer/low_rank_head.hpp"

namespace rtl::transfer::detail {

enum class SourceHalf : std::uint8_t { samples, target };

struct GateOptions {
  SourceHalf source_half = SourceHalf::samples;
  HeadStart head_start = HeadStart::automatic;
  std::int64_t rank = 8;
  double alpha = 16;
  double gate_learning_rate = 1e-3;

  void visit(OptionVisitor& option);
};

/// Minimises mean(gate_i CE_i) of the source half, plus the mean CE of the target half, plus what a derived class makes
/// of both halves; the discriminator learns its own objective from logits without gradient. Adam for both.
class GatedHead : public Trainable {
 public:
  GatedHead(FitContext& context, const GateOptions& options);

  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    return head_.outputs(batch.features.front(), context);
  }
  layers::ModuleState state() override;
  bool wants_inputs() const override { return false; }
  std::unique_ptr<FusedHead> merged() const { return head_.merged(); }
  std::vector<ParameterGroup> groups() override;
  std::vector<graph::Value> objectives(const TrainingBatch& batch, const layers::ForwardContext& context) override;

 protected:
  struct Half {
    graph::Value logits, labels;  ///< labels one-hot
  };
  /// What draws source and target together: a scalar [1].
  virtual graph::Value alignment(const Half& source, const Half& target, const TrainingBatch& batch,
                                 const layers::ForwardContext& context) const = 0;
  /// weight times the sum of four cross-entropies: source and target, each with its labels and without.
  graph::Value domain_loss(const Half& source, const Half& target, double weight, const std::string& pass,
                           const layers::ForwardContext& context) const;
  /// What the discriminator is told of target samples without their labels.
  virtual bool marginal_target() const { return true; }

 private:
  GateOptions options_;
  LowRankHead head_;
  DomainDiscriminator discriminator_;

  graph::Value four_losses(const Half& source, const Half& target, double weight, bool marginal_target,
                           const std::string& pass, const layers::ForwardContext& context) const;
};

/// Trains it on batches of the target, with samples of the source beside them where asked for, and gives the merged
/// head.
Recipe fit_gated(FitContext& context, std::unique_ptr<GatedHead> model, SourceHalf source_half);

}  // namespace rtl::transfer::detail
