// Variables that hold nothing: every operation refuses them with a typed error.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "rtl/autodiff/operations.hpp"
#include "rtl/core/error.hpp"

namespace rtl::autodiff {
namespace {

TEST(Undefined, NoOperationTakesAVariableThatHoldsNothing) {
  const Device device = Device::cpu(1);
  const Variable none;
  const Variable some(Tensor::zeros({2, 3}, DType::f32, device), true);
  const Variable image(Tensor::zeros({1, 4, 4, 4}, DType::f32, device), true);
  const Variable per_channel(Tensor::zeros({4}, DType::f32, device), true);
  const Tensor labels = Tensor::zeros({2}, DType::i32, device);
  Tensor mean = Tensor::zeros({4}, DType::f32, device), variance = Tensor::zeros({4}, DType::f32, device);
  const std::vector<FusionInput> no_features{{none}}, features{{some}};
  const std::vector<std::pair<std::string, std::function<void()>>> calls{
      {"add", [&] { add(none, some); }},
      {"add to", [&] { add(some, none); }},
      {"subtract", [&] { subtract(none, some); }},
      {"subtract from", [&] { subtract(some, none); }},
      {"multiply", [&] { multiply(none, some); }},
      {"multiply by", [&] { multiply(some, none); }},
      {"scale", [&] { scale(none, 2); }},
      {"relu", [&] { relu(none); }},
      {"sigmoid", [&] { sigmoid(none); }},
      {"tanh", [&] { rtl::autodiff::tanh(none); }},
      {"add_relu", [&] { add_relu(none, some); }},
      {"add_relu second", [&] { add_relu(some, none); }},
      {"sum", [&] { sum(none); }},
      {"mean", [&] { rtl::autodiff::mean(none); }},
      {"linear", [&] { linear(none, some, {}); }},
      {"linear weight", [&] { linear(some, none, {}); }},
      {"conv2d", [&] { conv2d(none, image, {}, {}); }},
      {"conv2d weight", [&] { conv2d(image, none, {}, {}); }},
      {"batch_norm", [&] { batch_norm(none, per_channel, per_channel, mean, variance, {}); }},
      {"batch_norm gamma", [&] { batch_norm(image, none, per_channel, mean, variance, {}); }},
      {"batch_norm beta", [&] { batch_norm(image, per_channel, none, mean, variance, {}); }},
      {"max_pool", [&] { max_pool(none, {}); }},
      {"average_pool", [&] { average_pool(none, {}); }},
      {"global_average_pool", [&] { global_average_pool(none); }},
      {"flatten", [&] { flatten(none); }},
      {"shortcut_a", [&] { shortcut_a(none, 8); }},
      {"dropout", [&] { dropout(none, 0.5, 1, 1); }},
      {"gather_rows", [&] { gather_rows(none, labels); }},
      {"gather_rows rows", [&] { gather_rows(some, Tensor()); }},
      {"residual_fusion", [&] { residual_fusion(no_features, some, {}); }},
      {"residual_fusion weight", [&] { residual_fusion(features, none, {}); }},
      {"cross_entropy", [&] { cross_entropy(none, labels); }},
      {"cross_entropy labels", [&] { cross_entropy(some, Tensor()); }},
      {"backward", [&] { none.backward(); }},
      {"value", [&] { (void)none.value(); }},
      {"shape", [&] { (void)none.shape(); }},
      {"gradient", [&] { (void)none.gradient(); }},
      {"clear_gradient", [&] { Variable().clear_gradient(); }},
      {"set_requires_gradient", [&] { Variable().set_requires_gradient(true); }},
      {"a parameter of nothing", [&] { relu(Variable(Tensor(), true)); }},
  };
  for (const auto& [name, call] : calls) EXPECT_THROW(call(), Error) << name;
}

}  // namespace
}  // namespace rtl::autodiff
