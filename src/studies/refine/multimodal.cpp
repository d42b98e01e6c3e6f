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
#include "studies/refine/cell_graph.hpp"
#include "studies/refine/parts.hpp"

namespace rtl::studies::refine {
namespace {

constexpr const char* network = "128-64";
constexpr const char* graph_widths = "64-64";
constexpr std::int64_t nearest = 10;

/// How networks are trained. A step of the graph's encoder takes the same time whatever the batch is.
struct Steps {
  std::int64_t count, batch;
};
constexpr Steps of_source{2000, 32}, of_columns{1500, 32}, of_graph{300, 256};

/// log(1 + count) of 33 genes, and what h sees: places, or the graph of cells that lie near each other.
struct Cells {
  std::int64_t count = 0, genes = 0;
  std::vector<float> expression, places;
  std::string graph;  ///< the architecture of its encoder
  std::vector<std::int32_t> types, regions;
  std::int64_t type_count = 0, region_count = 0;
};

/// All cells, each with its nearest by place: who has a label does not matter.
layers::GraphNodes graph_of(const Cells& cells) {
  const std::vector<double> places(cells.places.begin(), cells.places.end());
  const std::int64_t wanted = std::min(nearest, cells.count - 1);
  return {.graph = data::neighbour_graph(data::nearest_neighbours(places, 2, wanted), wanted,
                                         data::GraphNormalization::symmetric),
          .features = cells.expression,
          .columns = cells.genes};
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
  cells.graph = architecture_of(graph_of(cells));
  return cells;
}

using Labels = std::vector<std::int32_t>;

/// The labels of these cells; inputs are the caller's to add.
data::Dataset labelled(const Labels& labels, std::int64_t classes, std::span<const std::int64_t> rows) {
  Labels own;
  for (const std::int64_t row : rows) own.push_back(labels[static_cast<std::size_t>(row)]);
  data::Dataset dataset;
  dataset.labels = Tensor::from(own, {static_cast<std::int64_t>(own.size())}, Device::cpu(1));
  dataset.classes = classes;
  dataset.name = "cells";
  return dataset;
}

/// These cells with these columns.
data::Dataset dataset_of(const std::vector<const std::vector<float>*>& blocks, const Labels& labels,
                         std::int64_t classes, std::span<const std::int64_t> rows) {
  std::vector<float> values;
  for (const std::int64_t row : rows) {
    for (const std::vector<float>* block : blocks) {
      const auto width = static_cast<std::ptrdiff_t>(block->size() / labels.size());
      values.insert(values.end(), block->begin() + row * width, block->begin() + (row + 1) * width);
    }
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  data::Dataset dataset = labelled(labels, classes, rows);
  dataset.inputs = Tensor::from(values, {count, static_cast<std::int64_t>(values.size()) / count}, Device::cpu(1));
  return dataset;
}

/// The numbers of these cells, for the encoder of their graph.
data::Dataset nodes_of(const Cells& cells, std::span<const std::int64_t> rows) {
  data::Dataset dataset = labelled(cells.regions, cells.region_count, rows);
  const std::vector<std::int32_t> numbers(rows.begin(), rows.end());
  dataset.inputs = Tensor::from(numbers, {static_cast<std::int64_t>(rows.size()), 1}, Device::cpu(1));
  dataset.vocabulary = cells.count;
  return dataset;
}

transfer::TrainingOptions training_of(std::int64_t rows, const Steps& steps, std::uint64_t seed,
                                      const RunOptions& options) {
  transfer::TrainingOptions training;
  training.batch_size = std::min(steps.batch, rows);
  const std::int64_t batches = (rows + training.batch_size - 1) / training.batch_size;
  training.epochs = std::max<std::int64_t>(1, (steps.count + batches / 2) / batches);
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
  transfer::train(*made, train, data::Normalization::none, training_of(train.size(), of_source, seed, options));
  return transfer::FrozenSource(std::move(made), data::InputNormalization(data::Normalization::none), "cell types");
}

struct Encoder {
  const char* name;
  std::vector<float> Cells::*columns;  ///< null: it is that of the graph
};
constexpr Encoder encoders[] = {{"places", &Cells::places}, {"the graph", nullptr}};
constexpr const char* on_all = "scratch on all";

std::string setting_name(const Encoder& encoder, std::int64_t labels) {
  return fmt::format("{} labels, h sees {}", labels, encoder.name);
}
std::string score_of(const Encoder& encoder, std::int64_t labels, const std::string& strategy) {
  return setting_name(encoder, labels) + ": " + strategy;
}

/// What scratch makes of places and expression together.
void add_scratch_on_all(Scores& scores, const Encoder& encoder, const Cells& cells, Target target,
                        std::span<const std::int64_t> rows, std::span<const std::int64_t> test_rows) {
  const auto part = [&](std::span<const std::int64_t> which) {
    return dataset_of({&(cells.*encoder.columns), &cells.expression}, cells.regions, cells.region_count, which);
  };
  target.train = part(rows);
  target.test = part(test_rows);
  Scores both;
  add_scores(both, "", {"scratch"}, {}, target, true);
  const std::string name = score_of(encoder, static_cast<std::int64_t>(rows.size()), on_all);
  scores[name] = both.at("scratch");
  scores[name + ", F1"] = both.at("scratch, F1");
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
    const bool graph = encoder.columns == nullptr;
    const auto part = [&](std::span<const std::int64_t> which) {
      return graph ? nodes_of(cells, which)
                   : dataset_of({&(cells.*encoder.columns)}, cells.regions, cells.region_count, which);
    };
    Target target{.train = part(rows),
                  .test = part(test_rows),
                  .training = training_of(labels, graph ? of_graph : of_columns, seed, options)};
    target.strategy.model = graph ? cells.graph + ":" + graph_widths : std::string("mlp:") + network;
    target.strategy.device = Device::cpu(1).separate();
    const auto source = transfer::FrozenSource::of_matrices(
        "expression", {{&target.train, train_features}, {&target.test, test_features}});
    add_scores(scores, score_of(encoder, labels, ""),
               {"scratch", "probe", "adapter", "refine", "refine:balance", "safe"}, {source}, target, true);
    // The graph's nodes have their expression.
    if (!graph) add_scratch_on_all(scores, encoder, cells, std::move(target), rows, test_rows);
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
                                                           {"scratch on h's inputs and expression", on_all}};
  for (const Encoder& encoder : encoders) {
    for (const std::int64_t labels : counts) {
      for (const auto& [name, label] : shown) {
        const std::string score = score_of(encoder, labels, label), scratch = score_of(encoder, labels, "scratch");
        if (!trials.has(score)) continue;
        rows.push_back({setting_name(encoder, labels), name, score, scratch});
        f1_rows.push_back({setting_name(encoder, labels), name, score + ", F1", scratch + ", F1"});
      }
    }
  }
  result.tables.push_back(table_of("Regions of the cortex: accuracy", trials, rows));
  result.tables.push_back(table_of("Regions of the cortex: mean F1 of the classes", trials, f1_rows, "mean F1 x 100"));
  for (const Encoder& encoder : encoders) {
    Figure figure{.name = encoder.columns == nullptr ? "multimodal_graph" : "multimodal_places",
                  .title = std::string("Accuracy by labels, h sees ") + encoder.name,
                  .caption = "osmFISH cells, regions of the cortex. Means over seeds with two standard errors.",
                  .x_label = "labels",
                  .y_label = "test accuracy, %",
                  .logarithmic_x = true};
    for (const auto& [name, label] : shown) {
      if (!trials.has(score_of(encoder, counts.front(), label))) continue;
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
      "source: mlp:128-64 from log(1 + count) of 33 genes to cell types, all cells, 2000 steps; h: mlp:128-64 of "
      "places, "
      "or graph convolutions of widths 64-64 (Kipf and Welling 2017) of the expression of all cells, edges to the 10 "
      "nearest; SGD, rate 0.05, momentum 0.9, weight decay 1e-4, 1500 steps of 32 cells, with the graph 300 of 256";
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
