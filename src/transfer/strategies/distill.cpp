// Distillation: a network of the target's own learns from the targets and from the source's outputs.
#include "rtl/transfer/strategy.hpp"
#include "transfer/teachers.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  double temperature = 2;
  double teacher_weight = 0.5;

  void visit(OptionVisitor& option) {
    option("temperature", temperature, Range::above(0), "T of the softmax of both networks' logits, of classes");
    option("teacher_weight", teacher_weight, Range::between(0, 1), "share of the loss that is the teacher's");
  }
};

/// (1 - w) loss + w teaching, the teacher's outputs lying beside the inputs.
class Student final : public Trainable {
 public:
  Student(NetworkPredictor& network, const Options& options) : network_(network), options_(options) {}

  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    return network_.outputs(batch, context);
  }
  layers::ModuleState state() override { return network_.state(); }
  bool wants_inputs() const override { return true; }

  std::vector<graph::Value> objectives(const TrainingBatch& batch, const layers::ForwardContext& context) override {
    const graph::Value logits = outputs(batch, context);
    const graph::Value teacher =
        detail::teaching(graph::cast(logits, DType::f32), graph::cast(batch.features.front(), DType::f32),
                         batch.targets.real(), options_.temperature);
    const double weight = options_.teacher_weight;
    return {graph::add(graph::scale(batch.targets.loss(logits), 1 - weight), graph::scale(teacher, weight))};
  }
  std::string description() const override { return "distill, " + to_text(option_values(options_)); }

 private:
  NetworkPredictor& network_;
  Options options_;
};

Recipe fit(FitContext& context, Options options) {
  auto network = std::make_unique<NetworkPredictor>(context.new_network(), context.fitted_normalization());
  Student student(*network, options);
  const std::vector<kernels::StoredFeatures> logits{context.retain(detail::teacher_outputs(context, context.source()))};
  co_await context.train(student, network->normalization(), logits);
  co_return network;
}

}  // namespace

const Strategy& distill() {
  static const StrategyOf<Options> strategy(
      {.name = "distill",
       .summary = "a network of the target's own learns from the targets and from what the source's own head says: "
                  "softened logits, or predictions of real targets",
       .reference = "Hinton, Vinyals and Dean 2015; Xu et al. 2025, Distillation",
       .same_classes = true},
      fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes
