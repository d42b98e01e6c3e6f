// Networks read out with the frozen features and without, beside probes: a weighted mean.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/kernels/pointwise.hpp"
#include "rtl/transfer/archive.hpp"
#include "rtl/transfer/predictors.hpp"
#include "transfer/influence.hpp"
#include "transfer/mixture.hpp"
#include "transfer/predictor_kinds.hpp"

namespace rtl::transfer {
namespace {

constexpr std::size_t network_read_outs = 2;  // with features, and without

std::string network_name(std::size_t index) { return fmt::format("network{}", index); }
std::string probe_name(std::size_t index) { return fmt::format("probe{}", index); }

void check(const std::vector<ReadOut>& read_outs, bool regression) {
  double sum = 0;
  for (const ReadOut& read_out : read_outs) {
    if (!(read_out.weight >= 0) || !(read_out.temperature > 0) ||
        !std::isfinite(read_out.weight * read_out.temperature)) {
      throw ValueError(fmt::format(
          "ReadOuts: a weight of {} and a temperature of {}; weights must not be negative, temperatures positive",
          read_out.weight, read_out.temperature));
    }
    sum += read_out.weight;
  }
  if (!regression && !(std::abs(sum - 1) <= 1e-9)) {
    throw ValueError(fmt::format("ReadOuts: the weights of probabilities sum to {}, not 1", sum));
  }
}

}  // namespace

ReadOuts::ReadOuts(bool regression, std::vector<std::unique_ptr<FusedHead>> networks,
                   std::vector<std::unique_ptr<FusedHead>> probes, std::vector<ReadOut> read_outs)
    : regression_(regression),
      networks_(std::move(networks)),
      probes_(std::move(probes)),
      read_outs_(std::move(read_outs)) {
  for (const auto& network : networks_) {
    if (!network || network->encoder() == nullptr || network->blocks().empty()) {
      throw ValueError("ReadOuts: a network has no encoder, or no frozen features");
    }
  }
  if (networks_.empty()) throw ValueError("ReadOuts: there are no networks");
  for (const auto& probe : probes_) {
    if (!probe || probe->encoder() != nullptr) throw ValueError("ReadOuts: a probe is none");
  }
  for (const auto* heads : {&networks_, &probes_}) {
    for (const auto& head : *heads) {
      if (head->outputs_count() == outputs_count()) continue;
      throw ValueError(fmt::format("ReadOuts: members of {} and {} outputs", outputs_count(), head->outputs_count()));
    }
  }
  if (read_outs_.size() != network_read_outs + probes_.size()) {
    throw ValueError(
        fmt::format("ReadOuts: {} weights of {} read-outs", read_outs_.size(), network_read_outs + probes_.size()));
  }
  check(read_outs_, regression_);
}

Tensor ReadOuts::predict(const data::Dataset& samples, const FeatureLookup& features) {
  detail::Mixture mixture(regression_, outputs_count());
  const double share = 1.0 / static_cast<double>(networks_.size());
  Device device = samples.device();
  for (const auto& network : networks_) {
    std::vector<Tensor> shares = network->shares(network->head_inputs(samples, network->scaled_features(features)));
    Tensor& sum = shares.front();
    device = sum.device();
    mixture.add(sum.to_vector<float>(), share * read_outs_[1].weight, read_outs_[1].temperature);
    for (std::size_t k = 1; k < shares.size(); ++k) {
      kernels::binary(device, kernels::BinaryOp::add, sum, shares[k], sum);
    }
    mixture.add(sum.to_vector<float>(), share * read_outs_[0].weight, read_outs_[0].temperature);
  }
  for (std::size_t k = 0; k < probes_.size(); ++k) {
    const ReadOut& read_out = read_outs_[network_read_outs + k];
    mixture.add(probes_[k]->predict(samples, features).to_vector<float>(), read_out.weight, read_out.temperature);
  }
  return mixture.result(device);
}

std::vector<BlockInfluence> ReadOuts::influence(const Task& task, const data::Dataset& samples,
                                                const FeatureLookup& features) {
  detail::InfluenceSum sum(task.regression);
  const std::size_t h = sum.add_block("h");
  const std::vector<FrozenSource> known = sources();
  for (const FrozenSource& source : known) sum.add_block(source.name());
  // From a file every head has handles of its own.
  const auto block_of = [&](const FrozenSource& source) {
    auto found = std::find(known.begin(), known.end(), source);
    if (found == known.end()) {
      found = std::find_if(known.begin(), known.end(), [&](const FrozenSource& other) {
        return other.name() == source.name() && other.feature_count() == source.feature_count();
      });
    }
    if (found == known.end()) throw ValueError(fmt::format("ReadOuts: no network looks at {}", source.name()));
    return h + 1 + static_cast<std::size_t>(found - known.begin());
  };
  const double part = 1.0 / static_cast<double>(networks_.size());
  for (const auto& network : networks_) {
    const std::vector<Tensor> seen = network->head_inputs(samples, network->scaled_features(features));
    const std::vector<Tensor> shares = network->shares(seen);
    for (std::size_t r = 0; r < network_read_outs; ++r) {
      sum.add(h, seen[0], shares[0], part * read_outs_[r].weight, read_outs_[r].temperature);
    }
    for (std::size_t k = 0; k < network->blocks().size(); ++k) {
      sum.add(block_of(network->blocks()[k].source), seen[k + 1], shares[k + 1], part * read_outs_[0].weight,
              read_outs_[0].temperature);
    }
  }
  for (std::size_t p = 0; p < probes_.size(); ++p) {
    const std::vector<Tensor> seen = probes_[p]->scaled_features(features), shares = probes_[p]->shares(seen);
    const ReadOut& own = read_outs_[network_read_outs + p];
    for (std::size_t k = 0; k < seen.size(); ++k) {
      sum.add(block_of(probes_[p]->blocks()[k].source), seen[k], shares[k], own.weight, own.temperature);
    }
  }
  return sum.result();
}

layers::ModuleState ReadOuts::state() {
  layers::ModuleState all;
  const auto take = [&](const std::string& prefix, layers::ModuleState own) {
    for (auto& entry : own.parameters) all.parameters.push_back({prefix + entry.name, entry.parameter});
    for (auto& entry : own.buffers) all.buffers.push_back({prefix + entry.name, entry.parameter});
  };
  for (std::size_t i = 0; i < networks_.size(); ++i) take(network_name(i) + ".", networks_[i]->state());
  for (std::size_t k = 0; k < probes_.size(); ++k) take(probe_name(k) + ".", probes_[k]->state());
  return all;
}

void ReadOuts::write(ArchiveWriter& archive) {
  archive.text("of", regression_ ? "values" : "probabilities");
  archive.integer("networks", static_cast<std::int64_t>(networks_.size()));
  archive.integer("probes", static_cast<std::int64_t>(probes_.size()));
  for (std::size_t i = 0; i < networks_.size(); ++i) archive.predictor(network_name(i), *networks_[i]);
  for (std::size_t k = 0; k < probes_.size(); ++k) archive.predictor(probe_name(k), *probes_[k]);
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
  std::vector<std::unique_ptr<FusedHead>> networks, probes;
  const std::int64_t network_count = archive.integer("networks"), probe_count = archive.integer("probes");
  for (std::int64_t i = 0; i < network_count; ++i) {
    networks.push_back(read_head(archive, network_name(static_cast<std::size_t>(i))));
  }
  for (std::int64_t k = 0; k < probe_count; ++k) {
    probes.push_back(read_head(archive, probe_name(static_cast<std::size_t>(k))));
  }
  std::vector<ReadOut> read_outs;
  for (std::size_t k = 0; k < network_read_outs + probes.size(); ++k) {
    read_outs.push_back(read_read_out(archive.part(fmt::format("read_out{}", k))));
  }
  try {
    return std::make_unique<ReadOuts>(archive.text("of") == "values", std::move(networks), std::move(probes),
                                      std::move(read_outs));
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
