// The classes of batch normalisation, by which passes recognise them.
#pragma once

#include "graph/operations/support.hpp"

namespace rtl::graph {

/// Checks x [rows, C] or [N, H, W, C], and that the vectors that follow it among the operands are [C] of its dtype.
/// Throws ShapeError, DTypeError.
void check_batch_norm(std::string_view operation, std::span<const Value> operands, std::size_t vectors);
/// The same, and that there are two rows and that the last two vectors, the running statistics, are variables. Throws
/// ValueError, too.
void check_batch_norm_training(std::string_view operation, std::span<const Value> operands);
/// Throws ValueError.
void check_options(std::string_view operation, const BatchNormOptions& options);
/// What plans print of the options.
std::string describe(const BatchNormOptions& options);

/// Floating-point operations that an element takes: sums of the statistics, normalisation.
constexpr double batch_norm_training_flops = 8, batch_norm_evaluation_flops = 3;
/// ReLU's choice, two sums, the gradient of x.
constexpr double batch_norm_backward_flops = 9;

/// Operands x, gamma, beta, running mean, running variance; results y, the batch's mean, its inverse deviation, and the
/// running statistics, in place.
class BatchNormTraining final : public Operation {
 public:
  explicit BatchNormTraining(const BatchNormOptions& options) : options_(options) {}
  const BatchNormOptions& options() const noexcept { return options_; }

  std::string_view name() const noexcept override { return "batch_norm_training"; }
  std::string attributes() const override { return describe(options_); }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;
  void gradient(GradientCall& call) const override;
  std::optional<Aliasing> aliasing(std::size_t result) const override;
  bool may_overwrite(std::size_t result, std::size_t operand) const override { return result == 0 && operand == 0; }
  double flops(std::span<const Value> operands) const override;

 private:
  BatchNormOptions options_;
};

/// Operands x, gamma, the batch's mean, its inverse deviation, dy; results dx, dgamma, dbeta. dx counts what x moves in
/// the statistics, so no gradient goes to them.
class BatchNormTrainingBackward final : public Operation {
 public:
  std::string_view name() const noexcept override { return "batch_norm_training_backward"; }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;
  void gradient(GradientCall& call) const override;
  bool may_overwrite(std::size_t result, std::size_t operand) const override { return result == 0 && operand == 4; }
  double flops(std::span<const Value> operands) const override;
};

/// Operands x, gamma, beta, mean, variance; result y.
class BatchNormEvaluation final : public Operation {
 public:
  explicit BatchNormEvaluation(const BatchNormOptions& options) : options_(options) {}
  const BatchNormOptions& options() const noexcept { return options_; }

  std::string_view name() const noexcept override { return "batch_norm_evaluation"; }
  std::string attributes() const override { return fmt::format("epsilon {}", options_.epsilon); }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;
  void gradient(GradientCall& call) const override;
  bool may_overwrite(std::size_t, std::size_t operand) const override { return operand == 0; }
  double flops(std::span<const Value> operands) const override;
  int launches(std::span<const Value>) const override { return 2; }

 private:
  BatchNormOptions options_;
};

/// Operands x, gamma, mean, variance, dy; results dx, dgamma, dbeta.
class BatchNormEvaluationBackward final : public Operation {
 public:
  explicit BatchNormEvaluationBackward(const BatchNormOptions& options) : options_(options) {}
  const BatchNormOptions& options() const noexcept { return options_; }

  std::string_view name() const noexcept override { return "batch_norm_evaluation_backward"; }
  std::string attributes() const override { return fmt::format("epsilon {}", options_.epsilon); }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;
  void gradient(GradientCall& call) const override;
  bool may_overwrite(std::size_t result, std::size_t operand) const override { return result == 0 && operand == 4; }
  double flops(std::span<const Value> operands) const override;
  int launches(std::span<const Value>) const override { return 2; }

 private:
  BatchNormOptions options_;
};

}  // namespace rtl::graph
