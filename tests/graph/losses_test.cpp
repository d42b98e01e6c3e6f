// Softmax and cross-entropy, by the checks of operation_case.hpp; the loss that passes fuse.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "graph/operation_case.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/passes.hpp"
#include "rtl/graph/plan.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"

namespace rtl::graph::test {
namespace {

using rtl::test::devices;

Numbers softmax_of(const Numbers& x, std::size_t columns) {
  Numbers p(x.size());
  for (std::size_t begin = 0; begin < x.size(); begin += columns) {
    const double largest = *std::max_element(x.begin() + static_cast<std::ptrdiff_t>(begin),
                                             x.begin() + static_cast<std::ptrdiff_t>(begin + columns));
    double total = 0;
    for (std::size_t i = begin; i < begin + columns; ++i) total += p[i] = std::exp(x[i] - largest);
    for (std::size_t i = begin; i < begin + columns; ++i) p[i] /= total;
  }
  return p;
}

double loss_of(const Numbers& x, std::size_t columns, const std::vector<std::int32_t>& labels) {
  const Numbers p = softmax_of(x, columns);
  double total = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    total -= std::log(p[i * columns + static_cast<std::size_t>(labels[i])]);
  }
  return total / static_cast<double>(labels.size());
}

template <typename T>
Tensor tensor(const std::vector<T>& values, const Device& device) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())}, device);
}

TEST(Losses, Softmax) {
  check({.name = "softmax",
         .shapes = {{3, 2, 7}},
         .record = [](Graph&, std::span<const Value> in) { return softmax(in[0]); },
         .reference = [](const std::vector<Numbers>& in) { return softmax_of(in[0], 7); },
         .roundoffs = 16,
         .bf16_roundoffs = 0});
  check({.name = "softmax of long rows",
         .shapes = {{2, 131}},
         .record = [](Graph&, std::span<const Value> in) { return softmax(in[0]); },
         .reference = [](const std::vector<Numbers>& in) { return softmax_of(in[0], 131); },
         .roundoffs = 16,
         .bf16_roundoffs = 0});
}

TEST(Losses, CrossEntropy) {
  const std::vector<std::int32_t> labels = {2, 0, 4, 4, 1};
  check({.name = "cross_entropy",
         .shapes = {{5, 5}},
         .record =
             [&](Graph& graph, std::span<const Value> in) {
               return cross_entropy(in[0], graph.constant("labels", tensor(labels, graph.device())));
             },
         .reference = [&](const std::vector<Numbers>& in) { return Numbers{loss_of(in[0], 5, labels)}; },
         .roundoffs = 16,
         .bf16_roundoffs = 0});
}

TEST(Losses, CrossEntropyOfABatch) {
  const std::vector<std::int32_t> table = {2, 0, 1, 1, 2, 0, 2};
  const std::vector<std::int32_t> order = {6, 5, 0, 3, 3, 2, 1, 4};
  constexpr std::int64_t begin = 3;
  check({.name = "cross_entropy_batch",
         .shapes = {{4, 3}},
         .record =
             [&](Graph& graph, std::span<const Value> in) {
               const Value counters =
                   graph.constant("counters", tensor(std::vector<std::int64_t>{0, 0, begin, 0}, graph.device()));
               return cross_entropy_batch(in[0], graph.constant("labels", tensor(table, graph.device())),
                                          graph.constant("order", tensor(order, graph.device())), counters);
             },
         .reference =
             [&](const std::vector<Numbers>& in) {
               std::vector<std::int32_t> labels;
               for (std::size_t i = 0; i < 4; ++i) labels.push_back(table[static_cast<std::size_t>(order[begin + i])]);
               return Numbers{loss_of(in[0], 3, labels)};
             },
         .roundoffs = 16,
         .bf16_roundoffs = 0});
}

/// Loss and gradient of logits with labels from a table, by a node each or by one.
struct Both {
  std::shared_ptr<Graph> graph;
  Value logits, labels, order, counters, loss, dlogits;

  Both(const Device& device, DType dtype, const Shape& shape, bool fused) : graph(std::make_shared<Graph>(device)) {
    logits = graph->input("logits", shape, dtype);
    labels = graph->input("labels", {50}, DType::i32);
    order = graph->input("order", {2 * shape[0]}, DType::i64);
    counters = graph->input("counters", {4}, DType::i64);
    loss = cross_entropy_batch(logits, labels, order, counters);
    dlogits = gradients(loss, {&logits, 1}).front();
    if (!fused) return;
    run_passes(*graph, {loss, dlogits});
    EXPECT_EQ(Plan(graph, {loss, dlogits}).facts().nodes, 1);
  }
};

struct LossInputs {
  static constexpr std::int64_t replicas = 3;
  std::vector<double> logits;
  std::vector<std::int32_t> labels;
  std::vector<std::int64_t> order, counters;

  explicit LossInputs(const Shape& shape) {
    rtl::test::Random random(17);
    const rtl::test::Reals x = random.normal({replicas * shape.count()}, 0, 3);
    const rtl::test::Reals classes = random.below({50}, static_cast<std::uint64_t>(shape[1]));
    const rtl::test::Reals rows = random.below({replicas * 2 * shape[0]}, 50);
    logits.assign(x.begin(), x.end());
    labels.assign(classes.begin(), classes.end());
    order.assign(rows.begin(), rows.end());
    for (std::int64_t r = 0; r < replicas; ++r) counters.insert(counters.end(), {0, 0, r * shape[0] / 2, 0});
  }
};

