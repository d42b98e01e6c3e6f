// One network of the target's own learns from an ensemble of teachers: the mean of their softened probabilities, or of
// their predictions of real targets, or each of them with a head of its own on one trunk.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "rtl/core/random.hpp"
#include "rtl/layers/initialization.hpp"
#include "rtl/transfer/strategy.hpp"
#include "transfer/members.hpp"
#include "transfer/teachers.hpp"

namespace rtl::transfer::recipes {
namespace {

using graph::Value;

enum class Heads : std::uint8_t { one, many };
enum class Teachers : std::uint8_t { automatic, own, probes };

struct Options {
  Heads student_heads = Heads::one;
  Teachers teachers = Teachers::automatic;
  double temperature = 2;
  double teacher_weight = 0.5;

  void visit(OptionVisitor& option) {
    option(
        "student_heads", student_heads, {"one", "many"},
        "one: the teachers' mean softened probabilities (of real targets, predictions); many: a head for each teacher, "
        "averaged at the end");
    option("teachers", teachers, {"auto", "own", "probes"},
           "the sources' own heads, probes trained on the target, or auto (own where all have the target's classes, or "
           "its number of real targets)");
    option("temperature", temperature, Range::above(0), "T of the softmax of teachers and student, of classes");
    option("teacher_weight", teacher_weight, Range::between(0, 1), "share of the loss that is the teachers'");
  }
};

/// (1 - w) loss of the mean of the heads' outputs + w times the mean over heads of teaching(head, teacher), each head's
/// teacher being one of them, or the mean of all, whose outputs lie beside the inputs.
class Student final : public Trainable {
 public:
  Student(NetworkPredictor& network, std::size_t teachers, const Options& options, std::uint64_t seed)
      : network_(network), options_(options), teachers_(teachers) {
    layers::ModuleState own;
    network.network().visit_head("", own);
    for (std::size_t k = 1; options.student_heads == Heads::many && k < teachers; ++k) {
      Tensor weight(weight_of(own).shape(), DType::f32, weight_of(own).device());
      const std::string name = fmt::format("head{}", k + 1);
      layers::initialize_weight(layers::Initialization::uniform_fan_in, seed, name + ".weight", weight);
      Tensor bias = Tensor::zeros({weight.extent(0)}, DType::f32, weight.device());
      more_.push_back({.name = name + ".weight", .storage = graph::Storage(std::move(weight))});
      more_.push_back({.name = name + ".bias", .storage = graph::Storage(std::move(bias))});
    }
  }

  std::vector<Value> logits(const Batch& batch, const layers::ForwardContext& context) {
    layers::Network& network = network_.network();
    const Value trunk = network.features(batch.inputs, context);
    std::vector<Value> all{network.head(trunk, context)};
    const Value dropped = more_.empty() ? trunk : network.drop_features(trunk, context);
    for (std::size_t k = 0; k < more_.size(); k += 2) {
      all.push_back(graph::linear(dropped, context.read(trunk, more_[k]), context.read(trunk, more_[k + 1])));
    }
    for (Value& one : all) one = graph::cast(one, DType::f32);
    return all;
  }
  Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    return mean(logits(batch, context));
  }
  layers::ModuleState state() override {
    layers::ModuleState state = network_.state();
    for (layers::Parameter& own : more_) state.parameters.push_back({own.name, &own});
    return state;
  }
  bool wants_inputs() const override { return true; }
  std::string description() const override { return "ensemble-distill, " + to_text(option_values(options_)); }

  std::vector<Value> objectives(const TrainingBatch& batch, const layers::ForwardContext& context) override {
    const std::vector<Value> own = logits(batch, context);
    std::vector<Value> apart;
    for (std::size_t k = 0; k < own.size(); ++k) {
      const bool each = own.size() == teachers_;
      const Value teacher = each                   ? graph::cast(batch.features[k], DType::f32)
                            : batch.targets.real() ? mean_prediction(batch)
                                                   : softened(batch);
      apart.push_back(detail::teaching(own[k], teacher, batch.targets.real(), options_.temperature));
    }
    const double weight = options_.teacher_weight;
    return {graph::add(graph::scale(batch.targets.loss(mean(own)), 1 - weight), graph::scale(mean(apart), weight))};
  }

