// A step of a recorded graph, and each kernel that steps are made of, takes no memory and does not wait once it has run
// before. What the emulator itself allocates on the host is not told from the library's, so that only the host counts
// allocations there; on CUDA, runs are replays.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "graph/counts.hpp"
#include "rtl/core/random.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/optimizer_step.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/graph/step_state.hpp"
#include "rtl/kernels/conv.hpp"
#include "rtl/kernels/dropout.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/norm.hpp"
#include "rtl/kernels/optimizer_step.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/pool.hpp"
#include "rtl/kernels/prepared_conv.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/kernels/residual_fusion.hpp"
#include "rtl/kernels/softmax.hpp"
#include "rtl/kernels/sparse.hpp"
#include "rtl/kernels/step_state.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"

namespace rtl::graph::test {
namespace {

Tensor drawn(const Shape& shape, DType dtype, const Device& device) {
  RandomSequence random(rtl::test::seed());
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  for (float& value : values) value = static_cast<float>(0.1 + random.uniform());
  const Tensor single = Tensor::from(values, shape, device);
  Tensor result(shape, dtype, device);
  kernels::cast(device, single, result);
  return result;
}

/// Two layers, and something of each kind of operation.
Value recorded_loss(const Value& x, const Value& w, const Value& bias, const Value& v) {
  const Value hidden = relu(linear(x, w, bias));
  const Value mixed = matmul(sigmoid(hidden), v);
  const Value spread = divide(exp(negate(square(mixed))), add(mixed, fill(x.graph(), 3.0, {1}, x.dtype())));
  const std::array<int, 2> turned{1, 0};
  const std::array<Value, 2> parts{spread, slice(mixed, 1, 0, 2)};
  const Value wide = permute(concatenate(parts, 1), turned);
  return add(mean(maximum(wide, tanh(wide))), sum(maximum_of(broadcast(slice(wide, 0, 1, 2), wide.shape()))));
}

TEST(Allocation, StepsTakeNoMemoryAndDoNotWait) {
  for (const Device& shared : rtl::test::devices_and_threads()) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      for (const std::int64_t rows : {33, 1500}) {
        if (shared.is_cuda() && rows > 100) continue;  // the emulator is slow
        const Device device = shared.separate();
        auto graph = std::make_shared<Graph>(device);
        const Value x = graph->constant("x", drawn({rows, 24}, dtype, device));
        const Value w = graph->variable("w", Storage(drawn({40, 24}, dtype, device)));
        const Value bias = graph->variable("bias", Storage(drawn({40}, dtype, device)));
        const Value v = graph->variable("v", Storage(drawn({40, 6}, dtype, device)));
        std::vector<Value> results{recorded_loss(x, w, bias, v)};
        for (const Value& gradient : gradients(results.front(), std::vector<Value>{w, bias, v})) {
          results.push_back(gradient);
        }
        Execution execution(std::make_shared<const Plan>(graph, results));
        execution.capture();
        for (int run = 0; run < 2; ++run) execution.run();
        const Counting counting(device);
        execution.run();
        Counts counts = counting.counts();
        if (device.is_cuda()) counts.host_allocations = counts.library_allocations = 0;
        EXPECT_EQ(counts, Counts{}) << rtl::test::name_of(device) << " " << name_of(dtype) << ", rows " << rows;
      }
    }
  }
}

