#include "studies/linear_transfer/domains.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "rtl/data/csv.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/svmlight.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/transfer/source.hpp"

namespace rtl::studies::linear_transfer {
namespace {

/// -1 everywhere but at the class.
void set_classes(Domain& domain, const std::vector<std::int64_t>& labels, std::int64_t classes) {
  domain.task = Task::classes;
  domain.outputs = classes;
  domain.y.assign(labels.size() * static_cast<std::size_t>(classes), -1.0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    domain.y[i * static_cast<std::size_t>(classes) + static_cast<std::size_t>(labels[i])] = 1.0;
  }
}

std::vector<std::int64_t> label_values(const Tensor& labels) {
  if (labels.dtype() == DType::u8) {
    const auto values = labels.to_vector<std::uint8_t>();
    return {values.begin(), values.end()};
  }
  const auto values = labels.to_vector<std::int32_t>();
  return {values.begin(), values.end()};
}

Domain wine(const std::string& folder, const std::string& colour) {
  const data::CsvTable table = data::read_csv(folder + "/tabular/wine_quality/winequality-" + colour + ".csv");
  const std::vector<double> values = table.values.to_vector<double>();
  const std::int64_t columns = table.values.extent(1), quality = table.column("quality");
  Domain domain{colour, table.rows(), columns - 1, 1, {}, {}, table.rows(), table.rows(), Task::regression};
  for (std::int64_t i = 0; i < domain.rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const double value = values[static_cast<std::size_t>(i * columns + j)];
      if (j == quality) {
        domain.y.push_back(value);
      } else {
        domain.x.push_back(static_cast<float>(value));
      }
    }
  }
  return domain;
}

/// Age, sex, chest pain (four columns), blood pressure, heart rate, angina, depression: what all sites measured.
Domain heart(const std::string& folder, const std::string& site) {
  const data::CsvTable table = data::read_csv(folder + "/tabular/heart_disease/processed." + site + ".data",
                                              {.header = data::CsvHeader::absent});
  const std::vector<double> values = table.values.to_vector<double>();
  Domain domain{site, table.rows(), 10, 1, {}, {}, table.rows(), table.rows(), Task::two_classes};
  for (std::int64_t i = 0; i < domain.rows; ++i) {
    const double* row = values.data() + i * table.values.extent(1);
    for (const int column : {0, 1}) domain.x.push_back(static_cast<float>(row[column]));
    for (const double kind : {1.0, 2.0, 3.0, 4.0}) domain.x.push_back(row[2] == kind ? 1.0F : 0.0F);
    for (const int column : {3, 7, 8, 9}) domain.x.push_back(static_cast<float>(row[column]));
    domain.y.push_back(row[13] > 0 ? 1 : -1);
  }
  return domain;
}

/// The first 2000 rows are the file's training part; log(1 + count) of 5000 words.
Domain amazon(const std::string& folder, const std::string& product) {
  Domain domain{product, 0, 5000, 1, {}, {}, 0, 0, Task::two_classes};
  for (const char* part : {"train", "test2000"}) {
    const data::SvmlightData read = data::read_svmlight(
        fmt::format("{}/text/amazon_reviews/{}_{}.svmlight.gz", folder, product, part), 5000, {.first_index = 0});
    for (const float count : read.features.to_vector<float>()) domain.x.push_back(std::log1p(count));
    for (const double target : read.targets.to_vector<double>()) domain.y.push_back(target > 0 ? 1 : -1);
  }
  domain.rows = static_cast<std::int64_t>(domain.y.size());
  domain.training_rows = domain.rows;
  domain.source_rows = 2000;
  return domain;
}

/// 800 visual words, each row scaled to a sum of one.
Domain office(const std::string& folder, const std::string& camera) {
  const std::string path = folder + "/features/office_caltech10_surf/" + camera;
  const Tensor counts = io::read_npy(path + "_X.npy.gz", Device::cpu());
  Domain domain{camera, counts.extent(0), counts.extent(1), 10,           {},
                {},     counts.extent(0), counts.extent(0), Task::classes};
  const std::vector<std::uint8_t> values = counts.to_vector<std::uint8_t>();
  for (std::int64_t i = 0; i < domain.rows; ++i) {
    const std::uint8_t* row = values.data() + i * domain.features;
    float sum = 0;
    for (std::int64_t j = 0; j < domain.features; ++j) sum += static_cast<float>(row[j]);
    for (std::int64_t j = 0; j < domain.features; ++j)
      domain.x.push_back(static_cast<float>(row[j]) / std::max(sum, 1.0F));
  }
  set_classes(domain, label_values(io::read_npy(path + "_y.npy", Device::cpu())), 10);
  return domain;
}

/// House values in 100,000 dollars, from eight measurements of a district.
Domain housing(const std::string& folder, const std::string& area) {
  const data::CsvTable table =
      data::read_csv(folder + "/tabular/california_housing/housing.csv.gz", {.label = "ocean_proximity"});
  const std::vector<double> values = table.values.to_vector<double>();
  const std::int64_t columns = table.values.extent(1), value_column = table.column("median_house_value");
  Domain domain{area, 0, columns - 1, 1, {}, {}, 0, 0, Task::regression};
  for (std::int64_t i = 0; i < table.rows(); ++i) {
    if (table.classes[static_cast<std::size_t>(table.labels[static_cast<std::size_t>(i)])] != area) continue;
    for (std::int64_t j = 0; j < columns; ++j) {
      const double value = values[static_cast<std::size_t>(i * columns + j)];
      if (j == value_column) {
        domain.y.push_back(value / 1e5);
      } else {
        domain.x.push_back(static_cast<float>(value));
      }
    }
  }
  domain.rows = domain.training_rows = domain.source_rows = static_cast<std::int64_t>(domain.y.size());
  return domain;
}

/// Income above 50,000 dollars, from age, years of education, log(1 + capital gain), log(1 + loss) and hours of work.
Domain income(const std::string& folder, const char* column, const std::string& group) {
  const std::string path = folder + "/tabular/adult/adult.data.gz";
  const auto read = [&](const char* label) {
    return data::read_csv(path, {.header = data::CsvHeader::absent,
                                 .label = label,
                                 .columns = {"1", "5", "11", "12", "13"},
                                 .labels = data::CsvLabels::text});
  };
  const data::CsvTable table = read(column), income = read("15");
  const std::vector<double> values = table.values.to_vector<double>();
  Domain domain{group, 0, 5, 1, {}, {}, 0, 0, Task::two_classes};
  for (std::size_t i = 0; i < table.labels.size(); ++i) {
    if (table.classes[static_cast<std::size_t>(table.labels[i])] != group) continue;
    for (std::size_t j = 0; j < 5; ++j) {
      const double value = values[i * 5 + j];
      domain.x.push_back(static_cast<float>(j == 2 || j == 3 ? std::log1p(value) : value));
    }
    domain.y.push_back(income.classes[static_cast<std::size_t>(income.labels[i])] == ">50K" ? 1 : -1);
  }
  domain.rows = domain.training_rows = domain.source_rows = static_cast<std::int64_t>(domain.y.size());
  return domain;
}

Domain adult(const std::string& folder, const std::string& status) { return income(folder, "6", status); }
Domain race(const std::string& folder, const std::string& race) { return income(folder, "9", race); }

/// log(1 + count) of one gene from those of the 32 others, in the cells of a region of the cortex.
Domain cells(const std::string& folder, const std::string& region, std::size_t gene) {
  // Positions in region_names.txt.
  constexpr std::pair<const char*, int> regions[] = {{"Hippocampus", 1},       {"Internal Capsule Caudoputamen", 2},
                                                     {"Layer 2-3 lateral", 3}, {"Layer 2-3 medial", 4},
                                                     {"Layer 4", 6},           {"Layer 5", 7},
                                                     {"Layer 6", 8},           {"White matter", 11}};
  const std::string path = folder + "/singlecell/osmfish_cortex/";
  const auto counts = io::read_npy(path + "counts.npy", Device::cpu()).to_vector<std::int32_t>();
  const auto where = io::read_npy(path + "region.npy", Device::cpu()).to_vector<std::uint8_t>();
  const std::size_t genes = counts.size() / where.size();
  Domain domain{region, 0, static_cast<std::int64_t>(genes) - 1, 1, {}, {}, 0, 0, Task::regression};
  const auto wanted =
      std::find_if(std::begin(regions), std::end(regions), [&](const auto& one) { return region == one.first; });
  for (std::size_t i = 0; i < where.size(); ++i) {
    if (where[i] != wanted->second) continue;
    const std::int32_t* row = counts.data() + i * genes;
    domain.y.push_back(std::log1p(static_cast<double>(row[gene])));
    for (std::size_t j = 0; j < genes; ++j) {
      if (j != gene) domain.x.push_back(std::log1p(static_cast<float>(row[j])));
    }
  }
  domain.rows = domain.training_rows = domain.source_rows = static_cast<std::int64_t>(domain.y.size());
  return domain;
}

/// Gad2, the first gene of genes.txt.
Domain cortex(const std::string& folder, const std::string& region) { return cells(folder, region, 0); }
/// Plp1, the 19th.
Domain myelin(const std::string& folder, const std::string& region) { return cells(folder, region, 18); }
/// Aldoc, the 14th.
Domain aldolase(const std::string& folder, const std::string& region) { return cells(folder, region, 13); }

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
    const std::vector<std::int64_t> own = label_values(part->labels);
    labels.insert(labels.end(), own.begin(), own.end());
  }
  domain.rows = static_cast<std::int64_t>(labels.size());
  domain.training_rows = data.train.size();
  domain.source_rows = domain.training_rows;
  set_classes(domain, labels, data.train.classes);
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
      {"wine", wine, {"red", "white"}, {20, 50, 100, 300, 1000}},
      {"heart", heart, {"cleveland", "hungarian", "switzerland", "va"}, {20, 40, 80}},
      {"amazon", amazon, {"books", "dvd", "electronics", "kitchen"}, {50, 100, 200, 500, 1000, 2000}},
      {"office", office, {"amazon", "caltech", "dslr", "webcam"}, {30, 60, 100}},
      {"housing", housing, {"<1H OCEAN", "INLAND", "NEAR BAY", "NEAR OCEAN"}},
      {"cortex", cortex, {"Hippocampus", "Layer 2-3 lateral", "Layer 4", "Layer 6"}},
      {"adult", adult, {"Married-civ-spouse", "Never-married", "Divorced", "Widowed"}},
      {"myelin", myelin, {"Internal Capsule Caudoputamen", "Layer 2-3 medial", "Layer 5", "White matter"}},
      {"race", race, {"White", "Black", "Asian-Pac-Islander", "Amer-Indian-Eskimo"}},
      {"aldolase", aldolase, {"Internal Capsule Caudoputamen", "Layer 2-3 medial", "Layer 5", "White matter"}},
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
