#include "studies/l2sp/network_runs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <span>

#include "rtl/data/load.hpp"
#include "rtl/data/split.hpp"
#include "rtl/graph/row_function.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/layers/conv2d.hpp"
#include "rtl/layers/linear.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/layers/sequential.hpp"
#include "rtl/transfer/metrics.hpp"
#include "rtl/transfer/training.hpp"
#include "transfer/evaluation.hpp"

namespace rtl::studies::l2sp {

namespace {

using data::Dataset;
using layers::Construction;

constexpr double fine_tuning_strength = 1e-4;
constexpr std::int64_t classes = 5;
using Classes = std::array<std::int32_t, classes>;

/// The samples of these classes, which become 0 .. 4.
Dataset only(const Dataset& all, const Classes& wanted, std::int64_t limit) {
  const auto labels = all.labels.to_vector<std::int32_t>();
  std::vector<std::int64_t> rows;
  std::vector<std::int32_t> renamed;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto at = std::find(wanted.begin(), wanted.end(), labels[i]);
    if (at == wanted.end() || (limit > 0 && static_cast<std::int64_t>(rows.size()) == limit)) continue;
    rows.push_back(static_cast<std::int64_t>(i));
    renamed.push_back(static_cast<std::int32_t>(at - wanted.begin()));
  }
  Dataset part = all.subset(rows);
  part.labels = Tensor::from(renamed, {static_cast<std::int64_t>(renamed.size())}, Device::cpu());
  part.classes = classes;
  part.class_names.clear();
  return part;
}

/// Grey images as standardised vectors.
Dataset as_vectors(Dataset images, double mean, double deviation) {
  const auto bytes = images.inputs.to_vector<std::uint8_t>();
  std::vector<float> values(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) values[i] = static_cast<float>((bytes[i] / 255.0 - mean) / deviation);
  images.inputs = Tensor::from(values, {images.size(), images.sample_shape().count()}, Device::cpu());
  return images;
}

class Net final : public transfer::Trainable {
 public:
  Net(NetworkKind kind, const Device& device, std::uint64_t seed) {
    const Construction construction{.device = device, .seed = seed};
    const auto linear = [&](const std::string& name, std::int64_t inputs, std::int64_t outputs, bool relu) {
      layers_.add(name, std::make_unique<layers::Linear>(
                            layers::LinearOptions{.inputs = inputs, .outputs = outputs, .relu = relu},
                            construction.child(name)));
    };
    if (kind == NetworkKind::mlp) {
      linear("fc1", 784, 128, true);
      linear("fc2", 128, 64, true);
      linear("head", 64, classes, false);
      return;
    }
    const auto convolution = [&](const std::string& name, std::int64_t inputs, std::int64_t outputs) {
      layers_.add(name, std::make_unique<layers::Conv2d>(
                            layers::Conv2dLayerOptions{.inputs = inputs, .outputs = outputs, .kernel = 3, .relu = true},
                            construction.child(name)));
      layers_.add(std::make_unique<layers::MaxPool>());
    };
    convolution("conv1", 3, 32);
    convolution("conv2", 32, 64);
    layers_.add(std::make_unique<layers::Flatten>());
    linear("fc1", 4096, 128, true);
    layers_.add(std::make_unique<layers::Dropout>(.25, "fc1"));
    linear("head", 128, classes, false);
  }

  graph::Value outputs(const transfer::Batch& batch, const layers::ForwardContext& context) override {
    return layers_.forward(batch.inputs, context);
  }
  layers::ModuleState state() override { return layers_.state(); }
  bool wants_inputs() const override { return true; }
  layers::Sequential& layers() { return layers_; }

