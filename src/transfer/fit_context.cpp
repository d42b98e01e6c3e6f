// What recipes are written with.
#include <fmt/format.h>

#include <algorithm>

#include "rtl/transfer/strategy.hpp"
#include "transfer/fit_group.hpp"
#include "transfer/place.hpp"

namespace rtl::transfer {

std::unique_ptr<layers::Network> FitContext::new_network(std::uint64_t seed) const {
  std::string text = options().model;
  if (text.empty()) text = train().has_images() ? "paper_cnn" : train().has_tokens() ? "text_bag" : "mlp";
  const std::size_t colon = text.find(':');
  const std::string variant = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  return layers::make_network(
      {text.substr(0, colon), variant, train().sample_shape(), task().outputs, train().vocabulary}, device(), seed);
}

data::InputNormalization FitContext::fitted_normalization() const {
  return data::fit_normalization(train(), options().normalization);
}

std::unique_ptr<NetworkPredictor> FitContext::copy_of(const FrozenSource& source, HeadStart start) const {
  const bool tokens = detail::check_tokens("fit", train(), source.architecture());
  if (!tokens && source.architecture().input != train().sample_shape()) {
    throw ShapeError(fmt::format("the samples of {} are {}, but {} takes {}", train().name,
                                 train().sample_shape().to_string(), source.name(),
                                 source.architecture().input.to_string()));
  }
  auto network = source.copy_network(device());
  if (!keeps_head(source, train(), start)) network->reset_head(task().outputs, seed());
  return std::make_unique<NetworkPredictor>(std::move(network), source.normalization());
}

const FeatureTable& FitContext::table(std::size_t source) const {
  if (shared_->tables.empty()) {
    if (inputs_.rows != nullptr) throw ValueError("the features of the sources on all rows are not given");
    shared_->tables = detail::find_tables(sources(), train(), options().cache);
  }
  return *shared_->tables.at(source);
}

Tensor FitContext::features(std::size_t source) const { return table(source).gather(inputs_.rows, device()); }

FeatureLookup FitContext::lookup() const {
  return [this](const FrozenSource& source) {
    const auto known = std::find(sources().begin(), sources().end(), source);
    if (known == sources().end()) return std::make_shared<const FeatureTable>(source.features(train()));
    return std::make_shared<const FeatureTable>(features(static_cast<std::size_t>(known - sources().begin())));
  };
}

Tensor FitContext::source_data_features(std::size_t source) const {
  const Tables tables = detail::find_tables({sources().at(source)}, source_data(), options().cache);
  return tables.front()->gather(nullptr, device());
}

void copy_head(const FrozenSource& source, FusedHead& model) {
  const auto network = source.copy_network(model.bias().device());
  layers::ModuleState head;
  network->visit_head("", head);
  for (const auto& parameter : head.parameters) {
    copy_bytes(parameter.value(), parameter.value().rank() == 2 ? model.weight() : model.bias());
  }
}

bool FitContext::on_shared_rows() const { return inputs_.rows == nullptr && &inputs_.train == shared_->whole; }

std::shared_ptr<const void> FitContext::shared_value(const std::string& name,
                                                     const std::function<std::shared_ptr<const void>()>& make) const {
  if (!on_shared_rows()) return make();
  std::shared_ptr<const void>& value = (*shared_->values)[name];
  if (!value) value = make();
  return value;
}

FitContext::Blocks FitContext::blocks(FeatureScaling scaling, double scale) {
  const bool whole = on_shared_rows();
  const std::string key = whole ? fmt::format("{} {}", to_string(scaling), scale) : std::string();
  Shared::Scaled own;
  Shared::Scaled& made = whole ? shared_->scaled[key] : own;
  for (std::size_t k = made.blocks.size(); k < sources().size(); ++k) {
    const FeatureTable& stored = table(k);
    made.blocks.push_back(FrozenBlock::fit(sources()[k], stored, inputs_.rows, device(), scaling, scale));
    made.transforms.push_back(stored.transform(made.blocks.back().shift, made.blocks.back().factor, device()));
  }
  if (inputs_.rows != nullptr && !places_.given()) {
    places_ = retain(Tensor::from(*inputs_.rows, {static_cast<std::int64_t>(inputs_.rows->size())}, device()));
  }
  Blocks result;
  for (std::size_t k = 0; k < sources().size(); ++k) {
    result.blocks.push_back(made.blocks[k].clone());
    Tensor& transform = made.transforms[k];
    result.features.push_back(made.blocks[k].stored(table(k).view_on(device()), transform, places_));
    if (!whole && transform.defined()) retain(std::move(transform));  // its memory stays where it is
  }
  return result;
}

Tensor FitContext::scaled(const kernels::StoredFeatures& features) const {
  return detail::gathered(features, device());
}

}  // namespace rtl::transfer
