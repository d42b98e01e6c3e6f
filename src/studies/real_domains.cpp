#include "studies/real_domains.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "rtl/data/csv.hpp"
#include "rtl/data/svmlight.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::studies {
namespace domains {
namespace {

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

}  // namespace

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

Domain adult(const std::string& folder, const std::string& status) { return income(folder, "6", status); }
Domain race(const std::string& folder, const std::string& race) { return income(folder, "9", race); }

/// Gad2, the first gene of genes.txt.
Domain cortex(const std::string& folder, const std::string& region) { return cells(folder, region, 0); }
/// Plp1, the 19th.
Domain myelin(const std::string& folder, const std::string& region) { return cells(folder, region, 18); }
/// Aldoc, the 14th.
Domain aldolase(const std::string& folder, const std::string& region) { return cells(folder, region, 13); }

}  // namespace domains

transfer::detail::Fact domain_fact(const std::string& name, const Domain& domain) {
  io::Hash64 hash;
  for (const std::int64_t number :
       {domain.rows, domain.features, domain.outputs, domain.training_rows, domain.source_rows}) {
    hash.add(static_cast<std::uint64_t>(number));
  }
  hash.add(std::as_bytes(std::span(domain.x))).add(std::as_bytes(std::span(domain.y)));
  return transfer::detail::content_fact(name, hash.value(), fmt::format("{} ({} rows)", domain.name, domain.rows));
}

SourceScaling::SourceScaling(const Domain& domain, bool scale_each_feature) {
  const auto p = static_cast<std::size_t>(domain.features);
  const auto n = static_cast<std::size_t>(domain.source_rows);
  double total = 0;
  for (std::size_t j = 0; j < p; ++j) {
    std::vector<double> known;
    for (std::size_t i = 0; i < n; ++i) {
      if (!std::isnan(domain.x[i * p + j])) known.push_back(domain.x[i * p + j]);
    }
    double mean = 0, squares = 0, median = 0;
    if (!known.empty()) {
      std::nth_element(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(known.size() / 2), known.end());
      median = known[known.size() / 2];
    }
    for (std::size_t i = 0; i < n; ++i) {
      const double value = std::isnan(domain.x[i * p + j]) ? median : domain.x[i * p + j];
      mean += value / static_cast<double>(n);
      squares += value * value / static_cast<double>(n);
    }
    const double variance = std::max(0.0, squares - mean * mean);
    total += variance / static_cast<double>(p);
    median_.push_back(median);
    mean_.push_back(mean);
    scale_.push_back(variance > 1e-12 * squares ? 1 / std::sqrt(variance) : 1);
  }
  if (!scale_each_feature) std::fill(scale_.begin(), scale_.end(), 1 / std::sqrt(total));
}

std::vector<double> SourceScaling::scaled(const Domain& domain, std::span<const std::int64_t> rows) const {
  const std::size_t p = mean_.size();
  std::vector<double> values(rows.size() * p);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const float* from = domain.x.data() + rows[i] * domain.features;
    for (std::size_t j = 0; j < p; ++j) {
      const double value = std::isnan(from[j]) ? median_[j] : from[j];
      values[i * p + j] = (value - mean_[j]) * scale_[j];
    }
  }
  return values;
}

std::vector<bool> held_out(const std::vector<std::string>& names, int seed) {
  // FNV-1a.
  const auto hash_of = [](const std::string& text) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    return hash;
  };
  std::vector<std::pair<std::uint64_t, std::size_t>> order;
  for (std::size_t i = 0; i < names.size(); ++i) {
    order.emplace_back(hash_of(fmt::format("{}/{}", seed, names[i])), i);
  }
  std::sort(order.begin(), order.end());
  std::vector<bool> kept(names.size(), false);
  for (std::size_t i = 0; i < (order.size() + 1) / 3; ++i) kept[order[i].second] = true;
  return kept;
}

}  // namespace rtl::studies
