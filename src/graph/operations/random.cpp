// Dropout, whose masks follow the counters of the training step.
#include "graph/operations/support.hpp"
#include "rtl/kernels/dropout.hpp"

namespace rtl::graph {
namespace {

class Dropout final : public Operation {
 public:
  Dropout(double probability, std::uint64_t name) : probability_(probability), name_(name) {}
  std::string_view name() const noexcept override { return "dropout"; }
  std::string attributes() const override { return fmt::format("{}", probability_); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    if (!(probability_ >= 0 && probability_ < 1)) {
      throw ValueError(fmt::format("dropout: the probability is {}, but must be in [0, 1)", probability_));
    }
    check_activations(name(), operands.first(1));
    check_counters(name(), operands[1]);
    return {operands[0].type()};
  }
  void run(const Call& call) const override {
    kernels::dropout(call.device(), call.in(0), probability_, name_, call.in(1), call.out(0));
  }
  /// The mask is a function of the counters, so the same operation drops the same elements of the gradient.
  void gradient(GradientCall& call) const override {
    call.give(0, dropout(call.gradient(), probability_, name_, call.operand(1)));
  }
  bool may_overwrite(std::size_t, std::size_t operand) const override { return operand == 0; }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>& replicated) const override {
    return replicated[1];
  }
  double flops(std::span<const Value> operands) const override {
    return static_cast<double>(operands[0].shape().count());
  }

 private:
  double probability_;
  std::uint64_t name_;
};

}  // namespace

Value dropout(const Value& x, double probability, std::uint64_t name, const Value& counters) {
  return probability == 0 ? x : record<Dropout>({x, counters}, probability, name);
}

}  // namespace rtl::graph
