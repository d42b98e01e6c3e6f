// Time-Cat on real images: narrow networks pretrained on CIFAR-10, frozen, and probed on CIFAR-100.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "rtl/core/random.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/solvers/ridge_path.hpp"
#include "rtl/transfer/source.hpp"
#include "rtl/transfer/statistics.hpp"
#include "rtl/transfer/training.hpp"
#include "studies/draws.hpp"
#include "studies/ensemble/budget.hpp"
#include "studies/ensemble/parts.hpp"

namespace rtl::studies::ensemble {
namespace {

using transfer::FrozenSource;

/// As many features as five narrow ones, and about as many parameters.
constexpr const char *narrow = "8-16-16-64", *wide = "18-36-36-320";
constexpr int members = 5;

/// What is probed; the order of the results.
enum Kind : std::uint8_t { one, two, four, five, wide_one, untrained, one_short, same_seed, kind_count };
constexpr std::array<const char*, kind_count> kind_names = {
    "CAT1, T",     "CAT2, T/2 each", "CAT4, T/4 each",         "CAT5, T/5 each", "one, 5 times wider, T",
    "5 untrained", "CAT1, T/5",      "5 of one seed, T/5 each"};
enum Probe : std::uint8_t { plain, batch_norm, probe_count };
constexpr std::array<const char*, probe_count> probe_names = {"plain", "with batch norm"};

struct Images {
  data::TrainTest source, target;
  int epochs;  ///< T
};

struct SeedResult {
  std::array<double, kind_count> source{};
  std::array<std::array<double, kind_count>, probe_count> target{};
};

Json to_json(const SeedResult& result) { return {{"source", result.source}, {"target", result.target}}; }
SeedResult result_from(const Json& json) { return {json.at("source"), json.at("target")}; }

/// Share of rows whose greatest value is in the label's column.
template <typename T>
double accuracy(const Tensor& scores, const Tensor& labels) {
  const std::vector<T> values = scores.to_vector<T>();
  const std::vector<std::int32_t> classes = labels.to_vector<std::int32_t>();
  const std::int64_t columns = scores.extent(1);
  std::int64_t right = 0;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const T* row = values.data() + static_cast<std::int64_t>(i) * columns;
    right += std::max_element(row, row + columns) - row == classes[i] ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(classes.size());
}

Tensor one_hot(const data::Dataset& samples) {
  const std::vector<std::int32_t> labels = samples.labels.to_vector<std::int32_t>();
  std::vector<float> columns(labels.size() * static_cast<std::size_t>(samples.classes));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    columns[i * static_cast<std::size_t>(samples.classes) + static_cast<std::size_t>(labels[i])] = 1;
  }
  return Tensor::from(columns, {samples.size(), samples.classes}, Device::cpu());
}

/// Features of all sources side by side, f32 [N, sum of their features].
Tensor side_by_side(const std::vector<FrozenSource>& sources, const data::Dataset& samples) {
  std::int64_t columns = 0, first = 0;
  for (const FrozenSource& source : sources) columns += source.feature_count();
  Tensor all({samples.size(), columns}, DType::f32, Device::cpu());
  for (const FrozenSource& source : sources) {
    const Tensor block = source.features(samples);
    for (std::int64_t i = 0; i < samples.size(); ++i) {
      std::copy_n(block.data_as<float>() + i * block.extent(1), block.extent(1),
                  all.data_as<float>() + i * columns + first);
    }
    first += block.extent(1);
  }
  return all;
}

/// By the training rows' means and variances, as a batch norm in front of the probe does it.
void standardise(Tensor& training, Tensor& test) {
  const std::int64_t columns = training.extent(1);
  for (std::int64_t j = 0; j < columns; ++j) {
    double sum = 0, squares = 0;
    const float* x = training.data_as<float>() + j;
    const auto rows = static_cast<double>(training.extent(0));
    for (std::int64_t i = 0; i < training.extent(0); ++i) sum += x[i * columns];
    const double mean = sum / rows;
    for (std::int64_t i = 0; i < training.extent(0); ++i) squares += (x[i * columns] - mean) * (x[i * columns] - mean);
    const double factor = 1 / std::sqrt(squares / rows + 1e-5);
    for (Tensor* table : {&training, &test}) {
      float* values = table->data_as<float>() + j;
      for (std::int64_t i = 0; i < table->extent(0); ++i) {
        values[i * columns] = static_cast<float>((values[i * columns] - mean) * factor);
      }
    }
  }
}

/// Test accuracy of ridge regression on one column a class, the penalty by leave-one-out.
double probe(const Tensor& training, const Tensor& classes, const Tensor& test, const Tensor& labels,
             const Device& device) {
  const solvers::RidgePath path(device, training, classes, solvers::logarithmic_penalties(1e-6, 1e4, 21));
  return accuracy<double>(path.predict(test, path.best_penalty()), labels);
}

class Replicate {
 public:
  Replicate(const Images& images, std::uint64_t seed, const RunOptions& options)
      : images_(images),
        options_(options),
        seed_(seed),
        device_(Device::cpu(1).separate()),
        classes_(one_hot(images.target.train)) {}

