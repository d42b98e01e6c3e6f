#include "graph/operation_case.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "rtl/core/random.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"

namespace rtl::graph::test {
namespace {

constexpr std::int64_t replicas = 3;

Tensor rounded(const Numbers& values, const Shape& shape, DType dtype, const Device& device) {
  if (dtype == DType::f64) return Tensor::from(values, shape, device);
  Tensor single = Tensor::from(std::vector<float>(values.begin(), values.end()), shape, device);
  if (dtype == DType::f32) return single;
  Tensor converted(shape, dtype, device);
  kernels::cast(device, single, converted);
  return converted;
}

double rounded(double value, DType dtype) {
  if (dtype == DType::f64) return value;
  const auto single = static_cast<float>(value);
  return dtype == DType::bf16 ? to_float(to_bfloat16(single)) : single;
}

Numbers numbers(const std::vector<std::byte>& stored, DType dtype) {
  Tensor host({static_cast<std::int64_t>(stored.size() / size_of(dtype))}, dtype, Device::cpu());
  if (!stored.empty()) std::memcpy(host.view().data(), stored.data(), stored.size());
  Tensor wide(host.shape(), DType::f64, Device::cpu());
  kernels::cast(Device::cpu(), host, wide);
  return wide.to_vector<double>();
}

double largest_of(const Numbers& values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

DType dtype_of_input(const OperationCase& operation, std::size_t input, DType dtype) {
  const bool parameter = input < operation.parameters.size() && operation.parameters[input];
  return parameter ? parameter_dtype(dtype) : dtype;
}

std::vector<std::byte> bytes(ConstView view) {
  Tensor host(view.shape(), view.dtype(), Device::cpu());
  copy_bytes(view, host);
  std::vector<std::byte> result(host.bytes());
  if (!result.empty()) std::memcpy(result.data(), host.view().data(), result.size());
  return result;
}

Shape stacked(const Shape& shape) {
  std::vector<std::int64_t> extents{replicas};
  extents.insert(extents.end(), shape.extents().begin(), shape.extents().end());
  return Shape(std::span<const std::int64_t>(extents));
}

/// The operation on inputs, a loss that weighs every element differently, and the gradients.
struct Recorded {
  std::shared_ptr<Graph> graph;
  std::vector<Value> inputs;
  std::vector<Value> results;  ///< value, then the gradients that there are

  Recorded(const OperationCase& operation, DType dtype, const Device& device) : graph(std::make_shared<Graph>(device)) {
    for (std::size_t i = 0; i < operation.shapes.size(); ++i) {
      inputs.push_back(
          graph->input("input " + std::to_string(i), operation.shapes[i], dtype_of_input(operation, i, dtype)));
    }
    const Value value = operation.record(*graph, inputs), wide = cast(value, parameter_dtype(dtype));
    Numbers weights(static_cast<std::size_t>(value.shape().count()));
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.5 + static_cast<double>(i * 7 % 11) / 8;
    const Value loss =
        sum(multiply(wide, graph->constant("weights", rounded(weights, value.shape(), wide.dtype(), device))));
    results = {value};
    for (const Value& gradient : gradients(loss, inputs)) {
      if (gradient.defined()) results.push_back(gradient);
    }
  }
};

using Bytes = std::vector<std::vector<std::byte>>;

/// What a run starts with in a variable: each replica has a copy of its storage.
Tensor initial(const ValueRecord& variable, std::int64_t copies) {
  const Tensor& start = variable.storage.tensor();
  Tensor all(copies == 1 ? start.shape() : stacked(start.shape()), start.dtype(), start.device());
  const View rows = all.view().reshaped({copies, start.shape().count()});
  for (std::int64_t copy = 0; copy < copies; ++copy) {
    copy_bytes(start.view().reshaped({1, start.shape().count()}), rows.slice(0, copy, copy + 1));
  }
  return all;
}

/// The results, and the variables as the last of `runs` runs leaves them. Each run starts with the same variables, and
/// with NaN in all results; several runs are replays where there are such.
Bytes results_of(const Recorded& recorded, const std::vector<Tensor>& inputs, PlanOptions options, int runs = 1) {
  std::vector<Value> variables;
  std::vector<Tensor> starts, states;
  for (std::size_t i = 0; i < recorded.graph->values().size(); ++i) {
    const ValueRecord& value = recorded.graph->values()[i];
    if (value.origin != Origin::variable) continue;
    variables.push_back(recorded.graph->value(static_cast<std::int32_t>(i)));
    starts.push_back(initial(value, options.replicas));
    states.push_back(starts.back().clone());
    options.replicated.push_back(variables.back());
  }
  Execution execution(std::make_shared<const Plan>(recorded.graph, recorded.results, options));
  if (runs > 1) execution.capture();
  for (std::size_t i = 0; i < inputs.size(); ++i) execution.bind(recorded.inputs[i], inputs[i].view());
  for (std::size_t i = 0; i < variables.size(); ++i) execution.bind(variables[i], states[i].view());
  for (int run = 0; run < runs; ++run) {
    for (std::size_t i = 0; i < states.size(); ++i) copy_bytes(starts[i], states[i]);
    for (const Value& result : recorded.results) {
      const View view = execution.view(result);
      const bool leaf = recorded.graph->record(result).origin != Origin::operation;
      if (!leaf) kernels::fill(execution.device(), std::nan(""), view);
    }
    execution.run();
  }
  Bytes all;
  for (const Value& result : recorded.results) all.push_back(bytes(execution.view(result)));
  for (const Tensor& state : states) all.push_back(bytes(state.view()));
  return all;
}

class Checks {
 public:
  Checks(const OperationCase& operation, DType dtype, const Device& device)
      : operation_(operation), dtype_(dtype), device_(device), recorded_(operation, dtype, device) {
    RandomSequence random(rtl::test::seed());
    for (std::int64_t r = 0; r < replicas; ++r) {
      std::vector<Numbers> drawn;
      for (const Shape& shape : operation.shapes) {
        Numbers values(static_cast<std::size_t>(shape.count()));
        const DType stored = dtype_of_input(operation, drawn.size(), dtype);
        for (double& value : values) {
          value = rounded(operation.low + (operation.high - operation.low) * random.uniform(), stored);
        }
        drawn.push_back(std::move(values));
      }
      values_.push_back(std::move(drawn));
    }
  }

  void run() {
    const Bytes alone = results_of(recorded_, tensors(0), {});
    compare_with_reference(alone.front());
    if (dtype_ == DType::bf16) compare_with_f64(alone);
    EXPECT_EQ(results_of(recorded_, tensors(0), {.share_memory = false}), alone) << "node by node and planned differ";
    EXPECT_EQ(results_of(recorded_, tensors(0), {}, 2), alone) << "recorded and planned differ";
    EXPECT_EQ(results_of(recorded_, tensors(0), {}, 3), alone) << "replayed and planned differ";
    compare_replicas(operation_.shapes.size());
    if (operation_.shapes.size() > 1) compare_replicas(1);
  }

 private:
  std::vector<Tensor> tensors(std::size_t replica) const {
    std::vector<Tensor> result;
    for (std::size_t i = 0; i < operation_.shapes.size(); ++i) {
      result.push_back(tensor(values_[replica][i], i, operation_.shapes[i]));
    }
    return result;
  }
  Tensor tensor(const Numbers& values, std::size_t input, const Shape& shape) const {
    return rounded(values, shape, dtype_of_input(operation_, input, dtype_), device_);
  }

  void compare_with_reference(const std::vector<std::byte>& result) const {
    const Numbers wanted = operation_.reference(values_[0]);
    const Numbers here = numbers(result, recorded_.results[0].dtype());
    const double unit = dtype_ == DType::f64 ? 1e-13 : dtype_ == DType::f32 ? 0x1p-24 : 0x1p-8;
    expect_near(here, wanted, (dtype_ == DType::bf16 ? operation_.bf16_roundoffs : operation_.roundoffs) * unit);
  }

  /// Value and gradients of the same inputs in f64.
  void compare_with_f64(const Bytes& here) const {
    const Recorded exact(operation_, DType::f64, device_);
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < operation_.shapes.size(); ++i) {
      inputs.push_back(rounded(values_[0][i], operation_.shapes[i], DType::f64, device_));
    }
    const Bytes wanted = results_of(exact, inputs, {});
    ASSERT_EQ(exact.results.size(), recorded_.results.size());
    for (std::size_t i = 0; i < exact.results.size(); ++i) {
      SCOPED_TRACE("result " + std::to_string(i) + " in bf16 and f64");
      if (recorded_.results[i].dtype() == DType::i32) continue;
      expect_near(numbers(here[i], recorded_.results[i].dtype()), numbers(wanted[i], DType::f64),
                  operation_.bf16_roundoffs * 0x1p-8, operation_.bf16_terms);
    }
  }

  static void expect_near(const Numbers& here, const Numbers& wanted, double allowed, double least = 1e-3) {
    ASSERT_EQ(here.size(), wanted.size());
    const double bound = allowed * std::max(largest_of(wanted), least);
    for (std::size_t i = 0; i < wanted.size(); ++i) ASSERT_NEAR(here[i], wanted[i], bound) << "element " << i;
  }

  /// The first `count` inputs are replicated, the others shared.
  void compare_replicas(std::size_t count) const {
    std::vector<Tensor> inputs;
    PlanOptions options{.share_memory = true, .replicas = replicas, .replicated = {}};
    for (std::size_t i = 0; i < operation_.shapes.size(); ++i) {
      if (i >= count) {
        inputs.push_back(tensor(values_[0][i], i, operation_.shapes[i]));
        continue;
      }
      options.replicated.push_back(recorded_.inputs[i]);
      Numbers all;
      for (std::size_t r = 0; r < replicas; ++r) all.insert(all.end(), values_[r][i].begin(), values_[r][i].end());
      inputs.push_back(tensor(all, i, stacked(operation_.shapes[i])));
    }
    const Bytes together = results_of(recorded_, inputs, options);
    PlanOptions in_turn = options;
    in_turn.replicas_in_turn = true;
    EXPECT_EQ(results_of(recorded_, inputs, in_turn), together) << "replicas in turn and side by side differ";
    EXPECT_EQ(results_of(recorded_, inputs, options, 3), together) << "replayed and planned replicas differ";
    for (std::size_t r = 0; r < replicas; ++r) {
      std::vector<Tensor> own = tensors(r);
      for (std::size_t i = count; i < own.size(); ++i) own[i] = tensor(values_[0][i], i, operation_.shapes[i]);
      const Bytes alone = results_of(recorded_, own, {});
      for (std::size_t i = 0; i < alone.size(); ++i) {
        const bool shared = together[i].size() == alone[i].size();
        const std::size_t begin = shared ? 0 : r * alone[i].size();
        const std::vector<std::byte> part(together[i].begin() + static_cast<std::ptrdiff_t>(begin),
                                          together[i].begin() + static_cast<std::ptrdiff_t>(begin + alone[i].size()));
        EXPECT_EQ(part, alone[i]) << "replica " << r << " of " << count << " replicated inputs, result " << i;
      }
    }
  }

  const OperationCase& operation_;
  DType dtype_;
  Device device_;
  Recorded recorded_;
  std::vector<std::vector<Numbers>> values_;  ///< [replica][input]
};

void check_derivatives(const OperationCase& operation, const Device& device) {
  RandomSequence random(rtl::test::seed() + 1);
  std::vector<Storage> inputs;
  for (const Shape& shape : operation.shapes) {
    Numbers values(static_cast<std::size_t>(shape.count()));
    for (double& value : values) value = operation.low + (operation.high - operation.low) * random.uniform();
    inputs.emplace_back(Tensor::from(values, shape, device));
  }
  const GradientCheck first = gradient_check(operation.record, inputs, {.entries = 40});
  EXPECT_LT(first.largest_error, 1e-6) << first.where;
  if (!operation.second_derivative) return;
  const GradientCheck second = second_gradient_check(operation.record, inputs, {.entries = 20});
  EXPECT_LT(second.largest_error, 1e-6) << "second derivative: " << second.where;
}

}  // namespace

void check(const OperationCase& operation) {
  for (const Device& device : rtl::test::devices()) {
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      if (dtype == DType::bf16 && operation.bf16_roundoffs == 0) continue;
      SCOPED_TRACE(operation.name + " on " + device.name() + " in " + std::string(name_of(dtype)));
      Checks(operation, dtype, device).run();
    }
    SCOPED_TRACE(operation.name + " on " + device.name() + ", derivatives");
    check_derivatives(operation, device);
  }
}

}  // namespace rtl::graph::test
