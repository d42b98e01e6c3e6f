#include "rtl/transfer/strategies.hpp"

#include <fmt/format.h>

#include <cmath>
#include <span>
#include <utility>

#include "rtl/layers/initialization.hpp"
#include "transfer/model.hpp"

namespace rtl::transfer {
namespace {

using Model = Fitted::Model;

struct Request {
  const std::vector<FrozenSource>& sources;
  const data::Dataset& train;
  const Tables& tables;
  const Rows* rows;
  const TrainingOptions& training;
  const StrategyOptions& options;
};

std::unique_ptr<Model> make_model(const std::string& strategy, const Request& request) {
  const Device device = request.options.device.value_or(request.train.inputs.device());
  auto model = std::make_unique<Model>(device);
  model->strategy = strategy;
  model->classes = request.train.classes;
  model->sample = request.train.sample_shape();
  return model;
}

std::unique_ptr<layers::Network> make_encoder(const Request& request, const Device& device) {
  std::string text = request.options.model;
  if (text.empty()) text = request.train.has_images() ? "paper_cnn" : "mlp";
  const std::size_t colon = text.find(':');
  const std::string variant = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  const layers::Architecture architecture{text.substr(0, colon), variant, request.train.sample_shape(),
                                          request.train.classes};
  return layers::make_network(architecture, device, request.training.seed);
}

/// The linear head over `columns` features, drawn as PyTorch draws linear layers, from seed and name.
void draw_head(Model& model, std::int64_t columns, std::uint64_t seed) {
  Tensor weight({model.classes, columns}, DType::f32, model.device);
  Tensor bias({model.classes}, DType::f32, model.device);
  layers::initialize_weight(layers::Initialization::uniform_fan_in, seed, "head.weight", weight);
  layers::initialize_bias(columns, seed, "head.bias", bias);
  model.set_head(std::move(weight), std::move(bias));
}

bool keeps_head(const FrozenSource& source, const data::Dataset& train, const StrategyOptions& options) {
  const bool same = source.classes() == train.classes;
  if (options.head_start == HeadStart::pretrained && source.classes() == 0) {
    throw ValueError(fmt::format("head_start pretrained: {} has no head; use a fresh head", source.name()));
  }
  if (options.head_start == HeadStart::pretrained && !same) {
    throw ValueError(fmt::format("head_start pretrained: {} has {} classes, {} has {}; use a fresh head", source.name(),
                                 source.classes(), train.name, train.classes));
  }
  return same && options.head_start != HeadStart::fresh;
}

/// The head of a probe starts as the source's own.
void copy_head(Model& model, const FrozenSource& source) {
  const auto network = source.copy_network(model.device);
  layers::ModuleState head;
  network->visit_head("", head);
  for (const auto& parameter : head.parameters) {
    const bool is_weight = parameter.value().shape().rank() == 2;
    copy_bytes(parameter.value(), is_weight ? model.weight.value() : model.bias.value());
  }
}

using Features = std::shared_ptr<const std::vector<Tensor>>;

struct Prepared {
  std::unique_ptr<Model> model;
  Features features = std::make_shared<std::vector<Tensor>>();
};

/// Adds every source as a frozen block, with its scaled training features: those of `alike`, a model for the same rows,
/// where there is one.
void add_blocks(Prepared& made, const Request& request, const Prepared* alike) {
  std::vector<Tensor> features;
  const auto copy_of = [](const Tensor& tensor) { return tensor.defined() ? tensor.clone() : Tensor(); };
  for (std::size_t k = 0; k < request.sources.size(); ++k) {
    FrozenBlock block{request.sources[k], {}, {}};
    if (alike != nullptr) {
      block.shift = copy_of(alike->model->blocks[k].shift);
      block.factor = copy_of(alike->model->blocks[k].factor);
    } else if (request.options.feature_scaling != FeatureScaling::raw) {
      const Tensor plain = request.tables.at(k)->gather(request.rows, made.model->device);
      made.model->fit_scaling(block, plain, request.options.feature_scaling, request.options.feature_scale);
    }
    made.model->blocks.push_back(std::move(block));
    if (alike == nullptr) features.push_back(made.model->block_features(k, *request.tables.at(k), request.rows));
  }
  made.features = alike != nullptr ? alike->features : std::make_shared<std::vector<Tensor>>(std::move(features));
}

Prepared prepare_scratch(const Request& request) {
  Prepared made{make_model("scratch", request)};
  made.model->normalization = data::fit_normalization(request.train, request.options.normalization);
  made.model->network = make_encoder(request, made.model->device);
  return made;
}

Prepared prepare_probe(const Request& request, const Prepared* alike) {
  Prepared made{make_model("probe", request)};
  const FrozenSource& source = request.sources.front();
  add_blocks(made, request, alike);
  made.model->feature_dropout = request.options.probe_dropout;
  draw_head(*made.model, source.feature_count(), request.training.seed);
  if (keeps_head(source, request.train, request.options)) copy_head(*made.model, source);
  return made;
}

Prepared prepare_fine_tune(const Request& request) {
  Prepared made{make_model("fine-tune", request)};
  Model& model = *made.model;
  const FrozenSource& source = request.sources.front();
  if (source.architecture().input != model.sample) {
    throw ShapeError(fmt::format("fine-tune: the samples of {} are {}, but {} takes {}", request.train.name,
                                 model.sample.to_string(), source.name(), source.architecture().input.to_string()));
  }
  if (!source.layer().empty()) {
    throw ValueError(
        fmt::format("fine-tune: {} is to be taken at layer {}, and fine-tune trains all of a source; take it "
                    "without a layer",
                    source.name(), source.layer()));
  }
  model.normalization = source.normalization();
  model.network = source.copy_network(model.device);
  if (!keeps_head(source, request.train, request.options)) {
    model.network->reset_head(model.classes, request.training.seed);
  }
  return made;
}

Prepared prepare_refine(const Request& request, const Prepared* alike) {
  Prepared made{make_model("refine", request)};
  made.model->normalization = data::fit_normalization(request.train, request.options.normalization);
  made.model->network = make_encoder(request, made.model->device);
  add_blocks(made, request, alike);
  std::int64_t columns = made.model->network->feature_count();
  for (const FrozenSource& source : request.sources) columns += source.feature_count();
  draw_head(*made.model, columns, request.training.seed);
  return made;
}

Prepared prepare(const std::string& name, const Request& request, const Prepared* alike) {
  if (name == "scratch" || (name == "refine" && request.sources.empty())) return prepare_scratch(request);
  if (name == "probe") return prepare_probe(request, alike);
  return name == "fine-tune" ? prepare_fine_tune(request) : prepare_refine(request, alike);
}

bool uses_features(const std::string& strategy) { return strategy == "probe" || strategy == "refine"; }

}  // namespace

namespace detail {

bool starts_at_source(const std::string& name, const std::vector<FrozenSource>& sources, const data::Dataset& train,
                      const StrategyOptions& options) {
  return name == "fine-tune" || (name == "probe" && keeps_head(sources.front(), train, options));
}

Tables find_tables(const std::vector<FrozenSource>& sources, const data::Dataset& dataset, FeatureCache* cache) {
  FeatureCache own;
  Tables tables;
  for (const FrozenSource& source : sources) tables.push_back((cache ? *cache : own).get(source, dataset));
  return tables;
}

Fits::Fits(const std::string& name, const std::vector<FrozenSource>& sources, const Tables& tables,
           std::span<const FitReplica> replicas, const StrategyOptions& options) {
  const StrategyInfo& info = strategy(name);
  if (name != "refine" && info.needs_source && sources.size() != 1) {
    throw ValueError(fmt::format("{} takes exactly one source, not {}; refine takes any number", name, sources.size()));
  }
  if (!(std::isfinite(options.feature_scale) && options.feature_scale > 0)) {
    throw ValueError(fmt::format("feature_scale must be positive, not {}", options.feature_scale));
  }
  if (!(options.probe_dropout >= 0 && options.probe_dropout < 1)) {
    throw ValueError(fmt::format("probe_dropout must be in [0, 1), not {}", options.probe_dropout));
  }
  std::vector<Prepared> all;
  for (const FitReplica& replica : replicas) {
    replica.train.validate(true);
    const bool alike = !all.empty() && &replica.train == &replicas.front().train && replica.rows == nullptr;
    all.push_back(prepare(name, {sources, replica.train, tables, replica.rows, replica.training, options},
                          alike ? &all.front() : nullptr));
    Prepared& made = all.back();
    TrainingData data{&replica.train, made.model->normalization, {}};
    for (const Tensor& block : *made.features) data.features.push_back(block.view());
    replicas_.push_back({made.model.get(), std::move(data), replica.training});
    if (!starts_at_source(made.model->strategy, sources, replica.train, options)) {
      replicas_.back().options.l2sp_strength = 0;
    }
  }
  for (Prepared& made : all) {
    models_.push_back(std::move(made.model));
    features_.push_back(std::move(made.features));
  }
}

std::vector<FitOutcome> Fits::train() {
  const std::vector<ReplicaTraining> trained = train_replicas(replicas_);
  std::vector<FitOutcome> outcomes;
  for (std::size_t i = 0; i < trained.size(); ++i) {
    models_[i]->record = trained[i].record;
    outcomes.push_back({Fitted(std::move(models_[i])), trained[i].divergence});
  }
  return outcomes;
}

}  // namespace detail

Fitted fit(const std::string& name, const std::vector<FrozenSource>& sources, const data::Dataset& train,
           const TrainingOptions& training, const StrategyOptions& options) {
  strategy(name);
  training.validate();
  train.validate(true);
  const Tables tables = uses_features(name) ? detail::find_tables(sources, train, options.cache) : Tables();
  const detail::FitReplica alone{train, nullptr, training};
  detail::FitOutcome outcome = std::move(detail::Fits(name, sources, tables, {&alone, 1}, options).train().front());
  if (outcome.divergence) throw *outcome.divergence;
  return std::move(outcome.fitted);
}

Fitted scratch(const data::Dataset& train, const TrainingOptions& training, const StrategyOptions& options) {
  return fit("scratch", {}, train, training, options);
}

Fitted probe(const FrozenSource& source, const data::Dataset& train, const TrainingOptions& training,
             const StrategyOptions& options) {
  return fit("probe", {source}, train, training, options);
}

Fitted fine_tune(const FrozenSource& source, const data::Dataset& train, const TrainingOptions& training,
                 const StrategyOptions& options) {
  return fit("fine-tune", {source}, train, training, options);
}

Fitted refine(const std::vector<FrozenSource>& sources, const data::Dataset& train, const TrainingOptions& training,
              const StrategyOptions& options) {
  return fit("refine", sources, train, training, options);
}

Scores evaluate(const Fitted& fitted, const data::Dataset& test, FeatureCache* cache) {
  return score(fitted.logits(test, cache), test);
}

}  // namespace rtl::transfer
