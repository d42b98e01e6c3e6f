// Gradients of linear layers, and what passes join them with.
#pragma once

#include "rtl/graph/operation.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/kernels/linear.hpp"

namespace rtl::graph {

struct LinearBackwardOptions {
  kernels::LinearExtents extents;
  bool dw, bias, dx;  ///< which gradients are asked for; that of the bias beside dw only
  bool relu = false;  ///< dx goes through the ReLU that made x
};

/// Operands x, w, dy; results, as asked for, dw, dbias and dx. Each has the same bits whichever others are.
class LinearBackward final : public Operation {
 public:
  explicit LinearBackward(const LinearBackwardOptions& options) : options_(options) {}
  std::string_view name() const noexcept override { return "linear_backward"; }
  std::string attributes() const override { return options_.relu ? "relu" : ""; }
  std::vector<Type> infer(std::span<const Value> operands) const override;
  void run(const Call& call) const override;
  void gradient(GradientCall& call) const override;
  /// dy has the axis, as all results do.
  bool runs_replicas(std::span<const Value>, const std::vector<bool>& replicated) const override {
    return replicated[2];
  }
  double flops(std::span<const Value> operands) const override;
  int launches(std::span<const Value> operands) const override;

  const LinearBackwardOptions& options() const noexcept { return options_; }
  /// The result that is dx; none where it is not asked for.
  std::optional<std::size_t> dx_result() const noexcept;
  /// Results of a call from number `first` on.
  kernels::LinearGradients results(const Call& call, std::size_t first) const;

 private:
  LinearBackwardOptions options_;
};

/// The gradients of linear(x, w, bias) for dy that are asked for.
struct LinearGradientValues {
  Value dw, dbias, dx;
};
LinearGradientValues linear_gradients(const Value& x, const Value& w, const Value& dy, bool dw, bool bias, bool dx);

/// cross_entropy_with_gradient and the linear_backward that reads its dlogits, in one operation: operands logits,
/// labels, rows, counters, x, w; results loss, dlogits, and those of linear_backward. None where it is no gain: where
/// CUDA does not do both in one launch.
std::shared_ptr<const Operation> make_cross_entropy_with_linear_gradients(const LinearBackwardOptions& layer);

}  // namespace rtl::graph
