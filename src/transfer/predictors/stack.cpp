// A weighted mean of predictors.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/transfer/archive.hpp"
#include "rtl/transfer/predictors.hpp"
#include "transfer/mixture.hpp"
#include "transfer/predictor_kinds.hpp"

namespace rtl::transfer {
namespace {

std::string member_name(std::size_t index) { return fmt::format("member{}", index); }

}  // namespace

Stack::Stack(bool regression, std::vector<StackMember> members)
    : regression_(regression), members_(std::move(members)) {
  if (members_.empty()) throw ValueError("Stack: there are no members");
  double sum = 0;
  for (const StackMember& member : members_) {
    if (!member.predictor) throw ValueError("Stack: a member is no predictor");
    if (member.predictor->outputs_count() != outputs_count()) {
      throw ValueError(
          fmt::format("Stack: members of {} and {} outputs", outputs_count(), member.predictor->outputs_count()));
    }
    if (!(member.weight >= 0) || !(member.temperature > 0) || !std::isfinite(member.weight * member.temperature)) {
      throw ValueError(
          fmt::format("Stack: a weight of {} and a temperature of {}; weights must not be negative, "
                      "temperatures positive",
                      member.weight, member.temperature));
    }
    sum += member.weight;
  }
  if (!regression_ && std::abs(sum - 1) > 1e-9) {
    throw ValueError(fmt::format("Stack: the weights of probabilities sum to {}, not 1", sum));
  }
}

Tensor Stack::predict(const data::Dataset& samples, const FeatureLookup& features) {
  detail::Mixture mixture(regression_, outputs_count());
  Device device = samples.device();
  for (const StackMember& member : members_) {
    const Tensor outputs = member.predictor->predict(samples, features);
    mixture.add(outputs.to_vector<float>(), member.weight, member.temperature);
    device = outputs.device();
  }
  return mixture.result(device);
}

std::vector<BlockInfluence> Stack::influence(const Task& /*task*/, const data::Dataset& /*samples*/,
                                             const FeatureLookup& /*features*/) {
  std::vector<BlockInfluence> found;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    found.push_back(
        {.name = fmt::format("{} ({})", member_name(i), members_[i].predictor->kind()), .share = members_[i].weight});
  }
  return found;
}

layers::ModuleState Stack::state() {
  layers::ModuleState all;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    layers::ModuleState own = members_[i].predictor->state();
    const auto take = [&](std::vector<layers::NamedParameter>& from, std::vector<layers::NamedParameter>& to) {
      for (layers::NamedParameter& entry : from) {
        to.push_back({fmt::format("{}.{}", member_name(i), entry.name), entry.parameter});
      }
    };
    take(own.parameters, all.parameters);
    take(own.buffers, all.buffers);
  }
  return all;
}

std::vector<FrozenSource> Stack::sources() const {
  std::vector<FrozenSource> all;
  for (const StackMember& member : members_) {
    for (const FrozenSource& source : member.predictor->sources()) {
      if (std::find(all.begin(), all.end(), source) == all.end()) all.push_back(source);
    }
  }
  return all;
}

std::optional<Shape> Stack::sample() const {
  for (const StackMember& member : members_) {
    if (const std::optional<Shape> sample = member.predictor->sample()) return sample;
  }
  return {};
}

void Stack::write(ArchiveWriter& archive) {
  archive.text("of", regression_ ? "values" : "probabilities");
  archive.integer("members", static_cast<std::int64_t>(members_.size()));
  for (std::size_t i = 0; i < members_.size(); ++i) {
    archive.predictor(member_name(i), *members_[i].predictor);
    archive.part(member_name(i)).number("weight", members_[i].weight);
    archive.part(member_name(i)).number("temperature", members_[i].temperature);
  }
}

namespace predictors {
namespace {

std::unique_ptr<Predictor> read_stack(const ArchiveReader& archive) {
  std::vector<StackMember> members;
  const auto count = static_cast<std::size_t>(archive.integer("members"));
  for (std::size_t i = 0; i < count; ++i) {
    const ArchiveReader part = archive.part(member_name(i));
    members.push_back({archive.predictor(member_name(i)), part.number("weight"), part.number("temperature")});
  }
  try {
    return std::make_unique<Stack>(archive.text("of") == "values", std::move(members));
  } catch (const ValueError& error) {
    archive.fail(error.what());
  }
}

}  // namespace

const PredictorKind& stack() {
  static const PredictorKind kind{"stack", read_stack};
  return kind;
}

}  // namespace predictors
}  // namespace rtl::transfer
