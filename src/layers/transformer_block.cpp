#include <fmt/format.h>

#include "rtl/graph/operations.hpp"
#include "rtl/layers/attention.hpp"
#include "rtl/layers/row_norm.hpp"

namespace rtl::layers {
namespace {

LinearOptions feed_forward_options(const TransformerBlockOptions& options, bool up) {
  const std::int64_t width = options.attention.width;
  return {.inputs = up ? width : options.hidden,
          .outputs = up ? options.hidden : width,
          .bias = options.bias,
          .initialization = options.attention.initialization};
}

}  // namespace

std::unique_ptr<Module> make_norm(NormKind kind, std::int64_t features, double epsilon,
                                  const Construction& construction) {
  if (kind == NormKind::rms) return std::make_unique<RmsNorm>(features, epsilon, construction);
  return std::make_unique<LayerNorm>(features, epsilon, construction);
}

TransformerBlock::TransformerBlock(const TransformerBlockOptions& options, const Construction& construction)
    : options_(options),
      prefix_(construction.prefix),
      attention_(options.attention, construction.child(options.names.attention)),
      up_(feed_forward_options(options, true), construction.child(options.names.up)),
      down_(feed_forward_options(options, false), construction.child(options.names.down)) {
  if (!options.names.gate.empty()) {
    gate_ = std::make_unique<Linear>(feed_forward_options(options, true), construction.child(options.names.gate));
  }
  const auto norm = [&](const std::string& name) {
    return make_norm(options.norm, options.attention.width, options.epsilon, construction.child(name));
  };
  attention_norm_ = norm(options.names.attention_norm);
  feed_forward_norm_ = norm(options.names.feed_forward_norm);
}

Value TransformerBlock::dropped(const Value& x, const std::string& name, const ForwardContext& context) const {
  if (!context.training) return x;
  return graph::dropout(x, options_.dropout, stream_of(prefix_ + name), context.counters);
}

/// On rows, so that passes see the activation right behind the product.
Value TransformerBlock::feed_forward(const Value& x, const ForwardContext& context) {
  const Value rows = graph::reshape(x, {x.extent(0) * x.extent(1), x.extent(2)});
  const Value hidden = gate_ ? graph::swiglu(gate_->forward(rows, context), up_.forward(rows, context))
                             : activate(options_.activation, up_.forward(rows, context));
  const Value result = down_.forward(dropped(hidden, "hidden", context), context);
  return graph::reshape(result, x.shape());
}

/// What is added to x, and the sum.
Value TransformerBlock::branch(const Value& x, const ForwardContext& context, bool attention) {
  Module& norm = attention ? *attention_norm_ : *feed_forward_norm_;
  const Value start = options_.norm_first ? norm.forward(x, context) : x;
  const Value result = attention ? attention_.forward(start, context) : feed_forward(start, context);
  const Parameter& last = attention ? attention_.last_weight() : down_.weight();
  const Value added = context.behind_branch(last, dropped(result, attention ? "attention" : "feed_forward", context));
  const Value sum = graph::add(x, added);
  return options_.norm_first ? sum : norm.forward(sum, context);
}

Value TransformerBlock::forward(const Value& x, const ForwardContext& context) {
  return branch(branch(x, context, true), context, false);
}

void TransformerBlock::visit(const std::string& prefix, ModuleState& state) {
  const BlockNames& names = options_.names;
  const auto show = [&](Module& module, const std::string& name) { module.visit(prefix + name + ".", state); };
  if (options_.norm_first) show(*attention_norm_, names.attention_norm);
  show(attention_, names.attention);
  if (!options_.norm_first) show(*attention_norm_, names.attention_norm);
  if (options_.norm_first) show(*feed_forward_norm_, names.feed_forward_norm);
  if (gate_) show(*gate_, names.gate);
  show(up_, names.up);
  show(down_, names.down);
  if (!options_.norm_first) show(*feed_forward_norm_, names.feed_forward_norm);
}

}  // namespace rtl::layers
