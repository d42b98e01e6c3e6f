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

/// Adds every source as a frozen block and returns the scaled training features.
std::vector<Tensor> add_blocks(Model& model, const Request& request) {
  std::vector<Tensor> features;
  for (std::size_t k = 0; k < request.sources.size(); ++k) {
    const FrozenSource& source = request.sources[k];
    FrozenBlock block{source, {}, {}};
    if (request.options.feature_scaling != FeatureScaling::raw) {
      const Tensor plain = request.tables.at(k)->gather(request.rows, model.device);
      model.fit_scaling(block, plain, request.options.feature_scaling, request.options.feature_scale);
    }
    model.blocks.push_back(std::move(block));
    features.push_back(model.block_features(k, *request.tables.at(k), request.rows));
  }
  return features;
}

Fitted finish(std::unique_ptr<Model> model, const Request& request, const std::vector<Tensor>& features = {}) {
  TrainingData data{&request.train, model->normalization, {}};
  for (const Tensor& block : features) data.features.push_back(block.view());
  TrainingOptions training = request.training;
  if (!detail::starts_at_source(model->strategy, request.sources, request.train, request.options)) {
    training.l2sp_strength = 0;
  }
  model->record = train(*model, data, training);
  return Fitted(std::move(model));
}

Fitted fit_scratch(const Request& request) {
  auto model = make_model("scratch", request);
  model->normalization = data::fit_normalization(request.train, request.options.normalization);
  model->network = make_encoder(request, model->device);
  return finish(std::move(model), request);
}

Fitted fit_probe(const Request& request) {
  auto model = make_model("probe", request);
  const FrozenSource& source = request.sources.front();
  const std::vector<Tensor> features = add_blocks(*model, request);
  model->feature_dropout = request.options.probe_dropout;
  draw_head(*model, source.feature_count(), request.training.seed);
  if (keeps_head(source, request.train, request.options)) copy_head(*model, source);
  return finish(std::move(model), request, features);
}

Fitted fit_fine_tune(const Request& request) {
  auto model = make_model("fine-tune", request);
  const FrozenSource& source = request.sources.front();
  if (source.architecture().input != model->sample) {
    throw ShapeError(fmt::format("fine-tune: the samples of {} are {}, but {} takes {}", request.train.name,
                                 model->sample.to_string(), source.name(), source.architecture().input.to_string()));
  }
  model->normalization = source.normalization();
  model->network = source.copy_network(model->device);
  if (!keeps_head(source, request.train, request.options)) {
    model->network->reset_head(model->classes, request.training.seed);
  }
  return finish(std::move(model), request);
}

Fitted fit_refine(const Request& request) {
  if (request.sources.empty()) return fit_scratch(request);
  auto model = make_model("refine", request);
  model->normalization = data::fit_normalization(request.train, request.options.normalization);
  model->network = make_encoder(request, model->device);
  const std::vector<Tensor> features = add_blocks(*model, request);
  std::int64_t columns = model->network->feature_count();
  for (const FrozenSource& source : request.sources) columns += source.feature_count();
  draw_head(*model, columns, request.training.seed);
  return finish(std::move(model), request, features);
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

Fitted fit_on(const std::string& name, const std::vector<FrozenSource>& sources, const data::Dataset& train,
              const Tables& tables, const Rows* rows, const TrainingOptions& training, const StrategyOptions& options) {
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
  train.validate(true);
  const Request request{sources, train, tables, rows, training, options};
  if (name == "scratch") return fit_scratch(request);
  if (name == "probe") return fit_probe(request);
  if (name == "fine-tune") return fit_fine_tune(request);
  return fit_refine(request);
}

}  // namespace detail

Fitted fit(const std::string& name, const std::vector<FrozenSource>& sources, const data::Dataset& train,
           const TrainingOptions& training, const StrategyOptions& options) {
  strategy(name);
  training.validate();
  train.validate(true);
  const Tables tables = uses_features(name) ? detail::find_tables(sources, train, options.cache) : Tables();
  return detail::fit_on(name, sources, train, tables, nullptr, training, options);
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
