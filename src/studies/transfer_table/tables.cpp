#include "studies/transfer_table/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <numeric>
#include <sstream>
#include <unordered_map>
#include <utility>

#include "rtl/core/random.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/solvers/randomized_svd.hpp"

namespace rtl::studies::transfer_table {
namespace {

std::string text_of(const std::string& path) {
  const io::Bytes bytes = io::read_file_gz(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Classes 0 to 2 of a quality up to 5, 6, and from 7.
Domain wine_classes(const std::string& folder, const std::string& colour) {
  Domain domain = domains::wine(folder, colour);
  std::vector<std::int64_t> labels;
  for (const double quality : domain.y) labels.push_back(quality <= 5 ? 0 : quality <= 6 ? 1 : 2);
  domains::set_classes(domain, labels, 3);
  return domain;
}

/// Without the places, which tell the areas apart.
Domain housing(const std::string& folder, const std::string& area) {
  Domain domain = domains::housing(folder, area);
  constexpr std::int64_t places = 2;  // longitude and latitude, the first columns
  std::vector<float> x;
  for (std::int64_t i = 0; i < domain.rows; ++i) {
    const auto row = domain.x.begin() + i * domain.features;
    x.insert(x.end(), row + places, row + domain.features);
  }
  domain.x = std::move(x);
  domain.features -= places;
  return domain;
}

using WordVectors = std::unordered_map<std::string, std::vector<float>>;

WordVectors read_words(const std::string& folder) {
  const Tensor table = io::read_npy(folder + "/text/glove_6B_50d/vectors.npy", Device::cpu(1));
  const std::vector<float> values = table.to_vector<float>();
  const auto width = table.extent(1);
  std::istringstream words(text_of(folder + "/text/glove_6B_50d/words.txt"));
  WordVectors vectors;
  std::string word;
  for (std::int64_t row = 0; row < table.extent(0) && std::getline(words, word); ++row) {
    vectors[word].assign(values.begin() + row * width, values.begin() + (row + 1) * width);
  }
  return vectors;
}

/// The mean of the vectors of the words that have one, small letters and apostrophes; zeros where none has.
std::vector<float> mean_vector(const std::string& sentence, const WordVectors& vectors, std::size_t width) {
  std::vector<float> sum(width, 0.0F);
  float count = 0;
  std::string word;
  for (const char c : sentence + ' ') {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      continue;
    }
    const auto found = vectors.find(word);
    word.clear();
    if (found == vectors.end()) continue;
    for (std::size_t j = 0; j < width; ++j) sum[j] += found->second[j];
    ++count;
  }
  for (float& value : sum) value /= std::max(count, 1.0F);
  return sum;
}

Domain sentences(const std::string& folder, const std::string& site) {
  const WordVectors vectors = read_words(folder);
  constexpr std::int64_t width = 50;
  const std::string file = site == "amazon" ? "amazon_cells" : site;
  std::istringstream lines(text_of(fmt::format("{}/text/uci_sentences/{}_labelled.txt", folder, file)));
  Domain domain{site, 0, width, 1, {}, {}, 0, 0, Task::two_classes};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t tab = line.rfind('\t');
    if (tab == std::string::npos) continue;
    const std::vector<float> row = mean_vector(line.substr(0, tab), vectors, width);
    domain.x.insert(domain.x.end(), row.begin(), row.end());
    domain.y.push_back(line.at(tab + 1) == '1' ? 1 : -1);
  }
  domain.rows = domain.training_rows = domain.source_rows = static_cast<std::int64_t>(domain.y.size());
  return domain;
}

/// A grey image's part from (top, left), `side` pixels high and wide, zero where it has none, as 16 x 16 pixels between
/// the nearest four.
void add_resized(std::vector<float>& to, const std::uint8_t* image, int extent, int top, int left, int side) {
  constexpr int size = 16;
  const auto pixel = [&](int i, int j) {
    return i < 0 || j < 0 || i >= extent || j >= extent ? 0.0 : image[i * extent + j] / 255.0;
  };
  for (int i = 0; i < size; ++i) {
    for (int j = 0; j < size; ++j) {
      const double y = top + (i + 0.5) * side / size - 0.5, x = left + (j + 0.5) * side / size - 0.5;
      const int y0 = static_cast<int>(std::floor(y)), x0 = static_cast<int>(std::floor(x));
      const double v = y - y0, u = x - x0;
      to.push_back(static_cast<float>((1 - v) * ((1 - u) * pixel(y0, x0) + u * pixel(y0, x0 + 1)) +
                                      v * ((1 - u) * pixel(y0 + 1, x0) + u * pixel(y0 + 1, x0 + 1))));
    }
  }
}

/// The smallest square around what is not black, from (top, left).
std::array<int, 3> square_around(const std::uint8_t* image, int extent) {
  int top = extent, bottom = 0, left = extent, right = 0;
  for (int i = 0; i < extent; ++i) {
    for (int j = 0; j < extent; ++j) {
      if (image[i * extent + j] == 0) continue;
      top = std::min(top, i), bottom = std::max(bottom, i), left = std::min(left, j), right = std::max(right, j);
    }
  }
  const int side = std::max({bottom - top, right - left, 0}) + 1;
  return {(top + bottom + 1 - side) / 2, (left + right + 1 - side) / 2, side};
}

/// The first 3000 training images, 16 x 16; digits of mnist are cut out first, since those of usps fill their frames.
Domain digits(const std::string& folder, const std::string& set) {
  const std::string name = set == "fashion" ? "fashion-mnist" : set;
  const data::Dataset images =
      data::load(fmt::format("idx:{}/images/{}?split=train&limit=3000", folder, name), Device::cpu(1)).train;
  const auto bytes = images.inputs.to_vector<std::uint8_t>();
  const auto extent = static_cast<int>(images.inputs.extent(1));
  Domain domain{set, images.size(), 256, 10, {}, {}, images.size(), images.size(), Task::classes};
  for (std::int64_t i = 0; i < images.size(); ++i) {
    const std::uint8_t* image = bytes.data() + i * extent * extent;
    const auto [top, left, side] = set == "mnist" ? square_around(image, extent) : std::array{0, 0, extent};
    add_resized(domain.x, image, extent, top, left, side);
  }
  domains::set_classes(domain, domains::label_values(images.labels), 10);
  return domain;
}

Domain read_domain(const std::string& folder, const std::string& family, const std::string& name) {
  using Read = Domain (*)(const std::string&, const std::string&);
  static const std::unordered_map<std::string, Read> readers{
      {"wine", domains::wine},  {"wine-classes", wine_classes}, {"heart", domains::heart}, {"amazon", domains::amazon},
      {"sentences", sentences}, {"office", domains::office},    {"housing", housing},      {"digits", digits}};
  return readers.at(family)(folder, name);
}

/// The cells of the cortex: log(1 + count) of 33 genes, places, types and regions.
struct Cells {
  std::size_t genes = 0;
  std::vector<float> counts, places;
  std::vector<std::int64_t> types, regions;
  std::vector<std::int64_t> order;  ///< the first half are the source's
};

Cells read_cells(const std::string& folder) {
  const std::string path = folder + "/singlecell/osmfish_cortex/";
  Cells cells;
  const Tensor counts = io::read_npy(path + "counts.npy", Device::cpu(1));
  cells.genes = static_cast<std::size_t>(counts.extent(1));
  for (const std::int32_t count : counts.to_vector<std::int32_t>()) {
    cells.counts.push_back(std::log1p(static_cast<float>(count)));
  }
  cells.places = io::read_npy(path + "xy.npy", Device::cpu(1)).to_vector<float>();
  cells.types = domains::label_values(io::read_npy(path + "celltype.npy", Device::cpu(1)));
  cells.regions = domains::label_values(io::read_npy(path + "region.npy", Device::cpu(1)));
  cells.order = RandomSequence(tables_seed, 1).permutation(counts.extent(0));
  return cells;
}

bool of_neighbours(const std::string& target) { return target == "region from neighbours"; }

/// What the source sees: all genes where h sees the neighbours', else the first half.
std::size_t source_genes(const Cells& cells, const std::string& target) {
  return of_neighbours(target) ? cells.genes : cells.genes / 2;
}

Domain half_of(const Cells& cells, bool source, const std::string& target) {
  const std::size_t half = cells.order.size() / 2, width = source_genes(cells, target);
  Domain domain;
  domain.name = source ? "cell type" : target;
  domain.features = static_cast<std::int64_t>(width);
  std::vector<std::int64_t> labels;
  for (std::size_t i = source ? 0 : half; i < (source ? half : cells.order.size()); ++i) {
    const auto cell = static_cast<std::size_t>(cells.order[i]);
    const float* genes = cells.counts.data() + cell * cells.genes;
    domain.x.insert(domain.x.end(), genes, genes + width);
    labels.push_back(source ? cells.types[cell] : cells.regions[cell]);
  }
  domain.rows = domain.training_rows = domain.source_rows = static_cast<std::int64_t>(labels.size());
  const auto& all = source ? cells.types : cells.regions;
  domains::set_classes(domain, labels, *std::max_element(all.begin(), all.end()) + 1);
  return domain;
}

/// Mean counts of the ten nearest other cells.
std::vector<float> of_nearest(const Cells& cells, std::size_t cell) {
  constexpr std::size_t nearest = 10;
  std::vector<std::pair<float, std::size_t>> distances;
  for (std::size_t i = 0; i < cells.order.size(); ++i) {
    const float dx = cells.places[2 * i] - cells.places[2 * cell];
    const float dy = cells.places[2 * i + 1] - cells.places[2 * cell + 1];
    if (i != cell) distances.emplace_back(dx * dx + dy * dy, i);
  }
  std::nth_element(distances.begin(), distances.begin() + nearest - 1, distances.end());
  std::vector<float> mean(cells.genes, 0.0F);
  for (std::size_t k = 0; k < nearest; ++k) {
    const float* genes = cells.counts.data() + distances[k].second * cells.genes;
    for (std::size_t j = 0; j < cells.genes; ++j) mean[j] += genes[j] / static_cast<float>(nearest);
  }
  return mean;
}

}  // namespace

std::vector<float> principal_components(const Domain& domain, std::int64_t count) {
  const std::vector<float>& x = domain.x;
  const std::int64_t rows = domain.rows, columns = domain.features;
  std::vector<double> means(static_cast<std::size_t>(columns), 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    means[i % means.size()] += static_cast<double>(x[i]) / static_cast<double>(rows);
  }
  std::vector<float> centred(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) centred[i] = static_cast<float>(x[i] - means[i % means.size()]);
  const Device device = Device::cpu(1).separate();
  const solvers::RandomizedSvd svd =
      solvers::randomized_svd(device, Tensor::from(centred, {rows, columns}, device), {.rank = count});
  const std::vector<double> left = svd.left.to_vector<double>(), values = svd.values.to_vector<double>();
  const double squares = std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
  const double unit = std::sqrt(squares / static_cast<double>(rows * count));
  std::vector<float> result(left.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    result[i] = static_cast<float>(left[i] * values[i % values.size()] / unit);
  }
  return result;
}

Table read_table(const std::string& folder, const std::string& family, const std::string& domain) {
  Table table{read_domain(folder, family, domain)};
  table.components = family == "amazon" || family == "office";
  if (table.components) table.encoder_columns = component_count;
  return table;
}

Table cortex_source(const std::string& folder, const std::string& target) {
  return {half_of(read_cells(folder), true, target)};
}

Table cortex_target(const std::string& folder, const std::string& target) {
  const Cells cells = read_cells(folder);
  Table table{half_of(cells, false, target)};
  for (std::size_t i = cells.order.size() / 2; i < cells.order.size(); ++i) {
    const auto cell = static_cast<std::size_t>(cells.order[i]);
    std::vector<float> row;
    if (of_neighbours(target)) {
      row = of_nearest(cells, cell);
    } else {
      const float* genes = cells.counts.data() + cell * cells.genes;
      row.assign(genes + source_genes(cells, target), genes + cells.genes);
    }
    table.encoder_columns = static_cast<std::int64_t>(row.size());
    table.encoder.insert(table.encoder.end(), row.begin(), row.end());
  }
  return table;
}

}  // namespace rtl::studies::transfer_table
