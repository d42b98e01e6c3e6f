// How large h is: appendix C.5 of the paper.
#include <fmt/format.h>

#include "studies/refine/images.hpp"
#include "studies/refine/parts.hpp"

namespace rtl::studies::refine {
namespace {

/// Accuracies of the paper's code: scratch and REFINE beside a source with 80 % flips, and with none.
struct Size {
  const char* name;
  Published scratch_flipped, refine_flipped, scratch_clean, refine_clean;
};
constexpr Size sizes[] = {{"h0", {54.18, 1.01}, {53.06, .75}, {53.99, 1.17}, {65.61, .47}},
                          {"h1", {56.89, 1.02}, {56.03, .88}, {56.10, .76}, {66.01, .36}},
                          {"h2", {56.79, 1.23}, {57.43, .33}, {56.91, .73}, {65.70, .36}},
                          {"h3", {57.85, .99}, {57.26, .37}, {57.66, 1.36}, {65.97, .22}},
                          {"h4", {58.61, .65}, {59.38, .45}, {58.26, .63}, {65.69, .53}}};

std::vector<Size> sizes_for(const RunOptions& options) {
  return options.full() ? std::vector<Size>(std::begin(sizes), std::end(sizes)) : std::vector<Size>{sizes[0], sizes[1]};
}

std::string source_name(double flips) { return fmt::format("flips {:g}", flips); }
std::string score_of(const std::string& setting, const char* size) { return setting + ", " + size; }

Scores scores_of(const Size& size, const std::string& setting, const std::vector<transfer::FrozenSource>& sources,
                 Target target) {
  target.strategy.model = std::string("paper_cnn:") + size.name;
  Scores own;
  const std::string label = sources.empty() ? "scratch" : "refine";
  add_scores(own, "", {label}, sources, target);
  return {{score_of(setting, size.name), own.at(label)}};
}

std::vector<Row> rows_of(const std::vector<Size>& all) {
  std::vector<Row> rows;
  for (const Size& size : all)
    rows.push_back({"no source", size.name, score_of("scratch", size.name), score_of("scratch", size.name)});
  for (const double flips : {0.0, .8}) {
    for (const Size& size : all) {
      rows.push_back({source_name(flips), size.name, score_of(source_name(flips), size.name),
                      score_of("scratch", size.name), flips == 0 ? size.refine_clean : size.refine_flipped,
                      flips == 0 ? size.scratch_clean : size.scratch_flipped});
    }
  }
  return rows;
}

Figure figure_of(const Trials& trials, const std::vector<Size>& all) {
  Figure figure{.name = "encoder",
                .title = "Accuracy by the size of h",
                .caption = "CIFAR-10, h0 to h4. Means over seeds with two standard errors.",
                .x_label = "size of h",
                .y_label = "test accuracy, %"};
  for (const std::string& setting : {std::string("scratch"), source_name(0), source_name(.8)}) {
    Series series = Series::points(setting == "scratch" ? setting : "REFINE, " + setting);
    for (std::size_t i = 0; i < all.size(); ++i) {
      series.add(static_cast<double>(i), theory::average(trials.points(score_of(setting, all[i].name))));
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

}  // namespace

void encoder(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const data::TrainTest images = load_cifar(runs, 10);
  const Recipe recipe = recipe_for(images.train.size(), options);
  const std::vector<Size> all = sizes_for(options);
  result.protocol.emplace_back("encoder", recipe.text() + "; h and scratch: paper_cnn:h0 to h4");
  std::vector<Piece> pieces;
  for (const Size& size : all) {
    pieces.push_back({std::string("scratch ") + size.name, [&](std::uint64_t seed) {
                        return scores_of(
                            size, "scratch", {},
                            target_of(divide(images.train, recipe, seed).target, images.test, recipe, seed, options));
                      }});
  }
  for (const double flips : {0.0, .8}) {
    pieces.push_back(
        {source_name(flips), [&, flips](std::uint64_t seed) {
           const Division division = divide(images.train, recipe, seed);
           transfer::TrainingOptions training = training_for(recipe, recipe.source_epochs, seed, options);
           training.label_flips = flips;
           training.flip_each_epoch = true;
           const transfer::FrozenSource source = train_source(division.source, recipe, source_name(flips), training);
           Scores scores;
           for (const Size& size : all) {
             scores.merge(scores_of(size, source_name(flips), {source},
                                    target_of(division.target.clone(), images.test, recipe, seed, options)));
           }
           return scores;
         }});
  }
  const Trials trials = run_trials("encoder", pieces, facts_of({&images}, recipe.text()), runs, options);
  result.tables.push_back(table_of("CIFAR-10: REFINE by the size of h", trials, rows_of(all)));
  result.figures.push_back(figure_of(trials, all));
  result.facts["encoder"] = to_json(trials);
  for (const Size& size : all) {
    const std::string scratch = score_of("scratch", size.name);
    const transfer::Interval clean = trials.difference(score_of(source_name(0), size.name), scratch);
    claim_no_worse(result, fmt::format("no flips, {}: REFINE minus scratch", size.name), clean);
    if (!options.full()) continue;  // a few hundred images and three seeds say no more
    claim_above(result, fmt::format("no flips, {}: REFINE minus scratch", size.name), clean);
    claim_no_worse(result, fmt::format("80 % flips, {}: REFINE minus scratch", size.name),
                   trials.difference(score_of(source_name(.8), size.name), scratch));
  }
}

}  // namespace rtl::studies::refine
