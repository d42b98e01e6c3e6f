// What strategies record beside a network's own pass, and batch norms of two statistics.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "rtl/graph/gradient_check.hpp"
#include "rtl/layers/basic_block.hpp"
#include "rtl/layers/linear.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/layers/sequential.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"
#include "support/recorded.hpp"

namespace rtl::layers {
namespace {

Construction construction(const Device& device) { return {.device = device, .seed = 3, .dtype = DType::f64}; }

std::vector<double> values(const Tensor& tensor) { return tensor.to_vector<double>(); }

TEST(Hooks, StandForParameters) {
  for (const Device& device : test::devices()) {
    test::RandomTensors random(1);
    Linear linear({.inputs = 5, .outputs = 3}, construction(device));
    const Tensor x = random.f64({4, 5}, device);
    const ModuleState state = linear.state();
    Hooks hooks;
    for (const NamedParameter& parameter : state.parameters) {
      hooks.parameters[parameter.parameter] = [](const Value& original) { return graph::scale(original, 2); };
    }
    const std::vector<double> own = values(test::forward(linear, x));
    const std::vector<double> doubled = values(test::forward(linear, x, {.hooks = &hooks}));
    for (std::size_t i = 0; i < own.size(); ++i) EXPECT_EQ(doubled[i], 2 * own[i]);  // a power of two: exactly
    EXPECT_EQ(values(test::forward(linear, x)), own);
  }
}

TEST(Hooks, SeeLayersByTheirNames) {
  for (const Device& device : test::devices()) {
    test::RandomTensors random(1);
    const Construction c = construction(device);
    auto inner = std::make_unique<Sequential>();
    inner->add("a", std::make_unique<Linear>(LinearOptions{.inputs = 5, .outputs = 4}, c.child("stage.a")));
    inner->add("b", std::make_unique<Linear>(LinearOptions{.inputs = 4, .outputs = 4}, c.child("stage.b")));
    Sequential all;
    all.add("stage", std::move(inner));
    all.add(std::make_unique<Relu>());
    all.add("c", std::make_unique<Linear>(LinearOptions{.inputs = 4, .outputs = 2}, c.child("c")));
    const Tensor x = random.f64({3, 5}, device);
    for (const std::string& layer : all.layer_names()) {
      SCOPED_TRACE(layer);
      // What is seen there is what forward_to gives, and what is put in its place is what goes on.
      Hooks hooks;
      hooks.layers[layer] = [](const Value& y) { return graph::negate(y); };
      const std::vector<Tensor> found = test::evaluate({x}, [&](std::span<const Value> in) {
        std::vector<Value> seen;
        Hooks seeing;
        seeing.layers[layer] = [&](const Value& y) {
          seen.push_back(y);
          return y;
        };
        const Value outputs = all.forward(in[0], {.hooks = &seeing});
        EXPECT_EQ(seen.size(), 1U);
        return std::vector{outputs, seen.at(0), all.forward_to(layer, in[0], {}),
                           all.forward_to(layer, in[0], {.hooks = &hooks}), all.forward(in[0], {.hooks = &hooks})};
      });
      EXPECT_EQ(values(found[0]), values(test::forward(all, x)));
      EXPECT_EQ(values(found[1]), values(found[2]));
      const std::vector<double> there = values(found[2]), replaced = values(found[3]);
      for (std::size_t i = 0; i < there.size(); ++i) EXPECT_EQ(replaced[i], -there[i]);
      EXPECT_NE(values(found[4]), values(found[0]));
    }
  }
}

TEST(Hooks, StandBehindResidualBranches) {
  for (const Device& device : test::devices()) {
    test::RandomTensors random(1);
    BasicBlock block({.inputs = 2, .outputs = 2}, construction(device));
    const Tensor x = random.f64({2, 5, 4, 2}, device);
    Hooks hooks;
    std::vector<std::string> last;
    hooks.branch = [&](const Parameter& parameter, const Value& branch) {
      last.push_back(parameter.name);
      return graph::scale(branch, 0);
    };
    const std::vector<double> shortcut = values(test::forward(block, x, {.hooks = &hooks})), in = values(x);
    for (std::size_t i = 0; i < in.size(); ++i) EXPECT_EQ(shortcut[i], std::max(in[i], 0.0));
    EXPECT_EQ(last, std::vector<std::string>{"bn2.weight"});
  }
}

/// A norm with statistics of its own, which do not move.
std::unique_ptr<BatchNorm> still_norm(const Device& device) {
  test::RandomTensors random(2);
  auto norm = std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = 40, .momentum = 0}, construction(device));
  for (const NamedParameter& parameter : norm->state().parameters) {
    copy_bytes(random.f64({40}, device), parameter.value());
  }
  for (const NamedBuffer& buffer : norm->state().buffers) {
    copy_bytes(random.f64({40}, device, 0.5, 1.5), buffer.value());
  }
  return norm;
}

