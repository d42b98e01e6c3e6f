// Values whose gradient is not that of the function that they are.
#include "graph/operations/support.hpp"

namespace rtl::graph {
namespace {

class StopGradient final : public Operation {
 public:
  std::string_view name() const noexcept override { return "stop_gradient"; }
  std::vector<Type> infer(std::span<const Value> operands) const override { return {operands[0].type()}; }
  void run(const Call&) const override {}
  void gradient(GradientCall&) const override {}
  std::optional<Aliasing> aliasing(std::size_t) const override { return Aliasing{.operand = 0, .writes = false}; }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>&) const override { return true; }
  int launches(std::span<const Value>) const override { return 0; }
};

}  // namespace

Value stop_gradient(const Value& x) { return record<StopGradient>({x}); }

Value reverse_gradient(const Value& x, const Value& factor) {
  Shape ones = x.shape();
  for (int axis = 0; axis < ones.rank(); ++axis) ones = ones.with(axis, 1);
  const Value scale = broadcast(reshape(cast(factor, x.dtype()), ones), x.shape());
  const Value still = stop_gradient(x);
  // The difference is zero, and its gradient is that of x.
  return subtract(still, multiply(scale, subtract(x, still)));
}

}  // namespace rtl::graph
