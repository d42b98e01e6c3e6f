#include "cli/prediction_model.hpp"

#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/table.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/transfer/predictors.hpp"

namespace rtl::cli {

namespace {

/// Empty for files from elsewhere, whose words mean something else, and of other kinds, of which the loader tells more.
io::Metadata metadata_of(const std::string& path) {
  try {
    const io::SafetensorsFile file(path);
    return file.content_hash().empty() ? io::Metadata() : file.metadata();
  } catch (const FormatError&) {
    return {};
  }
}

void refuse_options(const ModelSpec& spec, Precision precision) {
  if (spec.architecture || spec.normalization) {
    throw UsageError(fmt::format("--model {}: it holds a fitted predictor, which itself says {}", spec.file,
                                 spec.architecture ? "what it is" : "how its inputs are normalised"));
  }
  if (precision != Precision::f32) {
    throw UsageError(fmt::format("--precision {}: {} holds a fitted predictor, which is evaluated in f32",
                                 to_string(precision), spec.file));
  }
}

const transfer::NetworkPredictor* network_in(const std::optional<transfer::Fitted>& fitted) {
  return fitted ? dynamic_cast<const transfer::NetworkPredictor*>(&fitted->predictor()) : nullptr;
}

}  // namespace

PredictionModel PredictionModel::load(const ModelSpec& spec, const Device& device, Precision precision) {
  PredictionModel model;
  model.file_ = spec.file;
  const io::Metadata metadata = metadata_of(spec.file);
  const bool archive = metadata.contains("kind");
  if (archive) refuse_options(spec, precision);
  if (const auto strategy = metadata.find("strategy"); strategy != metadata.end()) model.strategy_ = strategy->second;
  const bool plain = !spec.architecture && !spec.normalization && precision == Precision::f32;
  // As it was evaluated when it was fitted, without batch norms folded in: to the last bit.
  if (archive || (model.strategy_ && plain)) {
    model.fitted_ = transfer::Fitted::load(spec.file, device);
    model.strategy_ = model.fitted_->strategy();
    model.task_ = model.fitted_->task();
    return model;
  }
  model.network_ = load_source(spec, device, precision);
  const std::int64_t outputs = model.network_->classes();
  if (outputs == 0) {
    throw FormatError(spec.file, "it has no head, so it gives no logits; as a --source of rtl transfer it will do");
  }
  model.task_ = model.network_->task().value_or(transfer::Task{.outputs = outputs});
  return model;
}

std::optional<std::string> PredictionModel::architecture() const {
  if (network_) return network_->architecture().to_string();
  if (const auto* alone = network_in(fitted_)) return alone->network().architecture().to_string();
  return {};
}

std::optional<std::string> PredictionModel::normalization() const {
  if (network_) return data::to_string(network_->normalization());
  if (const auto* alone = network_in(fitted_)) return data::to_string(alone->normalization());
  return {};
}

std::int64_t PredictionModel::parameter_count() const {
  return network_ ? network_->parameter_count() : fitted_->trainable_parameters();
}

std::string PredictionModel::description() const {
  std::string text = architecture().value_or("");
  if (strategy_) text = *strategy_ + (text.empty() ? "" : ": " + text);
  for (const transfer::FrozenSource& source : sources()) {
    text += fmt::format(" + {} ({} features)", source.name(), source.feature_count());
  }
  text += fmt::format(", {} {}parameters", grouped(parameter_count()), sources().empty() ? "" : "trained ");
  if (const auto inputs = normalization()) text += fmt::format(", inputs normalised as '{}'", *inputs);
  return printable(text);
}

std::vector<transfer::FrozenSource> PredictionModel::sources() const {
  return fitted_ ? fitted_->sources() : std::vector<transfer::FrozenSource>();
}

Tensor PredictionModel::outputs(const data::Dataset& dataset, const transfer::FeatureLookup& features,
                                std::int64_t batch_size) const {
  Tensor outputs =
      fitted_ ? fitted_->outputs(dataset, features) : transfer::in_units(task_, network_->logits(dataset, batch_size));
  if (kernels::all_finite(outputs.device(), outputs)) return outputs;
  throw ValueError(
      fmt::format("{} gives NaN or infinity on {}; look at its values, and at those of the data", file_, dataset.name));
}

}  // namespace rtl::cli
