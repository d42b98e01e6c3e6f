#include "transfer/low_rank_head.hpp"

#include "rtl/graph/operations.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/layers/initialization.hpp"

namespace rtl::transfer::detail {
namespace {

std::vector<FrozenBlock> raw_block(const FrozenSource& source) {
  std::vector<FrozenBlock> blocks;
  blocks.push_back({source});
  return blocks;
}

layers::Parameter parameter(const char* name, Tensor tensor, bool trainable) {
  return {.name = name, .storage = graph::Storage(std::move(tensor)), .trainable = trainable};
}

}  // namespace

LowRankHead::LowRankHead(FitContext& context, HeadStart start, std::int64_t rank, double alpha)
    : source_(context.source()), scale_(alpha / static_cast<double>(rank)) {
  const std::int64_t features = source_.feature_count(), outputs = context.task().outputs;
  const Device& device = context.device();
  FusedHead base(nullptr, {}, raw_block(source_), outputs, device, context.seed());
  if (keeps_head(source_, context.train(), start)) copy_head(source_, base);
  weight_ = parameter("head.weight", std::move(base.weight()), false);
  bias_ = parameter("head.bias", std::move(base.bias()), false);
  Tensor a({rank, features}, DType::f32, device);
  layers::initialize_weight(layers::Initialization::uniform_fan_in, context.seed(), "head.low_rank_a", a);
  a_ = parameter("head.low_rank_a", std::move(a), true);
  b_ = parameter("head.low_rank_b", Tensor::zeros({outputs, rank}, DType::f32, device), true);
}

graph::Value LowRankHead::outputs(const graph::Value& features, const layers::ForwardContext& context) const {
  graph::Graph& graph = features.graph();
  const graph::Value base = graph::linear(features, context.read(graph, weight_), context.read(graph, bias_));
  const graph::Value inner = graph::linear(features, context.read(graph, a_), {});
  return graph::add(base, graph::scale(graph::linear(inner, context.read(graph, b_), {}), scale_));
}

std::vector<optim::NamedStorage> LowRankHead::trained() const { return {{a_.name, a_.storage}, {b_.name, b_.storage}}; }

void LowRankHead::append_to(layers::ModuleState& state) {
  for (layers::Parameter* own : {&weight_, &bias_, &a_, &b_}) state.parameters.push_back({own->name, own});
}

std::unique_ptr<FusedHead> LowRankHead::merged() const {
  const Tensor& weight = weight_.value();
  Tensor sum = weight.clone();
  kernels::gemm(weight.device(), kernels::Transpose::no, kernels::Transpose::no, scale_, b_.value(), a_.value(), 1.0,
                sum);
  return std::make_unique<FusedHead>(nullptr, data::InputNormalization(), raw_block(source_), std::move(sum),
                                     bias_.value().clone());
}

}  // namespace rtl::transfer::detail