  SeedResult run() {
    const int epochs = images_.epochs;
    std::vector<FrozenSource> fresh, halves, quarters, fifths;
    for (int k = 0; k < members; ++k) {
      fresh.push_back(source(narrow, k, {}).front());
      std::vector<int> stops = {member_steps(epochs, 5)};
      if (k < 4) stops.push_back(member_steps(epochs, 4));
      if (k < 2) stops.push_back(member_steps(epochs, 2));
      if (k < 1) stops.push_back(epochs);
      const std::vector<FrozenSource> stages = source(narrow, k, stops);
      fifths.push_back(stages[0]);
      if (k < 4) quarters.push_back(stages[1]);
      if (k < 2) halves.push_back(stages[2]);
      if (k < 1) judge(one, {stages[3]});
    }
    judge(two, halves);
    judge(four, quarters);
    judge(five, fifths);
    judge(untrained, fresh);
    judge(one_short, {fifths[0]});
    judge(same_seed, std::vector<FrozenSource>(members, fifths[0]));
    judge(wide_one, source(wide, members, {epochs}));
    return result_;
  }

 private:
  /// A network of this width and member, as it is after so many epochs (ascending, one source each); without any,
  /// untrained.
  std::vector<FrozenSource> source(const char* widths, int member, const std::vector<int>& stops) {
    const data::Dataset& samples = images_.source.train;
    const std::uint64_t seed = mix(seed_, static_cast<std::uint64_t>(member));
    const auto network = layers::make_network(
        {.name = "paper_cnn", .variant = widths, .input = samples.sample_shape(), .classes = samples.classes}, device_,
        seed);
    std::vector<FrozenSource> stages;
    const auto store_stage = [&] { stages.emplace_back(layers::clone(*network, device_), data::Normalization::cifar); };
    if (stops.empty()) {
      store_stage();
      return stages;
    }
    transfer::TrainingOptions training;
    training.optimizer = transfer::OptimizerKind::adam;
    training.learning_rate = 1e-3;
    training.epochs = stops.back();
    training.seed = seed;
    training.progress = [&](const transfer::Progress& progress) {
      for (const int stop : stops) {
        if (stop == progress.epoch) store_stage();
      }
    };
    training.stop = options_.stop;
    transfer::train(*network, samples, data::Normalization::cifar, training);
    options_.check_stop();
    return stages;
  }

  void judge(Kind kind, const std::vector<FrozenSource>& sources) {
    for (const FrozenSource& one_source : sources) {
      result_.source[kind] += accuracy<float>(one_source.logits(images_.source.test), images_.source.test.labels) /
                              static_cast<double>(sources.size());
    }
    Tensor training = side_by_side(sources, images_.target.train), test = side_by_side(sources, images_.target.test);
    const Tensor& labels = images_.target.test.labels;
    result_.target[plain][kind] = probe(training, classes_, test, labels, device_);
    standardise(training, test);
    result_.target[batch_norm][kind] = probe(training, classes_, test, labels, device_);
  }

