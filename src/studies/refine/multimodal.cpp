// Cells of the mouse cortex: the source knows expression and cell types, the target is where a cell lies. After the
// experiment with scGPT of Xu, Nakada, Zhang and Li (REFINE, 2025): what the source has never seen comes in by h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/core/random.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/layers/network.hpp"
#include "studies/real_domains.hpp"
#include "studies/refine/parts.hpp"

namespace rtl::studies::refine {
namespace {

constexpr const char* network = "128-64";
constexpr std::int64_t batch = 32, nearest = 10;

/// log(1 + count) of 33 genes, and what h sees: places, or the mean expression of the ten nearest cells.
struct Cells {
  std::int64_t count = 0, genes = 0;
  std::vector<float> expression, places, neighbours;
  std::vector<std::int32_t> types, regions;
  std::int64_t type_count = 0, region_count = 0;
};

std::vector<float> neighbours_of(const Cells& cells) {
  std::vector<float> means(cells.expression.size(), 0.0F);
  const std::int64_t wanted = std::min(nearest, cells.count - 1);
  for (std::int64_t i = 0; i < cells.count; ++i) {
    std::vector<std::pair<float, std::int64_t>> distances;
    const float* here = cells.places.data() + 2 * i;
    for (std::int64_t j = 0; j < cells.count; ++j) {
      const float dx = cells.places[static_cast<std::size_t>(2 * j)] - here[0];
      const float dy = cells.places[static_cast<std::size_t>(2 * j + 1)] - here[1];
      if (j != i) distances.emplace_back(dx * dx + dy * dy, j);
    }
    std::nth_element(distances.begin(), distances.begin() + wanted - 1, distances.end());
    float* mean = means.data() + i * cells.genes;
    for (std::int64_t k = 0; k < wanted; ++k) {
      const float* other = cells.expression.data() + distances[static_cast<std::size_t>(k)].second * cells.genes;
      for (std::int64_t g = 0; g < cells.genes; ++g) mean[g] += other[g] / static_cast<float>(wanted);
    }
  }
  return means;
}

Cells read_cells(const std::string& folder) {
  const std::string path = folder + "/singlecell/osmfish_cortex/";
  Cells cells;
  const Tensor counts = io::read_npy(path + "counts.npy", Device::cpu(1));
  cells.count = counts.extent(0);
  cells.genes = counts.extent(1);
  for (const std::int32_t count : counts.to_vector<std::int32_t>()) {
    cells.expression.push_back(std::log1p(static_cast<float>(count)));
  }
  cells.places = io::read_npy(path + "xy.npy", Device::cpu(1)).to_vector<float>();
  const auto labels = [&](const char* file, std::vector<std::int32_t>& to) {
    for (const std::int64_t label : domains::label_values(io::read_npy(path + file, Device::cpu(1)))) {
      to.push_back(static_cast<std::int32_t>(label));
    }
    return static_cast<std::int64_t>(*std::max_element(to.begin(), to.end())) + 1;
  };
  cells.type_count = labels("celltype.npy", cells.types);
  cells.region_count = labels("region.npy", cells.regions);
  cells.neighbours = neighbours_of(cells);
  return cells;
}

/// These cells with these columns and labels.
data::Dataset dataset_of(const std::vector<const std::vector<float>*>& blocks, const std::vector<std::int32_t>& labels,
                         std::int64_t classes, std::span<const std::int64_t> rows) {
  std::vector<float> values;
  std::vector<std::int32_t> own;
  for (const std::int64_t row : rows) {
    for (const std::vector<float>* block : blocks) {
      const auto width = static_cast<std::ptrdiff_t>(block->size() / labels.size());
      values.insert(values.end(), block->begin() + row * width, block->begin() + (row + 1) * width);
    }
    own.push_back(labels[static_cast<std::size_t>(row)]);
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  data::Dataset dataset;
  dataset.inputs = Tensor::from(values, {count, static_cast<std::int64_t>(values.size()) / count}, Device::cpu(1));
  dataset.labels = Tensor::from(own, {count}, Device::cpu(1));
  dataset.classes = classes;
  dataset.name = "cells";
  return dataset;
}

transfer::TrainingOptions training_of(std::int64_t rows, std::int64_t steps, std::uint64_t seed,
                                      const RunOptions& options) {
  transfer::TrainingOptions training;
  const std::int64_t batches = (rows + batch - 1) / batch;
  training.epochs = std::max<std::int64_t>(1, (steps + batches / 2) / batches);
  training.batch_size = batch;
  training.learning_rate = 0.05;
  training.weight_decay = 1e-4;
  training.seed = seed;
  training.stop = options.stop;
  return training;
}

/// Cell types from expression, of all cells: regions and places are not looked at.
transfer::FrozenSource type_source(const Cells& cells, std::span<const std::int64_t> rows, std::uint64_t seed,
                                   const RunOptions& options) {
  const data::Dataset train = dataset_of({&cells.expression}, cells.types, cells.type_count, rows);
  const Device device = Device::cpu(1).separate();
  auto made = layers::make_network({"mlp", network, {cells.genes}, cells.type_count}, device, seed);
  transfer::train(*made, train, data::Normalization::none, training_of(train.size(), 2000, seed, options));
  return transfer::FrozenSource(std::move(made), data::InputNormalization(data::Normalization::none), "cell types");
}

struct Encoder {
  const char* name;
  const char* alone;
  std::vector<float> Cells::*columns;
};
constexpr Encoder encoders[] = {{"places", "h alone: places", &Cells::places},
                                {"neighbours", "h alone: neighbours", &Cells::neighbours}};

std::string setting_name(const Encoder& encoder, std::int64_t labels) {
  return fmt::format("{} labels, h sees {}", labels, encoder.name);
}
std::string score_of(const Encoder& encoder, std::int64_t labels, const std::string& strategy) {
  return setting_name(encoder, labels) + ": " + strategy;
}

Scores scores_of(const Cells& cells, std::int64_t labels, std::uint64_t seed, const RunOptions& options) {
  const std::vector<std::int64_t> order = RandomSequence(seed, 1).permutation(cells.count);
  const std::span all(order);
  const std::int64_t test_count = cells.count - cells.count * 3000 / 4263;
  const auto test_rows = all.first(static_cast<std::size_t>(test_count));
  const auto rows = all.subspan(static_cast<std::size_t>(test_count), static_cast<std::size_t>(labels));
  const transfer::FrozenSource types = type_source(cells, all, seed, options);
  const auto features = [&](std::span<const std::int64_t> which) {
    return types.features(dataset_of({&cells.expression}, cells.regions, cells.region_count, which));
  };
  const Tensor train_features = features(rows), test_features = features(test_rows);
  Scores scores;
  for (const Encoder& encoder : encoders) {
    const auto part = [&](std::span<const std::int64_t> which, bool with_expression) {
      std::vector<const std::vector<float>*> blocks = {&(cells.*encoder.columns)};
      if (with_expression) blocks.push_back(&cells.expression);
      return dataset_of(blocks, cells.regions, cells.region_count, which);
    };
    for (const bool with_expression : {false, true}) {
      Target target{.train = part(rows, with_expression),
                    .test = part(test_rows, with_expression),
                    .training = training_of(labels, 1500, seed, options)};
      target.strategy.model = std::string("mlp:") + network;
      target.strategy.device = Device::cpu(1).separate();
      if (with_expression) {
        Scores both;
        add_scores(both, "", {"scratch"}, {}, target, true);
        scores[score_of(encoder, labels, "scratch on all")] = both.at("scratch");
        scores[score_of(encoder, labels, "scratch on all, F1")] = both.at("scratch, F1");
        continue;
      }
      const auto source = transfer::FrozenSource::of_matrices(
          "expression", {{&target.train, train_features}, {&target.test, test_features}});
      add_scores(scores, score_of(encoder, labels, ""),
                 {"scratch", "probe", "adapter", "refine", "refine:balance", "safe"}, {source}, target, true);
    }
  }
  return scores;
}

void claim(Reproduction& result, const Trials& trials, const Encoder& encoder, std::int64_t labels) {
  const auto name = [&](const char* strategy) { return score_of(encoder, labels, strategy); };
  const std::string setting = setting_name(encoder, labels);
  for (const auto& [label, shown] : {std::pair{"refine", "REFINE"}, std::pair{"safe", "safe"}}) {
    claim_above(result, fmt::format("{}: {} minus the probe of expression", setting, shown),
                trials.difference(name(label), name("probe")));
    claim_no_worse(result, fmt::format("{}: {} minus h alone", setting, shown),
                   trials.difference(name(label), name("scratch")));
  }
}

void report(Reproduction& result, const Trials& trials, const std::vector<std::int64_t>& counts) {
  std::vector<Row> rows, f1_rows;
  constexpr std::pair<const char*, const char*> shown[] = {{"h alone", "scratch"},
                                                           {"LinearProbe", "probe"},
                                                           {"Adapter", "adapter"},
                                                           {"REFINE", "refine"},
                                                           {"REFINE, balanced", "refine:balance"},
                                                           {"safe", "safe"},
                                                           {"scratch on h's inputs and expression", "scratch on all"}};
  for (const Encoder& encoder : encoders) {
    for (const std::int64_t labels : counts) {
      for (const auto& [name, label] : shown) {
        const std::string score = score_of(encoder, labels, label), scratch = score_of(encoder, labels, "scratch");
        rows.push_back({setting_name(encoder, labels), name, score, scratch});
        f1_rows.push_back({setting_name(encoder, labels), name, score + ", F1", scratch + ", F1"});
      }
    }
  }
  result.tables.push_back(table_of("Regions of the cortex: accuracy", trials, rows));
  result.tables.push_back(table_of("Regions of the cortex: mean F1 of the classes", trials, f1_rows, "mean F1 x 100"));
  for (const Encoder& encoder : encoders) {
    Figure figure{.name = std::string("multimodal_") + encoder.name,
                  .title = std::string("Accuracy by labels, h sees ") + encoder.name,
                  .caption = "osmFISH cells, regions of the cortex. Means over seeds with two standard errors.",
                  .x_label = "labels",
                  .y_label = "test accuracy, %",
                  .logarithmic_x = true};
    for (const auto& [name, label] : shown) {
      Series series = Series::points(name);
      for (const std::int64_t labels : counts) {
        series.add(static_cast<double>(labels), theory::average(trials.points(score_of(encoder, labels, label))));
      }
      figure.series.push_back(std::move(series));
    }
    result.figures.push_back(std::move(figure));
  }
}

}  // namespace

void multimodal(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const Cells cells = read_cells(runs.data);
  std::vector<std::int64_t> counts = {100, 300};
  if (options.full()) counts.insert(counts.end(), {1000, 3000});
  const std::string recipe =
      "source: mlp:128-64 from log(1 + count) of 33 genes to cell types, all cells, 2000 steps; h: mlp:128-64; SGD, "
      "rate 0.05, momentum 0.9, weight decay 1e-4, batches of 32, 1500 steps";
  result.protocol.emplace_back("multimodal", recipe + "; tested on the cells beside 3000 of 4263");
  std::vector<Piece> pieces;
  for (const std::int64_t labels : counts) {
    pieces.push_back({fmt::format("{} labels", labels),
                      [&, labels](std::uint64_t seed) { return scores_of(cells, labels, seed, options); }});
  }
  const std::uint64_t content = io::Hash64()
                                    .add(std::as_bytes(std::span(cells.expression)))
                                    .add(std::as_bytes(std::span(cells.places)))
                                    .add(std::as_bytes(std::span(cells.regions)))
                                    .add(std::as_bytes(std::span(cells.types)))
                                    .value();
  const Trials trials =
      run_trials("multimodal", pieces,
                 {{"recipe", recipe}, transfer::detail::content_fact("cells", content, "osmFISH")}, runs, options);
  report(result, trials, counts);
  result.facts["multimodal"] = to_json(trials);
  for (const Encoder& encoder : encoders) {
    for (const std::int64_t labels : counts) {
      if (options.full() || labels > 100) claim(result, trials, encoder, labels);
    }
  }
}

}  // namespace rtl::studies::refine