/// A training step of a small convolutional network with a fused head: from the batch's rows to the optimizer.
std::shared_ptr<Graph> recorded_step(const Device& d, DType t, StepState& state) {
  constexpr std::int64_t samples = 40, batch = 16, classes = 4;
  auto graph = std::make_shared<Graph>(d);
  const auto variable = [&](const char* name, const Shape& shape) {
    return graph->variable(name, Storage(drawn(shape, t, d)));
  };
  const auto [counters, rates] = state.values(*graph);
  const Value table = graph->constant("images", Tensor::zeros({samples, 8, 8, 3}, DType::u8, d));
  const Value factors = graph->constant("factors", drawn({3}, t, d));
  const Value labels = graph->constant("labels", Tensor::zeros({samples}, DType::i32, d));
  const Value order = graph->variable("order", Storage(Tensor::zeros({samples}, DType::i64, d)));
  const Value losses = graph->variable("losses", Storage(Tensor::zeros({100}, t, d)));
  const Value w = variable("w", {6, 3, 3, 3}), gamma = variable("gamma", {6}), beta = variable("beta", {6});
  const Value mean = variable("mean", {6}), variance = variable("variance", {6}),
              head = variable("head", {classes, 12});
  const Value x = gather_augmented_images(table, order, counters, batch, factors, factors, factors.dtype(),
                                          {.crop = 1, .flip = true}, 7);
  const Value y = relu(batch_norm_training(conv2d(x, w, {}, {.stride = 1, .padding = 1}), gamma, beta, mean, variance));
  const Value features = global_average_pool(max_pool(y, {}));
  const std::array<FusionInput, 2> blocks{FusionInput{features, 0.5},
                                          FusionInput{dropout(features, 0.3, 5, counters), 2}};
  const Value loss = cross_entropy_batch(residual_fusion(blocks, head, {}), labels, order, counters);
  const std::vector<Value> weights{w, gamma, beta, head};
  std::vector<OptimizedParameter> parameters;
  for (const Value& gradient : gradients(loss, weights)) {
    const Value& weight = weights[parameters.size()];
    const Value first = graph->variable("first", Storage(Tensor::zeros(weight.shape(), t, d)));
    const Value second = graph->variable("second", Storage(Tensor::zeros(weight.shape(), t, d)));
    parameters.push_back({.weight = weight, .gradient = gradient, .first = first, .second = second});
  }
  record_adam_step(counters, rates, parameters);
  advance(counters, losses, loss, 0);
  return graph;
}

TEST(Allocation, TrainingStepsTakeNoMemoryAndDoNotWait) {
  for (const Device& shared : rtl::test::devices_and_threads()) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Device device = shared.separate();
      StepState state(device);
      Execution execution(std::make_shared<const Plan>(recorded_step(device, dtype, state), std::vector<Value>()));
      execution.capture();
      for (int run = 0; run < 2; ++run) execution.run();
      const Counting counting(device);
      execution.run();
      Counts counts = counting.counts();
      if (dtype == DType::f32) counts.library_allocations = 0;  // of oneDNN's convolutions
      if (device.is_cuda()) counts.host_allocations = counts.library_allocations = 0;
      EXPECT_EQ(counts, Counts{}) << rtl::test::name_of(device) << " " << name_of(dtype);
    }
  }
}

struct KernelCase {
  std::string name;
  std::function<void()> run;
};

using Cases = std::vector<KernelCase>;

void add_images(Cases& cases, const Device& d, DType t) {
  for (const auto& [channels, outputs, kernel] : {std::array<std::int64_t, 3>{16, 32, 3}, {5, 7, 2}}) {
    const kernels::Conv2dOptions options{.stride = 1, .padding = kernel == 3 ? 1 : 0};
    const std::int64_t height = kernels::conv2d_extent(12, kernel, options);
    const auto x = std::make_shared<Tensor>(drawn({6, 12, 12, channels}, t, d));
    const auto w = std::make_shared<Tensor>(drawn({outputs, channels, kernel, kernel}, t, d));
    const auto bias = std::make_shared<Tensor>(drawn({outputs}, t, d));
    const auto y = std::make_shared<Tensor>(drawn({6, height, height, outputs}, t, d));
    const std::string of = " " + std::to_string(channels) + "x" + std::to_string(kernel);
    cases.push_back({"conv2d_forward" + of,
                     [=] { kernels::conv2d_forward(d, *x, *w, *bias, options, *y, kernels::Activation::relu); }});
    cases.push_back({"conv2d_backward_data" + of, [=] { kernels::conv2d_backward_data(d, *y, *w, options, *x); }});
    cases.push_back(
        {"conv2d_backward_weights" + of, [=] { kernels::conv2d_backward_weights(d, *x, *y, options, *w, *bias); }});
  }
  const auto x = std::make_shared<Tensor>(drawn({8, 16, 16, 12}, t, d));
  const auto same = std::make_shared<Tensor>(drawn(x->shape(), t, d));
  std::vector<std::shared_ptr<Tensor>> c;
  for (int i = 0; i < 8; ++i) c.push_back(std::make_shared<Tensor>(drawn({12}, t, d)));
  cases.push_back({"batch_norm_training_forward", [=] {
                     kernels::batch_norm_training_forward(d, *x, *c[0], *c[1], 1e-5, 0.1, *c[2], *c[3], *same, *c[4],
                                                          *c[5], true);
                   }});
  cases.push_back({"batch_norm_training_backward", [=] {
                     kernels::batch_norm_training_backward(d, *x, *same, *c[0], *c[4], *c[5], *same, *same, *c[6],
                                                           *c[7], true);
                   }});
  cases.push_back({"batch_norm_evaluation_forward", [=] {
                     kernels::batch_norm_evaluation_forward(d, *x, *c[0], *c[1], *c[2], *c[3], 1e-5, *same, true);
                   }});
  cases.push_back({"batch_norm_evaluation_backward", [=] {
                     kernels::batch_norm_evaluation_backward(d, *x, *same, *c[0], *c[2], *c[3], 1e-5, *same, *same,
                                                             *c[6], *c[7], true);
                   }});
  const auto half = std::make_shared<Tensor>(drawn({8, 8, 8, 12}, t, d));
  const auto winners = std::make_shared<Tensor>(half->shape(), DType::i32, d);
  const auto means = std::make_shared<Tensor>(drawn({8, 12}, t, d));
  const kernels::PoolOptions pool{};
  cases.push_back({"max_pool_forward", [=] { kernels::max_pool_forward(d, *x, pool, *half, *winners); }});
  cases.push_back({"max_pool_backward", [=] { kernels::max_pool_backward(d, *half, *winners, pool, *x); }});
  cases.push_back({"average_pool_forward", [=] { kernels::average_pool_forward(d, *x, pool, *half); }});
  cases.push_back({"average_pool_backward", [=] { kernels::average_pool_backward(d, *half, pool, *x); }});
  cases.push_back({"global_average_pool_forward", [=] { kernels::global_average_pool_forward(d, *x, *means); }});
  cases.push_back({"global_average_pool_backward", [=] { kernels::global_average_pool_backward(d, *means, *x); }});
}

