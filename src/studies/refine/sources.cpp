// One to eight sources, each trained on images of its own, clean or with classes that are taken for each other.
#include <fmt/format.h>

#include <algorithm>

#include "rtl/core/random.hpp"
#include "rtl/data/stress.hpp"
#include "studies/refine/deep_head.hpp"
#include "studies/refine/images.hpp"
#include "studies/refine/parts.hpp"

namespace rtl::studies::refine {
namespace {

constexpr int most_sources = 8;

/// REFINE, Naive and logit ensemble of the paper's code: accuracy in percent, deviation over five slices of the test
/// set of one model.
struct PublishedRow {
  Published refine, naive;
  double ensemble;
};
constexpr PublishedRow clean[most_sources] = {
    {{50.19, 1.49}, {49.61, 1.28}, 51.82}, {{52.05, .86}, {52.20, .62}, 53.71},  {{52.83, .76}, {52.68, 1.00}, 55.44},
    {{53.47, 1.56}, {54.42, 1.58}, 56.15}, {{54.29, 1.24}, {53.44, .54}, 56.38}, {{54.40, 1.12}, {53.57, 1.21}, 56.97},
    {{54.54, 1.07}, {54.28, 1.42}, 57.34}, {{55.68, 1.10}, {55.34, .96}, 57.74}};
constexpr PublishedRow confused[most_sources] = {
    {{48.85, .68}, {44.36, 1.15}, 50.41}, {{49.25, .43}, {46.72, .86}, 50.83}, {{50.61, .46}, {46.36, .64}, 51.10},
    {{50.99, .68}, {47.93, .64}, 50.85},  {{51.85, .76}, {49.17, .39}, 50.34}, {{50.83, .85}, {47.03, .49}, 50.55},
    {{52.03, .76}, {48.40, .61}, 50.76},  {{52.50, .49}, {48.18, .45}, 50.78}};

constexpr Published published_scratch(bool is_confused) {
  return is_confused ? Published{49.30, .96} : Published{48.49, 1.23};
}

const char* name_of(bool is_confused) { return is_confused ? "confused" : "clean"; }
std::string score_of(bool is_confused, int count, const std::string& strategy) {
  return fmt::format("{}, K = {}: {}", name_of(is_confused), count, strategy);
}

/// A ninth of the images for the target and for each source.
Recipe recipe_of(std::int64_t images, const RunOptions& options) {
  const std::int64_t share = images / (most_sources + 1);
  if (options.full()) return {half_width, share, 30, share, 30, 16};
  return {small, std::min<std::int64_t>(share, 300), 20, std::min<std::int64_t>(share, 300), 20, 16};
}

std::vector<int> counts_for(const RunOptions& options) {
  if (options.full()) return {1, 2, 4, 6, most_sources};
  return {1, 3};
}

/// Labels become their partner's, 0-1, 2-3 .., with probability one half, in each of ten copies anew.
data::Dataset with_confusion(const data::Dataset& images, std::uint64_t seed) {
  data::ClassPairs pairs;
  for (std::int32_t label = 0; label + 1 < images.classes; label += 2) pairs.emplace_back(label, label + 1);
  const std::vector<std::int32_t> labels = images.labels.to_vector<std::int32_t>();
  std::vector<data::Dataset> copies;
  for (std::uint64_t copy = 0; copy < confusion_copies; ++copy) {
    copies.push_back(images.clone());
    copies.back().labels =
        Tensor::from(data::confused_labels(labels, pairs, .5, mix(seed, copy)), {images.size()}, Device::cpu(1));
  }
  return joined(copies);
}

class Replicate {
 public:
  Replicate(const data::TrainTest& images, const Recipe& recipe, bool is_confused, std::uint64_t seed,
            const RunOptions& options)
      : images_(images), recipe_(recipe), is_confused_(is_confused), seed_(seed), options_(options) {}

