// Networks read out with the frozen features and without, beside probes: a weighted mean.
#include <fmt/format.h>

#include <cmath>

#include "rtl/kernels/pointwise.hpp"
#include "rtl/transfer/archive.hpp"
#include "rtl/transfer/predictors.hpp"
#include "transfer/mixture.hpp"
#include "transfer/predictor_kinds.hpp"

namespace rtl::transfer {
namespace {

constexpr std::size_t network_read_outs = 2;  // with features, and without

std::string member_name(std::size_t index) { return fmt::format("member{}", index); }
std::string probe_name(std::size_t index) { return fmt::format("probe{}", index); }

void check(const ReadOuts::Member& member, std::size_t probes, std::int64_t outputs) {
  if (!member.network || !member.network->encoder() || member.network->blocks().empty()) {
    throw ValueError("ReadOuts: a member has no network with an encoder and frozen features");
  }
  if (member.probes.size() != probes) {
    throw ValueError(fmt::format("ReadOuts: members of {} and {} probes", probes, member.probes.size()));
  }
  const auto check_outputs = [&](const FusedHead& part) {
    if (part.outputs_count() == outputs) return;
    throw ValueError(fmt::format("ReadOuts: members of {} and {} outputs", outputs, part.outputs_count()));
  };
  check_outputs(*member.network);
  for (const auto& probe : member.probes) {
    if (!probe || probe->encoder()) throw ValueError("ReadOuts: a probe is none");
    check_outputs(*probe);
  }
}

}  // namespace

ReadOuts::ReadOuts(bool regression, std::vector<Member> members, std::vector<ReadOut> read_outs)
    : regression_(regression), members_(std::move(members)), read_outs_(std::move(read_outs)) {
  if (members_.empty() || !members_.front().network) throw ValueError("ReadOuts: there are no members");
  const std::size_t probes = members_.front().probes.size();
  for (const Member& member : members_) check(member, probes, members_.front().network->outputs_count());
  if (read_outs_.size() != network_read_outs + probes) {
    throw ValueError(
        fmt::format("ReadOuts: {} weights of {} read-outs", read_outs_.size(), network_read_outs + probes));
  }
  double sum = 0;
  for (const ReadOut& read_out : read_outs_) {
    if (!(read_out.weight >= 0) || !(read_out.temperature > 0) ||
        !std::isfinite(read_out.weight * read_out.temperature)) {
      throw ValueError(fmt::format(
          "ReadOuts: a weight of {} and a temperature of {}; weights must not be negative, temperatures positive",
          read_out.weight, read_out.temperature));
    }
    sum += read_out.weight;
  }
  if (!regression_ && std::abs(sum - 1) > 1e-9) {
    throw ValueError(fmt::format("ReadOuts: the weights of probabilities sum to {}, not 1", sum));
  }
}

Tensor ReadOuts::predict(const data::Dataset& samples, const FeatureLookup& features) {
  detail::Mixture mixture(regression_, outputs_count());
  const double share = 1.0 / static_cast<double>(members_.size());
  const auto add = [&](const Tensor& outputs, const ReadOut& read_out) {
    mixture.add(outputs.to_vector<float>(), share * read_out.weight, read_out.temperature);
  };
  Device device = samples.inputs.device();
  for (const Member& member : members_) {
    std::vector<Tensor> shares = member.network->shares(samples, member.network->scaled_features(features));
    device = shares.front().device();
    add(shares.front(), read_outs_[1]);
    Tensor& sum = shares.front();
    for (std::size_t k = 1; k < shares.size(); ++k) {
      kernels::binary(device, kernels::BinaryOp::add, sum, shares[k], sum);
    }
    add(sum, read_outs_[0]);
    for (std::size_t k = 0; k < member.probes.size(); ++k) {
      add(member.probes[k]->predict(samples, features), read_outs_[network_read_outs + k]);
    }
  }
  return mixture.result(device);
}

std::vector<BlockInfluence> ReadOuts::influence(const data::Dataset& /*samples*/, const FeatureLookup& /*features*/) {
  std::vector<BlockInfluence> found;
  for (const ReadOut& read_out : read_outs_) found.push_back({.name = read_out.name, .share = read_out.weight});
  return found;
}

layers::ModuleState ReadOuts::state() {
  layers::ModuleState all;
  const auto take = [&](const std::string& prefix, layers::ModuleState own) {
    for (auto& entry : own.parameters) all.parameters.push_back({prefix + entry.name, entry.parameter});
    for (auto& entry : own.buffers) all.buffers.push_back({prefix + entry.name, entry.parameter});
  };
  for (std::size_t i = 0; i < members_.size(); ++i) {
    take(member_name(i) + ".", members_[i].network->state());
    for (std::size_t k = 0; k < members_[i].probes.size(); ++k) {
      take(fmt::format("{}.{}.", member_name(i), probe_name(k)), members_[i].probes[k]->state());
    }
  }
  return all;
}

void ReadOuts::write(ArchiveWriter& archive) {
  archive.text("of", regression_ ? "values" : "probabilities");
  archive.integer("members", static_cast<std::int64_t>(members_.size()));
  archive.integer("probes", static_cast<std::int64_t>(members_.front().probes.size()));
  for (std::size_t i = 0; i < members_.size(); ++i) {
    ArchiveWriter part = archive.part(member_name(i));
    part.predictor("network", *members_[i].network);
    for (std::size_t k = 0; k < members_[i].probes.size(); ++k) part.predictor(probe_name(k), *members_[i].probes[k]);
  }
  for (std::size_t k = 0; k < read_outs_.size(); ++k) {
    ArchiveWriter part = archive.part(fmt::format("read_out{}", k));
    part.text("name", read_outs_[k].name);
    part.number("weight", read_outs_[k].weight);
    part.number("temperature", read_outs_[k].temperature);
    if (!std::isfinite(read_outs_[k].loss)) continue;
    part.number("loss", read_outs_[k].loss);
    part.number("difference", read_outs_[k].difference);
    part.number("standard_error", read_outs_[k].standard_error);
  }
}

namespace predictors {
namespace {

std::unique_ptr<FusedHead> read_head(const ArchiveReader& archive, const std::string& name) {
  std::unique_ptr<Predictor> predictor = archive.predictor(name);
  auto* head = dynamic_cast<FusedHead*>(predictor.get());
  if (head == nullptr) archive.fail(fmt::format("{} is no linear head on features", name));
  (void)predictor.release();
  return std::unique_ptr<FusedHead>(head);
}

ReadOut read_read_out(const ArchiveReader& part) {
  ReadOut read_out{part.text("name"), part.number("weight"), part.number("temperature"), NAN, NAN, NAN};
  if (!part.has("loss")) return read_out;
  read_out.loss = part.number("loss");
  read_out.difference = part.number("difference");
  read_out.standard_error = part.number("standard_error");
  return read_out;
}

std::unique_ptr<Predictor> read_read_outs(const ArchiveReader& archive) {
  const auto count = static_cast<std::size_t>(archive.integer("members"));
  const auto probes = static_cast<std::size_t>(archive.integer("probes"));
  std::vector<ReadOuts::Member> members;
  for (std::size_t i = 0; i < count; ++i) {
    const ArchiveReader part = archive.part(member_name(i));
    ReadOuts::Member& member = members.emplace_back();
    member.network = read_head(part, "network");
    for (std::size_t k = 0; k < probes; ++k) member.probes.push_back(read_head(part, probe_name(k)));
  }
  std::vector<ReadOut> read_outs;
  for (std::size_t k = 0; k < network_read_outs + probes; ++k) {
    read_outs.push_back(read_read_out(archive.part(fmt::format("read_out{}", k))));
  }
  try {
    return std::make_unique<ReadOuts>(archive.text("of") == "values", std::move(members), std::move(read_outs));
  } catch (const ValueError& error) {
    archive.fail(error.what());
  }
}

}  // namespace

const PredictorKind& read_outs() {
  static const PredictorKind kind{"read_outs", read_read_outs};
  return kind;
}

}  // namespace predictors
}  // namespace rtl::transfer