  const Images& images_;
  const RunOptions& options_;
  std::uint64_t seed_;
  Device device_;
  Tensor classes_;
  SeedResult result_;
};

Images load_images(const std::string& folder, const RunOptions& options) {
  const Device host = Device::cpu();
  const std::string limit = options.full() ? "" : "?limit=600";
  return {
      data::load("cifar10:" + folder + "/images/cifar10" + limit, host),
      data::load("cifar100:" + folder + "/images/cifar100?labels=fine" + (options.full() ? "" : "&limit=2000"), host),
      options.full() ? 20 : 10};
}

std::vector<SeedResult> run_seeds(const Images& images, int seeds, const Store& store, const RunOptions& options) {
  io::Hash64 content;
  for (const data::TrainTest* task : {&images.source, &images.target}) {
    content.add(task->train.input_hash()).add(task->test.input_hash());
  }
  const Store::Facts facts = {{"seed", std::to_string(options.seed)},
                              {"epochs", std::to_string(images.epochs)},
                              transfer::detail::content_fact("images", content.value(), "CIFAR-10 and CIFAR-100")};
  return simulate_draws(
      seeds,
      [&](std::int64_t i) {
        options.check_stop();
        return store.find_or_run(fmt::format("networks_{}.json", i), facts, result_from, to_json, [&] {
          return Replicate(images, options.seed * 1'000'000 + static_cast<std::uint64_t>(i), options).run();
        });
      },
      [&](double fraction) { options.progress(fraction, "networks"); }, 2);
}

transfer::Interval difference(const std::vector<SeedResult>& results, Probe by, Kind better, Kind worse) {
  std::vector<double> points;
  for (const SeedResult& result : results) {
    points.push_back(100 * (result.target[by][better] - result.target[by][worse]));
  }
  return transfer::t_interval(points, .95, -100, 100);
}

std::string text(const transfer::Interval& interval) {
  return fmt::format("{:+.2f} ({:+.2f} to {:+.2f})", interval.mean, interval.low, interval.high);
}

TextTable table_of(const std::vector<SeedResult>& results) {
  TextTable table{.title = "CIFAR-10 to CIFAR-100",
                  .header = {"networks", "source", "target, plain", "minus CAT1", "target, batch norm", "minus CAT1"}};
  const auto mean = [&](const auto& value) {
    std::vector<double> values;
    for (const SeedResult& result : results) values.push_back(100 * value(result));
    return fmt::format("{:.1f}", transfer::summarize(values).mean);
  };
  for (std::size_t k = 0; k < kind_count; ++k) {
    const auto kind = static_cast<Kind>(k);
    std::vector<std::string> row = {kind_names[k], mean([&](const SeedResult& result) { return result.source[k]; })};
    for (const Probe by : {plain, batch_norm}) {
      row.push_back(mean([&](const SeedResult& result) { return result.target[by][k]; }));
      row.push_back(kind == one ? "" : text(difference(results, by, kind, one)));
    }
    table.rows.push_back(row);
  }
  return table;
}

void claim(Reproduction& result, const std::vector<SeedResult>& results, const RunOptions& options) {
  for (const Probe by : {plain, batch_norm}) {
    const auto claim_low = [&](Kind better, Kind worse) {
      result.claims.push_back(
          {fmt::format("CIFAR-10 to CIFAR-100, {}: {} minus {}, lower limit of its 95 % interval, points",
                       probe_names[by], kind_names[better], kind_names[worse]),
           0, difference(results, by, better, worse).low, 0, Relation::at_least});
    };
    // Copies of one member add nothing but a penalty between those that are tried.
    result.claims.push_back({fmt::format("CIFAR-10 to CIFAR-100, {}: {} minus {}, points", probe_names[by],
                                         kind_names[same_seed], kind_names[one_short]),
                             0, difference(results, by, same_seed, one_short).mean, 1, Relation::at_most});
    if (!options.full()) continue;  // a few hundred images and two seeds say no more
    claim_low(four, one);
    claim_low(five, one);
    claim_low(five, untrained);
    claim_low(five, wide_one);
  }
}

}  // namespace

void networks(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const Images images = load_images(runs.data, options);
  const int seeds = options.full() ? 4 : 2;
  const std::vector<SeedResult> results = run_seeds(images, seeds, runs.store(options), options);
  result.protocol.emplace_back(
      "networks",
      fmt::format("paper_cnn:{} (wide: {}), {} images of CIFAR-10, T = {} epochs of Adam, rate 0.001, "
                  "batches of 64; ridge on {} images of CIFAR-100, penalty by leave-one-out; {} seeds",
                  narrow, wide, images.source.train.size(), images.epochs, images.target.train.size(), seeds));
  claim(result, results, options);
  result.tables.push_back(table_of(results));
  Json list = Json::array();
  for (const SeedResult& one_seed : results) list.push_back(to_json(one_seed));
  result.facts["networks"] = {{"kinds", kind_names}, {"probes", probe_names}, {"seeds", list}};
}

}  // namespace rtl::studies::ensemble