  Scores run() {
    const std::vector<int> counts = counts_for(options_);
    const data::Dataset all =
        drawn(images_.train, recipe_.target_images + counts.back() * recipe_.source_images, seed_);
    const auto rows = [&](std::int64_t first, std::int64_t count) {
      std::vector<std::int64_t> chosen(static_cast<std::size_t>(count));
      for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i] = first + static_cast<std::int64_t>(i);
      return all.subset(chosen);
    };
    Target target = target_of(rows(0, recipe_.target_images), images_.test, recipe_, seed_, options_);
    target.strategy.cache = &cache_;
    for (int k = 0; k < counts.back(); ++k) {
      add_source(rows(recipe_.target_images + k * recipe_.source_images, recipe_.source_images), target, k);
    }
    // The mean of logits, of scratch and of the sources as they are.
    const transfer::Fitted scratch = transfer::fit("scratch", {}, target.train, target.training, target.strategy);
    logits_ = scratch.outputs(target.test).to_vector<float>();
    scores_["scratch"] = scored_logits(target.test);
    for (const int count : counts) {
      for (; added_ < count; ++added_) {
        const std::vector<float> own =
            sources_[static_cast<std::size_t>(added_)].logits(target.test).to_vector<float>();
        for (std::size_t i = 0; i < logits_.size(); ++i) logits_[i] += own[i];
      }
      score(target, count);
    }
    return scores_;
  }

 private:
  void add_source(const data::Dataset& images, const Target& target, int number) {
    const std::uint64_t seed = mix(seed_, static_cast<std::uint64_t>(number));
    transfer::TrainingOptions training = training_for(recipe_, recipe_.source_epochs, seed, options_);
    if (is_confused_) training.epochs /= confusion_copies;
    sources_.push_back(train_source(is_confused_ ? with_confusion(images, seed) : images.clone(), recipe_,
                                    fmt::format("source {}", number + 1), training));
    const double share = 1.0 / counts_for(options_).back();
    scores_[score_of(is_confused_, 0, "sources alone")] += share * source_accuracy(sources_.back(), target.test);
    train_features_.push_back(sources_.back().features(target.train));
    test_features_.push_back(sources_.back().features(target.test));
  }

  void score(const Target& target, int count) {
    const std::vector<transfer::FrozenSource> first(sources_.begin(), sources_.begin() + count);
    add_scores(scores_, score_of(is_confused_, count, ""), {"refine", "concatenate"}, first, target);
    const HeadLayers naive{.before = {}, .after = {256, 256, 128}};
    scores_[score_of(is_confused_, count, "naive")] = score_deep_head(
        naive, false, side_by_side(train_features_, count), side_by_side(test_features_, count), target);
    scores_[score_of(is_confused_, count, "ensemble")] = scored_logits(target.test);
  }

  double scored_logits(const data::Dataset& test) const {
    return transfer::score(Tensor::from(logits_, {test.size(), test.classes}, Device::cpu(1)), test).accuracy;
  }

  /// Of the first sources.
  static Tensor side_by_side(const std::vector<Tensor>& blocks, int count) {
    const std::int64_t rows = blocks.front().extent(0), width = blocks.front().extent(1);
    Tensor all({rows, count * width}, DType::f32, Device::cpu(1));
    for (int k = 0; k < count; ++k) {
      const float* from = blocks[static_cast<std::size_t>(k)].data_as<float>();
      for (std::int64_t i = 0; i < rows; ++i) {
        std::copy_n(from + i * width, width, all.data_as<float>() + (i * count + k) * width);
      }
    }
    return all;
  }

