#include "studies/refine/stress.hpp"

#include <fmt/format.h>

namespace rtl::studies::refine {

const std::vector<Method>& methods() {
  static const std::vector<Method> all = {{"NoTrans", "scratch"},
                                          {"LinearProbe", "probe:head_start=auto:probe_dropout=0.5"},
                                          {"Adapter", "adapter:head_start=auto"},
                                          {"Distillation", "distill"},
                                          {"full fine-tuning", "fine-tune:head_start=auto"},
                                          {"REFINE", "refine"},
                                          {"REFINE, balanced", "refine:balance"}};
  return all;
}

std::string score_name(const std::string& source, const std::string& label) { return source + ": " + label; }

void add_table(Reproduction& result, const std::string& part, const std::vector<Stressed>& sources,
               const Trials& trials) {
  std::vector<Row> rows;
  for (const Stressed& source : sources) {
    rows.push_back({source.name, "the source itself", score_name(source.name, "source")});
    for (std::size_t i = 0; i < methods().size(); ++i) {
      const Method& method = methods()[i];
      Row row{source.name, method.name, i == 0 ? "scratch" : score_name(source.name, method.label)};
      if (!trials.has(row.score)) continue;
      if (i < source.published.size()) {
        row.published = source.published[i];
        row.published_scratch = source.published[0];
      }
      rows.push_back(row);
    }
  }
  result.tables.push_back(table_of("CIFAR-10: " + part, trials, rows));
  result.facts[part] = to_json(trials);
}

Trials run_stressed(Reproduction& result, const std::string& part, const std::vector<Stressed>& sources,
                    const Runs& runs, const RunOptions& options) {
  const data::TrainTest images = load_cifar(runs, 10);
  const Recipe recipe = recipe_for(images.train.size(), options);
  result.protocol.emplace_back(part, recipe.text());
  std::vector<Piece> pieces = {
      {"scratch", [&](std::uint64_t seed) {
         Scores scores;
         add_scores(scores, "", {"scratch"}, {},
                    target_of(divide(images.train, recipe, seed).target, images.test, recipe, seed, options));
         return scores;
       }}};
  for (const Stressed& source : sources) {
    pieces.push_back({source.name, [&](std::uint64_t seed) {
                        Division division = divide(images.train, recipe, seed);
                        transfer::TrainingOptions training = training_for(recipe, recipe.source_epochs, seed, options);
                        source.change(training);
                        const transfer::FrozenSource frozen =
                            train_source(source.images(division.source, seed), recipe, source.name, training);
                        const std::string prefix = score_name(source.name, "");
                        Scores scores = {{prefix + "source", source_accuracy(frozen, images.test)}};
                        std::vector<std::string> labels;
                        for (std::size_t i = 1; i < methods().size(); ++i) labels.emplace_back(methods()[i].label);
                        add_scores(scores, prefix, labels, {frozen},
                                   target_of(std::move(division.target), images.test, recipe, seed, options));
                        return scores;
                      }});
  }
  const Trials trials = run_trials(part, pieces, facts_of({&images}, recipe.text()), runs, options);
  add_table(result, part, sources, trials);
  return trials;
}

}  // namespace rtl::studies::refine
