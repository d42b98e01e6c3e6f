#include <utility>

#include "transfer/model.hpp"

namespace rtl::transfer {

Fitted::Fitted(std::unique_ptr<Model> model) : model_(std::move(model)) {}
Fitted::Fitted(Fitted&&) noexcept = default;
Fitted& Fitted::operator=(Fitted&&) noexcept = default;
Fitted::~Fitted() = default;

const std::string& Fitted::strategy() const { return model_->strategy; }
std::int64_t Fitted::classes() const { return model_->classes; }
std::int64_t Fitted::trainable_parameters() const { return model_->state().parameter_count(); }
const TrainingRecord& Fitted::training() const { return model_->record; }
layers::ModuleState Fitted::state() const { return model_->state(); }

std::vector<FrozenSource> Fitted::sources() const {
  std::vector<FrozenSource> sources;
  for (const FrozenBlock& block : model_->blocks) sources.push_back(block.source);
  return sources;
}

Tensor Fitted::logits(const data::Dataset& dataset, FeatureCache* cache) const {
  return model_->predict(dataset, model_->tables(dataset, cache), nullptr);
}

std::vector<BlockInfluence> Fitted::block_influence(const data::Dataset& dataset, FeatureCache* cache) const {
  return model_->influence(dataset, model_->tables(dataset, cache), nullptr);
}

}  // namespace rtl::transfer
