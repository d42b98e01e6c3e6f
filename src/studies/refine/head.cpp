// How deep the head on h and the frozen features may be: the ablation of the paper's code.
#include <fmt/format.h>

#include "studies/refine/deep_head.hpp"
#include "studies/refine/images.hpp"
#include "studies/refine/parts.hpp"

namespace rtl::studies::refine {
namespace {

/// Five hidden layers in all, h's own being the first; the frozen features enter behind four, three or two of them.
struct Variant {
  const char* name;
  std::size_t before, after;  ///< how many layers
  std::optional<Published> clean, flipped;
};

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = {{"linear", 0, 0, {{65.57, .08}}, {{56.58, .33}}},
                                           {"L1: behind four of five layers", 3, 1, {{65.42, .29}}, {{23.10, 1.47}}},
                                           {"L2: behind three", 2, 2, {{65.40, .16}}, {{24.45, .76}}},
                                           {"L3: behind two", 1, 3, {{65.57, .28}}, {{21.37, .76}}}};
  return all;
}

HeadLayers layers_of(const Variant& variant, const Recipe& recipe) {
  // As wide as h, as the paper's are.
  const std::int64_t width = std::stol(recipe.network.substr(recipe.network.rfind('-') + 1));
  return {std::vector<std::int64_t>(variant.before, width), std::vector<std::int64_t>(variant.after, width)};
}

std::string source_name(double flips) { return fmt::format("flips {:g}", flips); }
std::string score_of(const std::string& source, const Variant& variant) { return source + ": " + variant.name; }
constexpr const char* alone = "no source";

/// Without a source: a linear head, and one of five layers.
Scores scores_alone(const Division& division, const data::Dataset& test, const Recipe& recipe, std::uint64_t seed,
                    const RunOptions& options) {
  Scores scores;
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    const Target target = target_of(division.target.clone(), test, recipe, seed, options);
    scores[score_of(alone, variants()[i])] = score_deep_head(layers_of(variants()[i], recipe), true, {}, {}, target);
  }
  return scores;
}

Scores scores_beside(double flips, const Division& division, const data::Dataset& test, const Recipe& recipe,
                     std::uint64_t seed, const RunOptions& options) {
  transfer::TrainingOptions training = training_for(recipe, recipe.source_epochs, seed, options);
  training.label_flips = flips;
  training.flip_each_epoch = true;
  const transfer::FrozenSource source = train_source(division.source, recipe, source_name(flips), training);
  const Tensor train_features = source.features(division.target), test_features = source.features(test);
  Scores scores;
  for (const Variant& variant : variants()) {
    const Target target = target_of(division.target.clone(), test, recipe, seed, options);
    scores[score_of(source_name(flips), variant)] =
        score_deep_head(layers_of(variant, recipe), true, train_features, test_features, target);
  }
  return scores;
}

}  // namespace

void head(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const data::TrainTest images = load_cifar(runs, 10);
  const Recipe recipe = recipe_for(images.train.size(), options);
  result.protocol.emplace_back("head", recipe.text() + "; hidden layers with ReLU and dropout 0.5, as wide as h");
  std::vector<Piece> pieces = {{alone, [&](std::uint64_t seed) {
                                  return scores_alone(divide(images.train, recipe, seed), images.test, recipe, seed,
                                                      options);
                                }}};
  for (const double flips : {0.0, .8}) {
    pieces.push_back({source_name(flips), [&, flips](std::uint64_t seed) {
                        return scores_beside(flips, divide(images.train, recipe, seed), images.test, recipe, seed,
                                             options);
                      }});
  }
  const Trials trials = run_trials("head", pieces, facts_of({&images}, recipe.text()), runs, options);
  const std::string scratch = score_of(alone, variants()[0]), deep_scratch = score_of(alone, variants()[1]);
  std::vector<Row> rows = {{alone, "linear", scratch, scratch}, {alone, "five layers", deep_scratch, scratch}};
  for (const double flips : {0.0, .8}) {
    for (const Variant& variant : variants()) {
      rows.push_back({source_name(flips), variant.name, score_of(source_name(flips), variant), scratch,
                      flips == 0 ? variant.clean : variant.flipped,
                      Published{flips == 0 ? 56.05 : 56.57, flips == 0 ? .53 : .64}});
    }
  }
  result.tables.push_back(table_of("CIFAR-10: depth of the head", trials, rows));
  result.facts["head"] = to_json(trials);
  for (std::size_t i = 1; i < variants().size(); ++i) {
    if (!options.full()) break;
    claim_above(result, fmt::format("80 % flips: linear head minus {}", variants()[i].name),
                trials.difference(score_of(source_name(.8), variants()[0]), score_of(source_name(.8), variants()[i])));
    claim_no_worse(result, fmt::format("no flips: {} minus the linear head", variants()[i].name),
                   trials.difference(score_of(source_name(0), variants()[i]), score_of(source_name(0), variants()[0])));
  }
  claim_no_worse(result, "80 % flips: linear head minus L1",
                 trials.difference(score_of(source_name(.8), variants()[0]), score_of(source_name(.8), variants()[1])));
  if (!options.full()) return;  // a few hundred images and three seeds say no more
  claim_no_worse(result, "80 % flips: linear head minus no source",
                 trials.difference(score_of(source_name(.8), variants()[0]), scratch));
}

}  // namespace rtl::studies::refine