  const data::TrainTest& images_;
  const Recipe& recipe_;
  bool is_confused_;
  std::uint64_t seed_;
  const RunOptions& options_;
  transfer::FeatureCache cache_;
  std::vector<transfer::FrozenSource> sources_;
  std::vector<Tensor> train_features_, test_features_;
  std::vector<float> logits_;  ///< sum of those of scratch and of the first `added_` sources
  int added_ = 0;
  Scores scores_;
};

std::vector<Row> rows_of(const std::vector<int>& counts) {
  std::vector<Row> rows = {{"no source", "NoTrans", "scratch"}};
  for (const bool is_confused : {false, true}) {
    rows.push_back({name_of(is_confused), "a source itself, mean", score_of(is_confused, 0, "sources alone")});
    for (const int count : counts) {
      const PublishedRow& published = (is_confused ? confused : clean)[count - 1];
      const std::string setting = fmt::format("{}, K = {}", name_of(is_confused), count);
      const Published scratch = published_scratch(is_confused);
      rows.push_back({setting, "REFINE", score_of(is_confused, count, "refine"), "scratch", published.refine, scratch});
      rows.push_back(
          {setting, "Naive, an MLP", score_of(is_confused, count, "naive"), "scratch", published.naive, scratch});
      rows.push_back({setting, "Naive, linear", score_of(is_confused, count, "concatenate")});
      rows.push_back({setting, "logit ensemble", score_of(is_confused, count, "ensemble"), "scratch",
                      Published{published.ensemble, 0}, scratch});
    }
  }
  return rows;
}

Figure figure_of(const Trials& trials, const std::vector<int>& counts) {
  Figure figure{.name = "sources",
                .title = "Accuracy by the number of sources",
                .caption = "CIFAR-10. Means over seeds with two standard errors; the line is scratch.",
                .x_label = "sources",
                .y_label = "test accuracy, %"};
  for (const bool is_confused : {false, true}) {
    for (const char* strategy : {"refine", "naive"}) {
      Series series = Series::points(fmt::format("{}, {}", strategy, name_of(is_confused)));
      for (const int count : counts) {
        series.add(count, theory::average(trials.points(score_of(is_confused, count, strategy))));
      }
      figure.series.push_back(std::move(series));
    }
  }
  Series scratch = Series::line("scratch");
  for (const int count : counts) scratch.add(count, trials.summary("scratch").mean);
  figure.series.push_back(std::move(scratch));
  return figure;
}

void claim(Reproduction& result, const Trials& trials, const std::vector<int>& counts, bool full) {
  const int most = counts.back();
  const auto difference = [&](bool is_confused, int count, const char* strategy, const char* other) {
    return trials.difference(score_of(is_confused, count, strategy),
                             other == std::string("scratch") ? other : score_of(is_confused, count, other));
  };
  claim_no_worse(result, fmt::format("{} confused sources: REFINE minus Naive", most),
                 difference(true, most, "refine", "naive"));
  if (!full) return;  // a few hundred images and three seeds say no more
  claim_above(result, fmt::format("{} confused sources: REFINE minus NoTrans", most),
              difference(true, most, "refine", "scratch"));
  claim_above(result, fmt::format("{} confused sources: NoTrans minus Naive", most),
              trials.difference("scratch", score_of(true, most, "naive")));
  claim_above(result, fmt::format("{} clean sources: REFINE minus NoTrans", most),
              difference(false, most, "refine", "scratch"));
  claim_above(result, fmt::format("clean sources: REFINE with {} minus with one", most),
              trials.difference(score_of(false, most, "refine"), score_of(false, 1, "refine")));
  for (const int count : counts) {
    claim_above(result, fmt::format("{} confused sources: REFINE minus Naive", count),
                difference(true, count, "refine", "naive"));
    claim_no_worse(result, fmt::format("{} clean sources: REFINE minus Naive", count),
                   difference(false, count, "refine", "naive"));
    claim_no_worse(result, fmt::format("{} confused sources: REFINE minus NoTrans", count),
                   difference(true, count, "refine", "scratch"));
  }
}

}  // namespace

void sources(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const data::TrainTest images = load_cifar(runs, 10);
  const Recipe recipe = recipe_of(images.train.size(), options);
  const std::vector<int> counts = counts_for(options);
  result.protocol.emplace_back("sources", recipe.text() + "; each source and the target have images of their own");
  std::vector<Piece> pieces;
  for (const bool is_confused : {false, true}) {
    pieces.push_back({name_of(is_confused), [&, is_confused](std::uint64_t seed) {
                        return Replicate(images, recipe, is_confused, seed, options).run();
                      }});
  }
  const Trials trials = run_trials("sources", pieces, facts_of({&images}, recipe.text()), runs, options);
  result.tables.push_back(table_of("CIFAR-10: REFINE by the number of sources", trials, rows_of(counts)));
  result.figures.push_back(figure_of(trials, counts));
  result.facts["sources"] = to_json(trials);
  claim(result, trials, counts, options.full());
}

}  // namespace rtl::studies::refine
