#include "studies/linear_transfer/domains.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "rtl/data/load.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/transfer/source.hpp"

namespace rtl::studies::linear_transfer {
namespace {

/// Frozen features of a data set; training rows first, then those for testing.
Domain frozen_features(const std::string& name, const transfer::FrozenSource& source, const data::TrainTest& data) {
  Domain domain;
  domain.name = name;
  std::vector<std::int64_t> labels;
  for (const data::Dataset* part : {&data.train, &data.test}) {
    const Tensor features = source.features(*part);
    const std::vector<float> values = features.to_vector<float>();
    domain.x.insert(domain.x.end(), values.begin(), values.end());
    domain.features = features.extent(1);
    const std::vector<std::int64_t> own = domains::label_values(part->labels);
    labels.insert(labels.end(), own.begin(), own.end());
  }
  domain.rows = static_cast<std::int64_t>(labels.size());
  domain.training_rows = data.train.size();
  domain.source_rows = domain.training_rows;
  domains::set_classes(domain, labels, data.train.classes);
  return domain;
}

Family cifar100(const std::string& folder, bool quick, const Device& device) {
  Family family{"cifar100", {}, {}, true};
  const std::string images = folder + "/images/";
  for (const char* depth : {"20", "56"}) {
    if (quick && std::string(depth) == "56") break;
    layers::LoadedNetwork loaded =
        layers::load_network(fmt::format("{}/models/resnet{}_cifar10.safetensors", folder, depth), device);
    const transfer::FrozenSource source(std::move(loaded.network), loaded.normalization,
                                        fmt::format("resnet{}_cifar10", depth));
    const std::size_t first = family.domains.size();
    const std::string network = std::string("ResNet-") + depth;
    family.domains.push_back(
        frozen_features(network + " CIFAR-10", source, data::load("cifar10:" + images + "cifar10", device)));
    for (const char* labels : {"coarse", "fine"}) {
      const std::string spec = "cifar100:" + images + "cifar100?labels=" + labels;
      family.domains.push_back(frozen_features(network + " CIFAR-100 " + labels, source, data::load(spec, device)));
      const std::vector<std::int64_t> sizes = quick ? std::vector<std::int64_t>{200}
                                              : std::string(labels) == "coarse"
                                                  ? std::vector<std::int64_t>{100, 300, 1000, 4000}
                                                  : std::vector<std::int64_t>{500, 1000, 4000};
      family.pairs.push_back({first, family.domains.size() - 1, sizes});
    }
  }
  return family;
}

Family with_all_pairs(Family family, const std::vector<std::int64_t>& sizes, bool quick) {
  for (std::size_t source = 0; source < family.domains.size(); ++source) {
    for (std::size_t target = 0; target < family.domains.size(); ++target) {
      if (source == target || (quick && source + target > 1)) continue;
      Pair pair{source, target, {}};
      for (const std::int64_t size : sizes) {
        // At least three rows in ten are left for testing.
        if (10 * size <= 7 * family.domains[target].rows && !(quick && size > 100)) pair.sizes.push_back(size);
      }
      family.pairs.push_back(pair);
    }
  }
  return family;
}

/// A family of domains: how one is read, their names, and the target rows that policies are compared with.
struct FamilyReader {
  const char* name;
  Domain (*read)(const std::string& folder, const std::string& domain);
  std::vector<std::string> domains;
  std::vector<std::int64_t> sizes = {};
};

const std::vector<FamilyReader>& readers() {
  static const std::vector<FamilyReader> all{
      {"wine", domains::wine, {"red", "white"}, {20, 50, 100, 300, 1000}},
      {"heart", domains::heart, {"cleveland", "hungarian", "switzerland", "va"}, {20, 40, 80}},
      {"amazon", domains::amazon, {"books", "dvd", "electronics", "kitchen"}, {50, 100, 200, 500, 1000, 2000}},
      {"office", domains::office, {"amazon", "caltech", "dslr", "webcam"}, {30, 60, 100}},
      {"housing", domains::housing, {"<1H OCEAN", "INLAND", "NEAR BAY", "NEAR OCEAN"}},
      {"cortex", domains::cortex, {"Hippocampus", "Layer 2-3 lateral", "Layer 4", "Layer 6"}},
      {"adult", domains::adult, {"Married-civ-spouse", "Never-married", "Divorced", "Widowed"}},
      {"myelin", domains::myelin, {"Internal Capsule Caudoputamen", "Layer 2-3 medial", "Layer 5", "White matter"}},
      {"race", domains::race, {"White", "Black", "Asian-Pac-Islander", "Amer-Indian-Eskimo"}},
      {"aldolase", domains::aldolase, {"Internal Capsule Caudoputamen", "Layer 2-3 medial", "Layer 5", "White matter"}},
  };
  return all;
}

const FamilyReader& reader_of(const std::string& name) {
  for (const FamilyReader& reader : readers()) {
    if (reader.name == name) return reader;
  }
  throw ValueError(fmt::format("there is no family '{}' of linear transfers", name));
}

/// The first `most` domains of a family.
Family read_family(const FamilyReader& reader, const std::string& folder, std::size_t most) {
  const std::string name = reader.name;
  Family family{name, {}, {}, name != "amazon" && name != "office"};
  for (const std::string& domain : reader.domains) {
    if (family.domains.size() < most) family.domains.push_back(reader.read(folder, domain));
  }
  return family;
}

}  // namespace

std::vector<std::string> family_names() { return {"wine", "heart", "amazon", "office", "cifar100"}; }

Family load_family(const std::string& name, const std::string& folder, bool quick, const Device& device) {
  if (name == "cifar100") return cifar100(folder, quick, device);
  const FamilyReader& reader = reader_of(name);
  return with_all_pairs(read_family(reader, folder, quick ? 2 : 4), reader.sizes, quick);
}

std::vector<std::string> few_rows_family_names() {
  std::vector<std::string> names;
  for (const FamilyReader& reader : readers()) names.emplace_back(reader.name);
  return names;
}

Family load_few_rows_family(const std::string& name, const std::string& folder, bool quick) {
  if (quick && name == "amazon") return {name, {}, {}, false};
  const std::vector<std::int64_t> sizes =
      quick ? std::vector<std::int64_t>{12, 25} : std::vector<std::int64_t>{12, 15, 20, 25, 30};
  return with_all_pairs(read_family(reader_of(name), folder, 4), sizes, false);
}

}  // namespace rtl::studies::linear_transfer