  /// The network with the mean of all heads.
  void merge_heads() {
    layers::ModuleState own;
    network_.network().visit_head("", own);
    for (const layers::NamedParameter& parameter : own.parameters) {
      std::vector<float> sum = parameter.value().to_vector<float>();
      for (const layers::Parameter& other : more_) {
        if (other.value().shape() != parameter.value().shape()) continue;
        const std::vector<float> values = other.value().to_vector<float>();
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
      }
      for (float& value : sum) value /= static_cast<float>(1 + more_.size() / 2);
      copy_bytes(Tensor::from(sum, parameter.value().shape(), parameter.value().device()), parameter.value());
    }
  }

 private:
  static Tensor& weight_of(const layers::ModuleState& head) {
    return std::find_if(head.parameters.begin(), head.parameters.end(),
                        [](const layers::NamedParameter& p) { return p.value().rank() == 2; })
        ->value();
  }
  static Value mean(const std::vector<Value>& all) {
    Value sum = all.front();
    for (std::size_t k = 1; k < all.size(); ++k) sum = graph::add(sum, all[k]);
    return all.size() == 1 ? sum : graph::scale(sum, 1.0 / static_cast<double>(all.size()));
  }
  static Value mean_prediction(const Batch& batch) {
    std::vector<Value> all;
    for (const Value& prediction : batch.features) all.push_back(graph::cast(prediction, DType::f32));
    return mean(all);
  }
  /// Logits whose softmax at T is the mean of the teachers'.
  Value softened(const Batch& batch) const {
    std::vector<Value> probabilities;
    for (const Value& logits : batch.features) {
      probabilities.push_back(graph::softmax(graph::scale(graph::cast(logits, DType::f32), 1 / options_.temperature)));
    }
    const Value all = mean(probabilities);
    // Of a class that every teacher excludes the logarithm must stay a number.
    const Value least = graph::fill(all.graph(), 1e-30, all.shape(), all.dtype());
    return graph::scale(graph::log(graph::maximum(all, least)), options_.temperature);
  }

  NetworkPredictor& network_;
  Options options_;
  std::size_t teachers_;
  std::vector<layers::Parameter> more_;  ///< weight and bias of the second head, of the third ..
};

/// Whether the sources' own heads teach. Throws ValueError where they are to and cannot.
bool own_heads(const FitContext& context, Teachers teachers) {
  if (teachers == Teachers::probes) return false;
  const auto other = std::find_if(context.sources().begin(), context.sources().end(),
                                  [&](const FrozenSource& source) { return !can_teach(source, context.train()); });
  if (other == context.sources().end()) return true;
  if (teachers == Teachers::automatic) return false;
  throw ValueError(fmt::format(
      "ensemble-distill: {} predicts other outputs or classes than the {} {} of {}; let probes teach", other->name(),
      context.task().outputs, context.task().regression ? "real targets" : "classes", context.train().name));
}

Recipe fit(FitContext& context, Options options) {
  std::vector<kernels::StoredFeatures> taught;
  if (own_heads(context, options.teachers)) {
    for (const FrozenSource& source : context.sources()) {
      taught.push_back(context.retain(detail::teacher_outputs(context, source)));
    }
  } else {
    FitContext::Blocks given = context.blocks(FeatureScaling::standardize, 1);
    const auto probes = detail::probes_of(context, std::move(given.blocks));
    co_await context.train_all(detail::trainings_of(context, probes, given.features));
    const FeatureLookup raw = context.lookup();
    for (const auto& probe : probes) taught.push_back(context.retain(probe->predict(context.train(), raw)));
  }
  auto network = std::make_unique<NetworkPredictor>(context.new_network(), context.fitted_normalization());
  Student student(*network, taught.size(), options, context.seed());
  co_await context.train(student, network->normalization(), taught);
  student.merge_heads();
  co_return network;
}

}  // namespace

const Strategy& ensemble_distill() {
  static const StrategyOf<Options> strategy(
      {.name = "ensemble-distill",
       .summary = "a network of the target's own learns from the targets and from an ensemble of the sources",
       .reference = "Hinton, Vinyals and Dean 2015; Zhang and Bottou 2023, DISTILL-n",
       .most_sources = std::numeric_limits<std::int64_t>::max(),
       .uses_features = true},
      fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes
