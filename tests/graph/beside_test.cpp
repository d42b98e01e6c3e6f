// Nodes that run beside others: what captured runs wait for, and batches that are fetched a run ahead.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/graph/fetch.hpp"
#include "rtl/graph/operation.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/graph/step_state.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "support/devices.hpp"
#include "support/emulation_order.hpp"
#include "support/random.hpp"

namespace rtl::graph::test {
namespace {

using rtl::test::devices;

constexpr std::int64_t positions = 10, width = 6, largest = 4, replicas = 3, table_rows = 8, epochs = 3;

/// Of `count` samples from the counters' begin on; `count` 0 is the fetch before an epoch.
struct Step {
  std::shared_ptr<Graph> graph;
  Value table, order, counters, buffer, batch;
  Storage losses;
  std::unique_ptr<Execution> execution;

  Step(const Device& device, std::int64_t count, bool ahead, std::int64_t copies)
      : graph(std::make_shared<Graph>(device)), losses(Tensor::zeros({largest}, DType::f32, device)) {
    table = graph->input("table", {table_rows, width}, DType::f32);
    order = graph->variable("order", Storage(Tensor({positions}, DType::i64, device)));
    counters = graph->variable("counters", Storage(Tensor({kernels::Counters::count}, DType::i64, device)));
    buffer = graph->variable("buffer", Storage(Tensor({largest, width}, DType::f32, device)));
    const Value all = graph->variable("losses", losses);
    const FeatureTable features{table};
    std::vector<Value> results;
    if (count == 0) {
      fetch_batch_features(buffer, features, order, counters, 0);
    } else {
      batch = ahead ? fetched_batch_features(buffer, features, order, counters, count)
                    : gather_batch_features(features, order, counters, count, DType::f32);
      results.push_back(batch);
      advance(counters, all, reshape(mean(square(batch)), {1}), count);
    }
    PlanOptions options{.replicas = copies};
    if (copies > 1) options.replicated = {order, counters, buffer, all};
    execution = std::make_unique<Execution>(std::make_shared<const Plan>(graph, results, options));
    execution->capture();
    if (copies > 1) losses = Storage(Tensor::zeros({copies, largest}, DType::f32, device));
    if (copies > 1) execution->bind(all, losses.tensor().view());
  }
};

/// Memory that all steps share.
struct Memory {
  Tensor table, order, counters, buffer;

  Memory(const Device& device, std::int64_t copies) {
    rtl::test::Random random(3);
    const rtl::test::Reals drawn = random.normal({table_rows, width});
    table = Tensor::from(std::vector<float>(drawn.begin(), drawn.end()), {table_rows, width}, device);
    const auto shape = [&](const Shape& one) { return copies > 1 ? stacked(copies, one) : one; };
    order = Tensor(shape({positions}), DType::i64, device);
    counters = Tensor(shape({kernels::Counters::count}), DType::i64, device);
    buffer = Tensor(shape({largest, width}), DType::f32, device);
  }
  void bind(Step& step) {
    step.execution->bind(step.table, table.view());
    step.execution->bind(step.order, order.view());
    step.execution->bind(step.counters, counters.view());
    step.execution->bind(step.buffer, buffer.view());
  }
};

std::vector<float> values(Execution& execution, const Value& value) {
  const View view = execution.view(value);
  Tensor host(view.shape(), view.dtype(), Device::cpu());
  copy_bytes(view, host);
  return host.to_vector<float>();
}

/// The batches of some epochs of 4, 4 and 2 samples.
std::vector<std::vector<float>> batches_of(const Device& device, bool ahead, std::int64_t copies) {
  Memory memory(device, copies);
  std::map<std::int64_t, Step> steps;
  for (const std::int64_t count : {std::int64_t{0}, largest, positions % largest}) {
    memory.bind(steps.try_emplace(count, device, count, ahead, copies).first->second);
  }
  rtl::test::Random random(11);
  std::vector<std::vector<float>> all;
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
    const rtl::test::Reals rows = random.below({copies * positions}, table_rows);
    copy_bytes(Tensor::from(std::vector<std::int64_t>(rows.begin(), rows.end()), memory.order.shape(), device),
               memory.order.view());
    copy_bytes(Tensor::zeros(memory.counters.shape(), DType::i64, device), memory.counters.view());
    if (ahead) steps.at(0).execution->run();
    for (std::int64_t left = positions; left > 0; left -= largest) {
      Step& step = steps.at(std::min(left, largest));
      step.execution->run();
      all.push_back(values(*step.execution, step.batch));
    }
  }
  return all;
}

TEST(Beside, BatchesThatAreFetchedAheadAreTheOnesThatFollow) {
  for (const Device& device : devices()) {
    for (const std::int64_t copies : {std::int64_t{1}, replicas}) {
      const auto wanted = batches_of(device, false, copies);
      ASSERT_EQ(wanted.size(), 9u);
      EXPECT_NE(wanted[0], wanted[1]);
      for (const std::string& order : rtl::test::emulation_orders) {
        const rtl::test::EmulationOrder scope(order);
        EXPECT_EQ(batches_of(device, true, copies), wanted) << device.name() << " " << order << " " << copies;
      }
    }
  }
}

TEST(Beside, PlansCountWhatIsFetchedAhead) {
  const Device device = Device::cpu(1);
  const auto launches = [&](std::int64_t count, bool ahead, std::int64_t copies) {
    return Step(device, count, ahead, copies).execution->plan().facts().launches;
  };
  EXPECT_EQ(launches(largest, true, 1), launches(largest, false, 1) + 1);
  EXPECT_EQ(launches(largest, true, replicas), launches(largest, false, replicas) + 1);
  EXPECT_EQ(launches(2, true, replicas), launches(2, false, replicas) + replicas)
      << "parts of buffers are copied apart";
  const std::string text = Step(device, largest, true, 1).execution->plan().to_string();
  EXPECT_NE(text.find("fetch_batch_features (4 from begin + 4, beside)"), std::string::npos) << text;
}

/// Says of itself that it may run beside others.
class Doubles final : public Operation {
 public:
  explicit Doubles(bool in_place) : in_place_(in_place) {}
  std::string_view name() const noexcept override { return "doubles"; }
  std::vector<Type> infer(std::span<const Value> operands) const override { return {operands[0].type()}; }
  void run(const Call& call) const override { kernels::scale_add(call.device(), 2.0, call.in(0), 0.0, call.out(0)); }
  std::optional<Aliasing> aliasing(std::size_t) const override {
    return in_place_ ? std::optional(Aliasing{.operand = 0, .writes = true}) : std::nullopt;
  }
  bool runs_beside() const noexcept override { return true; }