TEST(StochasticNorm, ChoosesStatisticsForEachChannel) {
  for (const Device& device : test::devices()) {
    test::RandomTensors random(1);
    const auto norm = still_norm(device);
    const Tensor x = random.f64({6, 40}, device);
    const auto run = [&](double share, std::int64_t step, bool training = true) {
      return values(test::evaluate(x, [&](const Value& in) {
        return norm->forward(
            in, {.training = training, .counters = test::counters(in.graph(), 7, step), .running_share = share});
      }));
    };
    const std::vector<double> by_batch = run(0, 1), by_running = run(0, 1, false);
    EXPECT_EQ(run(0.3, 1, false), by_running) << "evaluation knows one kind";
    for (const double share : {0.3, 0.9}) {
      int running = 0;
      for (std::int64_t step = 1; step <= 10; ++step) {
        const std::vector<double> mixed = run(share, step);
        for (std::size_t c = 0; c < 40; ++c) {
          const bool of_running = mixed[c] == by_running[c];
          running += of_running ? 1 : 0;
          for (std::size_t row = 0; row < 6; ++row) {
            const std::size_t i = row * 40 + c;
            EXPECT_EQ(mixed[i], of_running ? by_running[i] : by_batch[i]);
          }
        }
      }
      // 400 draws: five standard deviations.
      EXPECT_NEAR(running, 400 * share, 5 * std::sqrt(400 * share * (1 - share)));
    }
    EXPECT_NE(run(0.5, 1), run(0.5, 2));
    EXPECT_EQ(run(0.5, 1), run(0.5, 1));
  }
}

TEST(StochasticNorm, ItsGradientIsThatOfWhatItChose) {
  for (const Device& device : test::devices()) {
    test::RandomTensors random(1);
    const auto norm = still_norm(device);
    std::vector<graph::Storage> inputs{graph::Storage(random.f64({6, 40}, device))};
    for (const NamedParameter& parameter : norm->state().parameters) inputs.push_back(parameter.parameter->storage);
    const graph::GradientCheck found = graph::gradient_check(
        [&](Graph& graph, std::span<const Value> in) {
          return norm->forward(in[0],
                               {.training = true, .counters = test::counters(graph, 7, 3), .running_share = 0.5});
        },
        inputs, {.step = 1e-7, .entries = 60, .seed = 5});
    EXPECT_LT(found.largest_error, 1e-6) << found.where;
  }
}

TEST(StochasticNorm, NormalisesByWhatWasThereBeforeTheStep) {
  for (const Device& device : test::devices()) {
    test::RandomTensors random(1);
    BatchNorm norm({.channels = 40, .epsilon = 0}, construction(device));  // mean 0, variance 1
    const Tensor x = random.f64({8, 40}, device, 1, 2);
    const std::vector<double> given = values(x),
                              mixed = values(test::evaluate(x, [&](const Value&in) {
                                return norm.forward(in, {.training = true,
                                                         .counters = test::counters(in.graph(), 7, 3),
                                                         .running_share = 0.5});
                              }));
    std::size_t unchanged = 0;
    for (std::size_t i = 0; i < given.size(); ++i) unchanged += mixed[i] == given[i] ? 1 : 0;
    EXPECT_EQ(unchanged % 8, 0U);
    EXPECT_GE(unchanged / 8, 5U);  // of 40: one draw in ten million has fewer
  }
}

TEST(StochasticNorm, MovesStatisticsAsTheOrdinaryOne) {
  for (const Device& device : test::devices()) {
    test::RandomTensors random(1);
    const Tensor x = random.f64({8, 3}, device, 1, 2);
    const auto statistics = [&](double share) {
      BatchNorm norm({.channels = 3}, construction(device));
      test::evaluate(x, [&](const Value& in) {
        return norm.forward(in,
                            {.training = true, .counters = test::counters(in.graph(), 7, 3), .running_share = share});
      });
      std::vector<double> all = values(norm.state().buffers[0].value());
      const std::vector<double> variance = values(norm.state().buffers[1].value());
      all.insert(all.end(), variance.begin(), variance.end());
      return all;
    };
    EXPECT_EQ(statistics(0.5), statistics(0));
    EXPECT_NE(statistics(0), (std::vector<double>{0, 0, 0, 1, 1, 1}));
  }
}

TEST(BatchNorm, TrainsABiasAloneByRunningStatistics) {
  for (const Device& device : test::devices()) {
    test::RandomTensors random(1);
    const auto norm = still_norm(device);
    const Tensor x = random.f64({6, 40}, device);
    const std::vector<double> evaluated = values(test::forward(*norm, x));
    norm->state().parameters[0].parameter->trainable = false;
    EXPECT_EQ(values(test::forward(*norm, x, {.training = true})), evaluated);
  }
}

}  // namespace
}  // namespace rtl::layers