void add_rows(Cases& cases, const Device& d, DType t) {
  for (const std::int64_t classes : {10, 50}) {
    const auto logits = std::make_shared<Tensor>(drawn({700, classes}, t, d));
    const auto shares = std::make_shared<Tensor>(drawn({700, classes}, t, d));
    const auto labels = std::make_shared<Tensor>(Tensor::zeros({700}, DType::i32, d));
    const auto loss = std::make_shared<Tensor>(drawn({1}, t, d));
    cases.push_back({"softmax", [=] { kernels::softmax(d, *logits, *shares); }});
    cases.push_back(
        {"cross_entropy_forward", [=] { kernels::cross_entropy_forward(d, *logits, {*labels}, *shares, *loss); }});
    cases.push_back({"cross_entropy_with_gradient",
                     [=] { kernels::cross_entropy_with_gradient(d, *logits, {*labels}, *shares, *loss); }});
    cases.push_back(
        {"cross_entropy_backward", [=] { kernels::cross_entropy_backward(d, *shares, {*labels}, *loss, *logits); }});
  }
  const auto x = std::make_shared<Tensor>(drawn({900, 30}, t, d));
  const auto y = std::make_shared<Tensor>(drawn({900, 30}, t, d));
  const auto columns = std::make_shared<Tensor>(drawn({30}, t, d));
  const auto rows = std::make_shared<Tensor>(Tensor::zeros({900}, DType::i32, d));
  cases.push_back({"column_sums", [=] { kernels::column_sums(d, *x, *columns); }});
  cases.push_back({"reduce", [=] {
                     kernels::reduce(d, kernels::ReduceOp::mean, *x, columns->view().reshaped({1, 30}));
                   }});
  cases.push_back({"argmax_rows", [=] { kernels::argmax_rows(d, *x, *rows); }});
  cases.push_back({"gather_rows", [=] { kernels::gather_rows(d, *x, *rows, *y); }});
  const auto scaled_rows = std::make_shared<Tensor>(Tensor::zeros({900}, DType::i64, d));
  const auto scaling = std::make_shared<Tensor>(drawn({3, 30}, DType::f32, d));
  const auto numbers = std::make_shared<Tensor>(Tensor::zeros({900, 30}, DType::u8, d));
  cases.push_back({"gather_features", [=] {
                     kernels::gather_features(d, {*numbers, *scaled_rows, *scaling, 2}, *scaled_rows, *y);
                   }});
  const auto begins = std::make_shared<Tensor>(Tensor::zeros({31}, DType::i64, d));
  const auto places = std::make_shared<Tensor>(Tensor::zeros({30}, DType::i32, d));
  const auto entries = std::make_shared<Tensor>(Tensor::zeros({30}, t, d));
  cases.push_back({"gather_sparse_rows", [=] {
                     kernels::gather_sparse_rows(d, {*begins, *places, *entries}, {}, *rows, *y);
                   }});
  cases.push_back({"scatter_add_rows", [=] { kernels::scatter_add_rows(d, *x, *rows, *y); }});
  cases.push_back({"dropout", [=] { kernels::dropout(d, *x, 0.5, 3, 4, *y); }});
  cases.push_back({"fill", [=] { kernels::fill(d, 0.0, *y); }});
  const auto moments = std::make_shared<Tensor>(drawn({900, 30}, t, d));
  const auto spread = std::make_shared<Tensor>(drawn({900, 30}, t, d));
  const auto slot = [=] {
    return std::array{
        kernels::OptimizerSlot{.weight = *y, .gradient = *x, .first = *moments, .second = *spread, .start = {}}};
  };
  const auto counters = std::make_shared<Tensor>(Tensor::zeros({kernels::Counters::count}, DType::i64, d));
  const auto rates = std::make_shared<Tensor>(drawn({kernels::Rates::count}, DType::f64, d));
  const auto losses = std::make_shared<Tensor>(Tensor::zeros({10}, t, d));
  const auto loss = std::make_shared<Tensor>(drawn({1}, t, d));
  cases.push_back({"sgd_step", [=] { kernels::sgd_step(d, slot(), {.momentum = 0.9}, {*counters, *rates}); }});
  cases.push_back({"adam_step", [=] { kernels::adam_step(d, slot(), {}, {*counters, *rates}); }});
  cases.push_back({"schedule_free_step", [=] { kernels::schedule_free_step(d, slot(), {}, {*counters, *rates}); }});
  const auto first = std::make_shared<Tensor>(Tensor::zeros({kernels::Counters::count}, DType::i64, d));
  cases.push_back({"dropout of counters", [=] { kernels::dropout(d, *x, 0.5, 4, *first, *y); }});
  cases.push_back({"gather_rows of counters", [=] { kernels::gather_rows(d, *x, *rows, *y, *first); }});
  cases.push_back({"advance", [=] { kernels::advance(d, *counters, *losses, *loss, 1); }});
  const auto images = std::make_shared<Tensor>(Tensor::zeros({20, 8, 8, 3}, DType::u8, d));
  const auto chosen = std::make_shared<Tensor>(Tensor::zeros({10}, DType::i64, d));
  const auto factors = std::make_shared<Tensor>(drawn({3}, t, d));
  const auto batch = std::make_shared<Tensor>(drawn({10, 8, 8, 3}, t, d));
  cases.push_back({"gather_images", [=] { kernels::gather_images(d, *images, *chosen, *factors, *factors, *batch); }});
  for (const kernels::ImageAugmentation& change :
       {kernels::ImageAugmentation{.crop = 2, .flip = true, .cutout = 3}, {.resized_crop = 0.2}}) {
    cases.push_back({"gather_augmented_images", [=] {
                       kernels::gather_augmented_images(d, *images, *chosen, *factors, *factors, change, 5, *first,
                                                        *batch);
                     }});
  }
}