 private:
  bool in_place_;
};

TEST(Beside, TouchesLeavesOnly) {
  const auto graph = std::make_shared<Graph>(Device::cpu(1));
  const Value x = graph->variable("x", Storage(Tensor::zeros({3}, DType::f32, graph->device())));
  const Value apart = graph->add_one(std::make_shared<Doubles>(false), {x});
  EXPECT_THROW(Plan(graph, {apart}), ValueError) << "it makes a value, whose memory others share";
  const Value made = graph->add_one(std::make_shared<Doubles>(false), {exp(x)});
  EXPECT_THROW(Plan(graph, {made}), ValueError);
  const auto other = std::make_shared<Graph>(graph->device());
  other->add_one(std::make_shared<Doubles>(true), {other->variable("x", graph->record(x).storage)});
  EXPECT_NO_THROW(Plan(other, {}));
}

/// Whoever reads what is changed beside it waits, and so does whoever changes what is read there.
TEST(Beside, IsWaitedForByWhatTouchesTheSame) {
  for (const Device& device : devices()) {
    for (const std::string& order : rtl::test::emulation_orders) {
      const rtl::test::EmulationOrder scope(order);
      const auto graph = std::make_shared<Graph>(device);
      const auto variable = [&](const char* name, float value) {
        return graph->variable(name, Storage(Tensor::from(std::vector<float>{value, value}, {2}, device)));
      };
      const Value x = variable("x", 1), y = variable("y", 1);
      const Value before = exp(x);
      const Value doubled = graph->add_one(std::make_shared<Doubles>(true), {x});
      const Value unrelated = add(y, y), behind = multiply(doubled, fill(*graph, 10, {1}, DType::f32));
      graph->add_one(std::make_shared<Doubles>(true), {y});
      Execution execution(std::make_shared<const Plan>(graph, std::vector<Value>{before, unrelated, behind}));
      execution.capture();
      for (const float times : {1.0F, 2.0F, 4.0F}) {
        execution.run();
        EXPECT_NEAR(values(execution, before)[0], std::exp(times), 1e-5 * std::exp(times)) << device.name() << order;
        EXPECT_EQ(values(execution, unrelated), (std::vector<float>{2 * times, 2 * times}));
        EXPECT_EQ(values(execution, behind), (std::vector<float>{20 * times, 20 * times}));
      }
    }
  }
}

}  // namespace
}  // namespace rtl::graph::test
