#include "transfer/gated_head.hpp"

#include "rtl/transfer/objectives.hpp"

namespace rtl::transfer::detail {

using graph::Value;

void GateOptions::visit(OptionVisitor& option) {
  option("source_half", source_half, {"samples", "target"},
         "what stands for the source: its samples, or half of each target batch, as in published stress tests");
  option("head_start", head_start, head_start_choices(),
         "head to start from: fresh, pretrained (the source's own) or auto (that where the numbers of classes agree)");
  option("rank", rank, Range::at_least(1), "of the trained update of the head");
  option("alpha", alpha, Range::above(0), "the update is scaled by alpha / rank");
  option("gate_learning_rate", gate_learning_rate, Range::above(0), "of Adam, for head and discriminator");
}

GatedHead::GatedHead(FitContext& context, const GateOptions& options)
    : options_(options),
      head_(context, options.head_start, options.rank, options.alpha),
      discriminator_(context.task().outputs, context.device(), context.seed()) {}

layers::ModuleState GatedHead::state() {
  layers::ModuleState state;
  head_.append_to(state);
  discriminator_.append_to(state);
  return state;
}

std::vector<ParameterGroup> GatedHead::groups() {
  const auto adam = [&](std::vector<optim::NamedStorage> parameters, std::size_t objective) {
    return ParameterGroup{std::move(parameters), objective, 1, options_.gate_learning_rate, OptimizerKind::adam};
  };
  return {adam(head_.trained(), 0), adam(discriminator_.trained(), 1)};
}

std::vector<Value> GatedHead::objectives(const TrainingBatch& batch, const layers::ForwardContext& context) {
  const Value logits = graph::cast(outputs(batch, context), DType::f32), labels = batch.targets.class_shares();
  Half source, target{logits, labels};
  if (batch.source) {
    source = {graph::cast(outputs(*batch.source, context), DType::f32), batch.source->targets.class_shares()};
  } else {  // a batch of one sample stands for both
    const std::int64_t rows = batch.targets.rows(), half = std::max<std::int64_t>(rows / 2, 1);
    source = {graph::slice(logits, 0, 0, half), graph::slice(labels, 0, 0, half)};
    target = {graph::slice(logits, 0, rows - half, rows), graph::slice(labels, 0, rows - half, rows)};
  }
  const Value gate = discriminator_.gate(source.logits, source.labels, context);
  const Value gated = graph::multiply(gate, batch.targets.loss_of_each(source.logits, source.labels));
  const Value classes =
      graph::add(graph::mean(gated), graph::mean(batch.targets.loss_of_each(target.logits, target.labels)));
  const auto still = [](const Half& half) { return Half{graph::stop_gradient(half.logits), half.labels}; };
  const Value aligned = alignment(source, target, batch, context);
  const Value told = four_losses(still(source), still(target), 0.25, marginal_target(), "discriminator", context);
  return {graph::add(classes, aligned), told};
}

Value GatedHead::domain_loss(const Half& source, const Half& target, double weight, const std::string& pass,
                             const layers::ForwardContext& context) const {
  return four_losses(source, target, weight, true, pass, context);
}

Value GatedHead::four_losses(const Half& source, const Half& target, double weight, bool marginal_target,
                             const std::string& pass, const layers::ForwardContext& context) const {
  const auto loss = [&](const Half& half, bool labelled, bool label, const char* name) {
    return objectives::binary_cross_entropy(
        discriminator_.logits(half.logits, labelled ? half.labels : Value(), pass + name, context), label);
  };
  const Value joint = graph::add(loss(source, true, false, " source"), loss(target, true, true, " target"));
  const Value marginal = graph::add(loss(source, false, false, " marginal source"),
                                    loss(target, false, marginal_target, " marginal target"));
  return graph::scale(graph::add(joint, marginal), weight);
}

Recipe fit_gated(FitContext& context, std::unique_ptr<GatedHead> model, SourceHalf source_half) {
  TrainingData data{&context.train(), {}, context.blocks(FeatureScaling::raw, 1).features}, source;
  if (source_half == SourceHalf::samples) {
    source = {&context.source_data(), {}, {context.retain(context.source_data_features(0))}};
    data.source = &source;
  }
  co_await context.train(*model, data, context.training());
  co_return model->merged();
}

}  // namespace rtl::transfer::detail