 private:
  layers::Sequential layers_;
};

std::vector<float> parameters_of(Net& net) {
  std::vector<float> all;
  for (const auto& parameter : net.state().parameters) {
    const auto values = parameter.value().to_vector<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

double distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return std::sqrt(sum);
}

/// Of images; vectors are as_vectors.
const data::InputNormalization normalization = data::Normalization::cifar;

double accuracy(Net& net, const Dataset& test, const Device& device) {
  graph::RowFunction function(device, test.sample_shape(), DType::f32,
                              [&](const graph::Value& x) { return net.outputs({.inputs = x, .features = {}}, {}); });
  const Tensor logits =
      transfer::detail::evaluate({.samples = test, .normalization = normalization, .device = device}, classes,
                                 [&](ConstView inputs, View out, std::int64_t) { function(inputs, out); });
  return transfer::score(logits, test).accuracy;
}

void fit(Net& net, const Dataset& samples, const transfer::TrainingOptions& options) {
  transfer::train(net, {&samples, normalization, {}}, options);
}

transfer::TrainingOptions options_of(const NetworkProblem& problem, std::int64_t epochs, std::uint64_t seed) {
  transfer::TrainingOptions options;
  options.optimizer = transfer::OptimizerKind::adam;
  options.learning_rate = 1e-3;
  options.batch_size = problem.batch_size;
  options.epochs = epochs;
  options.seed = seed;
  return options;
}

/// Target training samples of a seed; fewer are a part of more.
Dataset draw_target(const NetworkProblem& problem, std::int64_t count, std::uint64_t seed) {
  return problem.target.train.subset(data::random_subset(problem.target.train.size(), count, seed));
}

FineTuning fine_tune(const NetworkProblem& problem, Net& source, const Dataset& samples, bool l2sp, std::uint64_t seed,
                     const Device& device) {
  Net net(problem.kind, device, seed);
  layers::copy_state(source.layers(), net.layers());
  auto options = options_of(problem, problem.transfer_epochs, seed);
  (l2sp ? options.l2sp_strength : options.weight_decay) = fine_tuning_strength;
  const auto start = parameters_of(source);
  FineTuning result;
  options.progress = [&](const transfer::Progress&) {
    result.distances.push_back(distance(parameters_of(net), start));
  };
  fit(net, samples, options);
  result.accuracy = accuracy(net, problem.target.test, device);
  return result;
}

std::uint64_t content_of(const data::TrainTest& source, const data::TrainTest& target) {
  io::Hash64 hash;
  for (const data::TrainTest* task : {&source, &target}) {
    for (const data::Dataset* part : {&task->train, &task->test}) {
      const std::vector<std::int32_t> labels = part->labels.to_vector<std::int32_t>();
      hash.add(part->input_hash()).add(std::as_bytes(std::span(labels)));
    }
  }
  return hash.value();
}

}  // namespace

std::string NetworkProblem::fingerprint() const {
  return fmt::format(
             "{}: {} source samples, {} of {} target samples, {} and {} test samples, batch {}, epochs {} and {}", name,
             source.train.size(), target_samples, target.train.size(), source.test.size(), target.test.size(),
             batch_size, source_epochs, transfer_epochs) +
         fmt::format(", content {}", io::to_hex(content_of(source, target))) +
         (target_fractions.empty() ? "" : fmt::format(", target fractions {}", fmt::join(target_fractions, " ")));
}

NetworkProblem mnist_problem(const std::string& folder) {
  const data::TrainTest all = data::load("idx:" + folder + "/images/mnist", Device::cpu());
  const auto part = [&](const Classes& wanted) {
    return data::TrainTest{as_vectors(only(all.train, wanted, 0), .1307, .3081),
                           as_vectors(only(all.test, wanted, 0), .1307, .3081)};
  };
  NetworkProblem problem{"MNIST", NetworkKind::mlp, part({0, 3, 6, 8, 9}), part({1, 2, 4, 5, 7}), 0, 256, 10, 5, {}};
  problem.target_samples = problem.target.train.size() / 10;
  return problem;
}

NetworkProblem cifar_problem(const std::string& folder, std::int64_t source_limit, std::int64_t target_samples) {
  const data::TrainTest all = data::load("cifar10:" + folder + "/images/cifar10", Device::cpu());
  const auto part = [&](const Classes& wanted, std::int64_t limit) {
    return data::TrainTest{only(all.train, wanted, limit), only(all.test, wanted, 0)};
  };
  NetworkProblem problem{
      "CIFAR-10", NetworkKind::cnn, part({2, 3, 4, 5, 6}, source_limit), part({0, 1, 7, 8, 9}, 0), 0, 128, 15, 8, {}};
  problem.target_samples = std::min(target_samples, problem.target.train.size());
  return problem;
}

std::vector<double> source_decays() {
  std::vector<double> decays(19, 0.0);
  for (std::size_t i = 1; i < decays.size(); ++i)
    decays[i] = std::pow(10.0, -6 + 5.0 * static_cast<double>(i - 1) / 17);
  return decays;
}

NetworkRun run_networks(const NetworkProblem& problem, double source_decay, std::uint64_t seed) {
  const Device device = Device::cpu(1).separate();
  Net source(problem.kind, device, seed);
  auto options = options_of(problem, problem.source_epochs, seed);
  options.weight_decay = source_decay;
  fit(source, problem.source.train, options);
  const Dataset samples = draw_target(problem, problem.target_samples, seed);
  NetworkRun run{accuracy(source, problem.source.test, device),
                 fine_tune(problem, source, samples, false, seed, device),
                 fine_tune(problem, source, samples, true, seed, device),
                 {}};
  for (const double fraction : problem.target_fractions) {
    const auto count = static_cast<std::int64_t>(fraction * static_cast<double>(problem.target.train.size()));
    const Dataset part = draw_target(problem, std::max<std::int64_t>(count, 1), seed);
    run.by_fraction.push_back(fine_tune(problem, source, part, false, seed, device).accuracy);
  }
  return run;
}

double run_scratch(const NetworkProblem& problem, std::uint64_t seed) {
  const Device device = Device::cpu(1).separate();
  Net net(problem.kind, device, seed);
  auto options = options_of(problem, problem.transfer_epochs, seed);
  options.weight_decay = fine_tuning_strength;
  fit(net, draw_target(problem, problem.target_samples, seed), options);
  return accuracy(net, problem.target.test, device);
}

}  // namespace rtl::studies::l2sp
