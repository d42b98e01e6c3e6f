// A program's own network, loss and strategy. They are trained, compared, saved and loaded like those of the library.
#include <cstdio>
#include <memory>
#include <rtl/rtl.hpp>

namespace {

using namespace rtl;

/// A network with the activation x tanh(x).
class Activation final : public layers::Stateless {
 public:
  graph::Value forward(const graph::Value& x, const layers::ForwardContext& /*context*/) override {
    return graph::multiply(x, graph::tanh(x));
  }
};

layers::Model own_network() {
  constexpr std::int64_t width = 32;
  return {.name = "own",
          .help = "one hidden layer of 32",
          .build =
              [](layers::Architecture& architecture, const layers::Construction& construction) {
                auto trunk = std::make_unique<layers::Sequential>();
                trunk->add("fc1", std::make_unique<layers::Linear>(
                                      layers::LinearOptions{.inputs = architecture.input[0], .outputs = width},
                                      construction.child("fc1")));
                trunk->add(std::make_unique<Activation>());
                return layers::Trunk{.modules = std::move(trunk), .features = width};
              },
          .recognise =
              [](const layers::CheckpointTensors& tensors) {
                const auto weight = tensors.shapes.find("fc1.weight");
                if (weight == tensors.shapes.end()) return layers::Recognised{.fault = "fc1.weight is missing"};
                return layers::Recognised{{"own", "", {weight->second[1]}, tensors.classes}};
              }};
}

/// Cross-entropy with labels that are smoothed by 0.1.
class Smoothed final : public transfer::Trainable {
 public:
  explicit Smoothed(transfer::NetworkPredictor& network) : network_(network) {}
  graph::Value outputs(const transfer::Batch& batch, const layers::ForwardContext& context) override {
    return network_.outputs(batch, context);
  }
  layers::ModuleState state() override { return network_.state(); }
  bool wants_inputs() const override { return true; }
  std::vector<graph::Value> objectives(const transfer::TrainingBatch& batch,
                                       const layers::ForwardContext& context) override {
    const graph::Value logits = outputs(batch, context);
    const graph::Value uniform = graph::negate(graph::mean(transfer::objectives::log_softmax(logits)));
    return {graph::add(graph::scale(batch.targets.loss(logits), 0.9), graph::scale(uniform, 0.1))};
  }

 private:
  transfer::NetworkPredictor& network_;
};

transfer::Recipe fit_smoothed(transfer::FitContext& context, transfer::NoOptions /*options*/) {
  auto network = context.copy_of(context.source(), transfer::HeadStart::fresh);
  Smoothed model(*network);
  co_await context.train(model, network->normalization());
  co_return network;
}

/// Points around the corners of a square, opposite corners alike.
data::Dataset corners(std::uint64_t seed, std::int64_t count, double shift, const Device& device) {
  RandomSequence random(seed, 1);
  std::vector<float> points;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    const double x = i % 2 == 0 ? 1 : -1, y = i / 2 % 2 == 0 ? 1 : -1;
    points.push_back(static_cast<float>(x + shift + 0.4 * random.normal()));
    points.push_back(static_cast<float>(y + 0.4 * random.normal()));
    labels.push_back(x * y > 0 ? 1 : 0);
  }
  data::Dataset dataset;
  dataset.inputs = Tensor::from(points, {count, 2}, device);
  dataset.labels = Tensor::from(labels, {count}, device);
  dataset.classes = 2;
  dataset.name = "corners";
  return dataset;
}

}  // namespace

int main() {
  const Device device = Device::preferred();
  layers::register_architecture(own_network());
  static const transfer::StrategyOf<transfer::NoOptions> smoothed({.name = "smoothed-fine-tune",
                                                                   .summary = "fine-tuning with smoothed labels",
                                                                   .reference = "Szegedy et al. 2016",
                                                                   .regression = false},
                                                                  fit_smoothed);
  transfer::register_strategy(smoothed);

  const data::Dataset source_data = corners(1, 400, 0.0, device);
  transfer::TrainingOptions training;
  training.batch_size = 16;
  transfer::StrategyOptions own;
  own.model = "own";
  transfer::Fitted pretrained = transfer::scratch(source_data, training, own);
  auto& network = dynamic_cast<transfer::NetworkPredictor&>(pretrained.predictor());
  const transfer::FrozenSource source(layers::clone(network.network(), device), network.normalization(), "corners");

  const data::TrainTest target{corners(2, 40, 0.3, device), corners(3, 400, 0.3, device)};
  transfer::CompareOptions options;
  options.strategies = {"probe", "smoothed-fine-tune"};
  options.strategy = own;
  options.training = training;
  options.seeds = 3;
  for (const auto& result : transfer::compare({source}, target, options).strategies) {
    std::printf("%s: %.1f %%\n", result.name.c_str(), 100 * result.accuracy.mean);
  }

  const transfer::Fitted fitted = transfer::fit("smoothed-fine-tune", {source}, target.train, training, own);
  fitted.save("smoothed.safetensors");
  const transfer::Fitted loaded = transfer::Fitted::load("smoothed.safetensors", device);
  const bool same = loaded.outputs(target.test).to_vector<float>() == fitted.outputs(target.test).to_vector<float>();
  std::printf("loaded: %s, %s\n", loaded.strategy().c_str(), same ? "the same outputs" : "other outputs");
  return same ? 0 : 1;
}