void add_fusion(Cases& cases, const Device& d, DType t) {
  const auto first = std::make_shared<Tensor>(drawn({300, 20}, t, d));
  const auto second = std::make_shared<Tensor>(drawn({300, 12}, t == DType::f32 ? DType::bf16 : t, d));
  const auto keep = std::make_shared<Tensor>(drawn({300}, t, d));
  const auto w = std::make_shared<Tensor>(drawn({10, 32}, t, d));
  const auto bias = std::make_shared<Tensor>(drawn({10}, t, d));
  const auto logits = std::make_shared<Tensor>(drawn({300, 10}, t, d));
  const auto dw = std::make_shared<Tensor>(drawn({10, 32}, t, d));
  const auto dfirst = std::make_shared<Tensor>(drawn({300, 20}, t, d));
  const auto blocks = [=] {
    return std::array<kernels::FusionBlock, 2>{kernels::FusionBlock{first->view(), 0.5, {}},
                                               kernels::FusionBlock{second->view(), 2.0, keep->view()}};
  };
  cases.push_back(
      {"residual_fusion_forward", [=] { kernels::residual_fusion_forward(d, blocks(), *w, *bias, *logits); }});
  cases.push_back({"residual_fusion_backward", [=] {
                     const std::array<View, 2> gradients{dfirst->view(), View()};
                     kernels::residual_fusion_backward(d, blocks(), *w, *logits, *dw, *bias, gradients);
                   }});
}

