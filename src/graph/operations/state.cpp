// The end of a training step, which moves its counters on.
#include "rtl/graph/step_state.hpp"

#include <array>

#include "graph/operations/optimizer.hpp"
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
    check_advance(name(), operands[0], operands[1], operands[2]);
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
  std::int64_t batch_size() const noexcept { return batch_size_; }

 private:
  std::int64_t batch_size_;
};

}  // namespace

std::optional<std::int64_t> advanced_batch(const Operation& operation) {
  const auto* advance = dynamic_cast<const Advance*>(&operation);
  return advance == nullptr ? std::nullopt : std::optional(advance->batch_size());
}

void check_advance(std::string_view operation, const Value& counters, const Value& losses, const Value& loss) {
  check_counters(operation, counters);
  check_floating(operation, {&losses, 1});
  check_floating(operation, {&loss, 1});
  check_shape(losses.rank() == 1, operation, "the losses are {}; one axis of batches is needed",
              losses.shape().to_string());
  check_shape(loss.shape().count() == 1, operation, "the loss is {}; one element is needed", loss.shape().to_string());
}

void advance(const Value& counters, const Value& losses, const Value& loss, std::int64_t batch_size) {
  const std::array operands = {counters, losses, loss};
  counters.graph().add(std::make_shared<const Advance>(batch_size), operands);
}

}  // namespace rtl::graph