/// Loss and gradient of one replica, or with -1 of all.
std::array<Numbers, 2> run_both(const Both& both, const LossInputs& in, std::int64_t replica) {
  const Device& device = both.graph->device();
  PlanOptions options;
  if (replica < 0) {
    options = {.replicas = LossInputs::replicas, .replicated = {both.logits, both.order, both.counters}};
  }
  Execution execution(std::make_shared<const Plan>(both.graph, std::vector<Value>{both.loss, both.dlogits}, options));
  std::vector<Tensor> kept;
  const auto bind = [&](const Value& value, const auto& all, bool own) {
    const auto size = static_cast<std::ptrdiff_t>(value.shape().count());
    auto part = all;
    if (own && replica >= 0) part.assign(all.begin() + replica * size, all.begin() + (replica + 1) * size);
    std::vector<std::int64_t> extents(value.shape().extents().begin(), value.shape().extents().end());
    if (own && replica < 0) extents.insert(extents.begin(), LossInputs::replicas);
    kept.push_back(Tensor::from(part, Shape(std::span<const std::int64_t>(extents)), device));
    execution.bind(value, std::as_const(kept.back()).view());
  };
  if (both.logits.dtype() == DType::f64) {
    bind(both.logits, in.logits, true);
  } else {
    bind(both.logits, std::vector<float>(in.logits.begin(), in.logits.end()), true);
  }
  bind(both.labels, in.labels, false);
  bind(both.order, in.order, true);
  bind(both.counters, in.counters, true);
  execution.run();
  std::array<Numbers, 2> results;
  for (std::size_t i = 0; i < 2; ++i) {
    const View view = execution.view(i == 0 ? both.loss : both.dlogits);
    Tensor host(view.shape(), view.dtype(), Device::cpu());
    copy_bytes(view, host);
    if (view.dtype() == DType::f64) {
      results[i] = host.to_vector<double>();
    } else {
      const std::vector<float> values = host.to_vector<float>();
      results[i].assign(values.begin(), values.end());
    }
  }
  return results;
}

/// The fused operation against the two, and its replicas against separate runs.
TEST(Losses, LossAndGradientInOneOperation) {
  for (const Device& device : devices()) {
    for (const Shape& shape : {Shape{33, 10}, Shape{7, 131}, Shape{900, 12}}) {
      for (const DType dtype : {DType::f32, DType::f64}) {
        SCOPED_TRACE(device.name() + " " + shape.to_string() + " " + std::string(name_of(dtype)));
        const LossInputs in(shape);
        const Both apart(device, dtype, shape, false), fused(device, dtype, shape, true);
        const auto all = run_both(fused, in, -1), all_apart = run_both(apart, in, -1);
        const double unit = dtype == DType::f64 ? 1e-15 : 1e-7;
        for (std::int64_t r = 0; r < LossInputs::replicas; ++r) {
          const auto one = run_both(fused, in, r), one_apart = run_both(apart, in, r);
          EXPECT_NEAR(one[0][0], one_apart[0][0], 20 * unit * std::abs(one_apart[0][0]));
          for (std::size_t i = 0; i < one[1].size(); ++i) {
            ASSERT_NEAR(one[1][i], one_apart[1][i], 20 * unit / static_cast<double>(shape[0]));
          }
          for (std::size_t k = 0; k < 2; ++k) {
            const auto begin = r * static_cast<std::ptrdiff_t>(one[k].size());
            const auto end = begin + static_cast<std::ptrdiff_t>(one[k].size());
            EXPECT_EQ(Numbers(all[k].begin() + begin, all[k].begin() + end), one[k]);
            EXPECT_EQ(Numbers(all_apart[k].begin() + begin, all_apart[k].begin() + end), one_apart[k]);
          }
        }
      }
    }
  }
}

TEST(Losses, FaultsNameShapesAndTypes) {
  Graph graph(Device::cpu(1));
  const Value logits = graph.input("logits", {5, 3}, DType::f32), labels = graph.input("labels", {5}, DType::i32);
  const Value counters = graph.input("counters", {4}, DType::i64), few = graph.input("few", {4}, DType::i32);
  EXPECT_THROW(softmax(labels), DTypeError);
  EXPECT_THROW(cross_entropy(logits, few), ShapeError);
  EXPECT_THROW(cross_entropy(logits, counters), DTypeError);
  EXPECT_THROW(cross_entropy(logits, Value()), ValueError);
  EXPECT_THROW(cross_entropy(graph.input("none", {0, 3}, DType::f32), graph.input("no labels", {0}, DType::i32)),
               ShapeError);
  EXPECT_THROW(cross_entropy_batch(logits, few, few, counters), ShapeError);
  EXPECT_THROW(cross_entropy_batch(logits, few, Value(), counters), ValueError);
  EXPECT_THROW(cross_entropy_batch(logits, few, labels, few), DTypeError);
}

}  // namespace
}  // namespace rtl::graph::test