/// Convolutions, products and sums of bf16, with parameters of f32.
void add_bf16(Cases& cases, const Device& d) {
  constexpr DType half = DType::bf16, single = DType::f32;
  for (const std::int64_t channels : {16, 32}) {
    const kernels::Conv2dOptions options{.stride = 1, .padding = 1};
    const auto x = std::make_shared<Tensor>(drawn({6, 12, 12, channels}, half, d));
    const auto w = std::make_shared<Tensor>(drawn({32, channels, 3, 3}, single, d));
    const auto bias = std::make_shared<Tensor>(drawn({32}, single, d));
    const auto y = std::make_shared<Tensor>(drawn({6, 12, 12, 32}, half, d));
    const auto prepared = std::make_shared<kernels::PreparedConv2d>(d, *w, *bias, options, half);
    const std::string of = " of bf16, " + std::to_string(channels);
    cases.push_back({"conv2d_forward" + of,
                     [=] { kernels::conv2d_forward(d, *x, *w, *bias, options, *y, kernels::Activation::relu); }});
    cases.push_back({"conv2d prepared" + of, [=] { prepared->forward(d, *x, *y, kernels::Activation::relu); }});
    cases.push_back({"conv2d_backward_data" + of, [=] { kernels::conv2d_backward_data(d, *y, *w, options, *x); }});
    cases.push_back(
        {"conv2d_backward_weights" + of, [=] { kernels::conv2d_backward_weights(d, *x, *y, options, *w, *bias); }});
  }
  // The second is large enough for several threads.
  for (const std::int64_t rows : {40, 3000}) {
    const auto x = std::make_shared<Tensor>(drawn({rows, 64}, half, d));
    const auto w = std::make_shared<Tensor>(drawn({96, 64}, single, d));
    const auto bias = std::make_shared<Tensor>(drawn({96}, single, d));
    const auto y = std::make_shared<Tensor>(drawn({rows, 96}, half, d));
    cases.push_back({"gemm of bf16, " + std::to_string(rows), [=] {
                       kernels::gemm(d, kernels::Transpose::no, kernels::Transpose::yes, 1, *x, *w, 0, *y,
                                     kernels::Epilogue::bias_relu, *bias);
                     }});
    cases.push_back({"column_sums of bf16, " + std::to_string(rows), [=] { kernels::column_sums(d, *y, *bias); }});
  }
}

TEST(Allocation, KernelsOnTheHostTakeNoMemoryAgain) {
  if (rtl::test::host_is_left_out()) GTEST_SKIP() << "about the host's allocations";
  for (const int threads : {1, 2}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Device device = Device::cpu().separate(threads);
      Cases cases;
      add_images(cases, device, dtype);
      add_rows(cases, device, dtype);
      add_fusion(cases, device, dtype);
      if (dtype == DType::f32) add_bf16(cases, device);
      for (const KernelCase& kernel : cases) {
        for (int run = 0; run < 2; ++run) kernel.run();
        const Counting counting(device);
        kernel.run();
        Counts counts = counting.counts();
        // oneDNN allocates when it executes a primitive.
        if (kernel.name.starts_with("conv2d") || kernel.name.starts_with("gemm of bf16"))
          counts.library_allocations = 0;
        EXPECT_EQ(counts, Counts{}) << kernel.name << " in " << name_of(dtype) << " with " << threads << " threads";
      }
    }
  }
}

TEST(Allocation, KernelsOnCudaCanBeRecorded) {
  if (Device::cuda_count() == 0) GTEST_SKIP() << "no CUDA device";
  const Device device = Device::cuda(0).separate();
  Cases cases;
  add_rows(cases, device, DType::f32);
  add_fusion(cases, device, DType::f32);
  for (const KernelCase& kernel : cases) {
    kernel.run();
    EXPECT_NO_THROW(device.context().capture([&] { kernel.run(); })) << kernel.name;
  }
}

TEST(Allocation, CountsWhatItIsToCount) {
  const Device device = Device::cpu().separate();
  const Counting counting(device);
  const Tensor one({3}, DType::f32, device);
  std::vector<int> numbers(100);
  numbers.resize(1000);
  const Counts counts = counting.counts();
  EXPECT_EQ(counts.requests, 1u);
  EXPECT_GE(counts.host_allocations, 2u);
  EXPECT_EQ(counts.waits, 0u);
  if (Device::cuda_count() == 0) return;
  const Device cuda = Device::cuda(0);
  const Tensor there = Tensor::zeros({3}, DType::f32, cuda);
  const Counting waits(cuda);
  there.to_vector<float>();
  cuda.synchronize();
  EXPECT_EQ(waits.counts().waits, 2u);
}

}  // namespace
}  // namespace rtl::graph::test
