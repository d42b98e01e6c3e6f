// Values that are not defined: every operation refuses them with a typed error.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/sparse.hpp"

namespace rtl::graph {
namespace {

TEST(Undefined, NoOperationTakesAValueThatHoldsNothing) {
  Graph graph(Device::cpu(1));
  const Value none;
  const Value some = graph.input("some", {2, 3}, DType::f32), image = graph.input("image", {1, 4, 4, 4}, DType::f32);
  const auto storage = [] { return Storage(Tensor::zeros({4}, DType::f32, Device::cpu(1))); };
  const Value channel = graph.variable("channel", storage()), mean = graph.variable("mean", storage()),
              variance = graph.variable("variance", storage());
  const Value labels = graph.input("labels", {2}, DType::i32);
  const std::vector<FusionInput> no_features{{none}}, features{{some}};
  const std::vector<Value> no_parts{some, none};
  const int order[] = {1, 0};
  const SparseMatrix matrix(2, std::vector<std::int32_t>{0, 1}, std::vector<std::int32_t>{1}, std::vector<double>{3},
                            DType::f32, Device::cpu(1));
  const std::vector<std::pair<std::string, std::function<void()>>> calls{
#define RTL_UNARY(name, value, gradient) {#name, [&] { graph::name(none); }},
#define RTL_BINARY(name, value, gradient_a, gradient_b) \
  {#name " of nothing", [&] { graph::name(none, some); }}, {#name " with nothing", [&] { graph::name(some, none); }},
#include "rtl/kernels/elementwise_functions.inc"
      {"scale", [&] { scale(none, 2); }},
      {"relu_backward", [&] { relu_backward(some, none); }},
      {"cast", [&] { cast(none, DType::f64); }},
      {"reshape", [&] { reshape(none, {6}); }},
      {"permute", [&] { permute(none, order); }},
      {"slice", [&] { slice(none, 0, 0, 1); }},
      {"concatenate", [&] { concatenate(no_parts, 0); }},
      {"broadcast",
       [&] {
         broadcast(none, {2, 3});
       }},
      {"sum", [&] { sum(none); }},
      {"mean", [&] { rtl::graph::mean(none); }},
      {"sum_to", [&] { sum_to(none, {3}); }},
      {"matmul", [&] { matmul(none, some); }},
      {"matmul by", [&] { matmul(some, none); }},
      {"linear", [&] { linear(none, some, {}); }},
      {"linear weight", [&] { linear(some, none, {}); }},
      {"conv2d", [&] { conv2d(none, image, {}, {}); }},
      {"conv2d weight", [&] { conv2d(image, none, {}, {}); }},
      {"batch_norm", [&] { batch_norm_training(none, channel, channel, mean, variance); }},
      {"batch_norm gamma", [&] { batch_norm_training(image, none, channel, mean, variance); }},
      {"batch_norm beta", [&] { batch_norm_evaluation(image, channel, none, mean, variance); }},
      {"batch_norm mean", [&] { batch_norm_training(image, channel, channel, none, variance); }},
      {"layer_norm", [&] { layer_norm(none, channel, channel); }},
      {"layer_norm gamma", [&] { layer_norm(image, none, channel); }},
      {"rms_norm", [&] { rms_norm(none, channel); }},
      {"rms_norm gamma", [&] { rms_norm(image, none); }},
      {"embedding", [&] { embedding(none, labels, DType::f32); }},
      {"embedding ids", [&] { embedding(some, none, DType::f32); }},
      {"sequence_lengths", [&] { sequence_lengths(none); }},
      {"sequence_mean", [&] { sequence_mean(none); }},
      {"rotate_positions", [&] { rotate_positions(none, some, some, kernels::RotaryPairs::halves, 1); }},
      {"rotate_positions angles", [&] { rotate_positions(image, none, none, kernels::RotaryPairs::halves, 1); }},
      {"attention", [&] { attention(none, image, image); }},
      {"attention keys", [&] { attention(image, none, image); }},
      {"packed_attention", [&] { packed_attention(none, 2); }},
      {"max_pool", [&] { max_pool(none, {}); }},
      {"average_pool", [&] { average_pool(none, {}); }},
      {"global_average_pool", [&] { global_average_pool(none); }},
      {"flatten", [&] { flatten(none); }},
      {"shortcut_a", [&] { shortcut_a(none, 8); }},
      {"softmax", [&] { softmax(none); }},
      {"dropout", [&] { dropout(none, 0.5, 1, labels); }},
      {"dropout without counters", [&] { dropout(some, 0.5, 1, none); }},
      {"gather_rows", [&] { gather_rows(none, labels, DType::f32); }},
      {"gather_rows rows", [&] { gather_rows(some, none, DType::f32); }},
      {"gather_batch_features",
       [&] {
         gather_batch_features({none, none, none}, labels, none, 2, DType::f32);
       }},
      {"gather_sparse_batch",
       [&] {
         gather_sparse_batch({none, none, none, none, 3}, labels, none, 2, DType::f32);
       }},
      {"scatter_add_rows", [&] { scatter_add_rows(none, labels, 4); }},
      {"sparse_product", [&] { sparse_product(matrix, none); }},
      {"residual_fusion", [&] { residual_fusion(no_features, some, {}); }},
      {"residual_fusion of nothing", [&] { residual_fusion({}, some, {}); }},
      {"residual_fusion weight", [&] { residual_fusion(features, none, {}); }},
      {"cross_entropy", [&] { cross_entropy(none, labels); }},
      {"cross_entropy labels", [&] { cross_entropy(some, none); }},
      {"gradients", [&] { gradients(none, {}); }},
      {"shape", [&] { (void)none.shape(); }},
      {"a storage of nothing", [&] { Storage{Tensor()}; }},
      {"a constant of nothing", [&] { graph.constant("nothing", Storage()); }},
  };
  for (const auto& [name, call] : calls) EXPECT_THROW(call(), Error) << name;
}

}  // namespace
}  // namespace rtl::graph
