// The end of a training step, which moves its counters on.
#include "rtl/graph/step_state.hpp"

#include <array>

#include "graph/operations/support.hpp"

namespace rtl::graph {
namespace {

/// Operands: counters, losses, loss; results: counters and losses after it.
class Advance final : public Operation {
 public:
  explicit Advance(std::int64_t batch_size) : batch_size_(batch_size) {}
  std::string_view name() const noexcept override { return "advance"; }
  std::string attributes() const override { return fmt::format("by {}", batch_size_); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_counters(name(), operands[0]);
    check_floating(name(), operands.subspan(1, 1));
    check_floating(name(), operands.subspan(2, 1));
    check_shape(operands[1].rank() == 1, name(), "the losses are {}; one axis of batches is needed",
                operands[1].shape().to_string());
    check_shape(operands[2].shape().count() == 1, name(), "the loss is {}; one element is needed",
                operands[2].shape().to_string());
    return {operands[0].type(), operands[1].type()};
  }
  void run(const Call& call) const override {
    kernels::advance(call.device(), call.out(0), call.out(1), call.in(2), batch_size_);
  }
  std::optional<Aliasing> aliasing(std::size_t result) const override {
    return Aliasing{.operand = static_cast<int>(result), .writes = true};
  }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>& replicated) const override {
    return replicated[0] && replicated[1] && replicated[2];
  }

 private:
  std::int64_t batch_size_;
};

}  // namespace

void advance(const Value& counters, const Value& losses, const Value& loss, std::int64_t batch_size) {
  const std::array operands = {counters, losses, loss};
  counters.graph().add(std::make_shared<const Advance>(batch_size), operands);
}

}  // namespace rtl::graph
