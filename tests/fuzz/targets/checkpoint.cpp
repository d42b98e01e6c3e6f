// The checkpoint of an unfinished training: the file as it is, and the same tensors and metadata with a hash that fits.
// What loads must train on.
#include <memory>
#include <utility>
#include <vector>

#include "fuzz.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/layers/network.hpp"
#include "transfer/checkpoint.hpp"

namespace {

using namespace rtl;

/// An mlp whose training a checkpoint may belong to.
class Model final : public transfer::Trainable {
 public:
  explicit Model(const Device& device) : network_(layers::make_network({"mlp", "3", {2}, 2}, device, 1)) {}
  graph::Value outputs(const transfer::Batch& batch, const layers::ForwardContext& context) override {
    return network_->forward(batch.inputs, context);
  }
  layers::ModuleState state() override { return network_->state(); }
  bool wants_inputs() const override { return true; }

 private:
  std::unique_ptr<layers::Network> network_;
};

void train(const transfer::detail::OptimizerSet& optimizers, Model& model, const Device& device) {
  const auto graph = std::make_shared<graph::Graph>(device);
  const optim::Optimizer& optimizer = optimizers.optimizer(0);
  graph::StepState state(device);
  optimizer.write_rates(state);
  const graph::StepState::Values step = state.values(*graph);
  const graph::Value inputs = graph->constant("inputs", Tensor::zeros({2, 2}, DType::f32, device));
  const graph::Value labels = graph->constant("labels", Tensor::from(std::vector<std::int32_t>{0, 1}, {2}, device));
  const graph::Value loss =
      graph::cross_entropy(model.outputs({inputs, {}}, {.training = true, .counters = step.counters}), labels);
  optimizer.record(step, graph::gradients(loss, optimizer.parameters(*graph)));
  graph::Execution(std::make_shared<const graph::Plan>(graph, std::vector<graph::Value>())).run();
}

void resume(const std::string& path, transfer::detail::OptimizerSet& optimizers, Model& model, const Device& device) {
  static const transfer::detail::Facts protocol = {{"learning rate", "0.1"}, {"data", "0123456789abcdef", "a"}};
  fuzz::read([&] { transfer::detail::keep_other_training(path, protocol, {}); });
  fuzz::read([&] {
    if (transfer::detail::load_checkpoint(path, protocol, model, optimizers, {}).empty()) return;
    train(optimizers, model, device);
  });
}

/// Adam's moments and SGD's, both with start points.
void resume_both(const std::string& path) {
  const Device device = Device::cpu(1);
  Model model(device);
  transfer::TrainingOptions options;
  options.l2sp_strength = 0.1;
  options.optimizer = transfer::OptimizerKind::adam;
  transfer::detail::OptimizerSet adam(options, model);
  resume(path, adam, model, device);
  options.optimizer = transfer::OptimizerKind::sgd;
  transfer::detail::OptimizerSet sgd(options, model);
  resume(path, sgd, model, device);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = fuzz::folder().write("a.unfinished", fuzz::text_of(data, size));
  resume_both(path);
  fuzz::read([&] {
    const io::SafetensorsFile file(path);
    std::vector<Tensor> values;
    std::vector<io::NamedView> views;
    values.reserve(file.tensors().size());
    for (const io::TensorEntry& entry : file.tensors()) {
      values.push_back(file.load(entry.name, Device::cpu(1)));
      views.emplace_back(entry.name, values.back());
    }
    const std::string sealed = fuzz::folder().path("sealed.unfinished");
    io::write_safetensors(sealed, views, file.metadata());
    resume_both(sealed);
  });
  return 0;
}
