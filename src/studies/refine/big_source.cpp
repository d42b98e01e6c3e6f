// The paper's own source (BigCNN, 12.5 million weights), trained once for each share of flipped labels, then
// transferred to several subsets of a target: table 2 of the paper in its sizes of networks, on the images there are.
#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>

#include "rtl/core/random.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "studies/cifar.hpp"
#include "studies/draws.hpp"
#include "studies/refine/noise.hpp"
#include "studies/refine/parts.hpp"

namespace rtl::studies::refine {
namespace {

constexpr std::uint64_t division_stream = 0x626967;
constexpr const char* part_name = "big-source";
constexpr double sources_share = .9;  ///< of the part's time

struct Protocol {
  Recipe recipe;
  ImageSize size;
  std::vector<double> levels;  ///< shares of flipped labels
};

/// The paper has 10,000 images for the source and 4,000 for each target; the ratio is kept.
Protocol protocol_for(const Runs& runs, const RunOptions& options) {
  if (options.full()) {
    return {{full_width, 4000, runs.source_epochs, 1600, 30, 64, "paper_big_cnn"}, ImageSize::whole, {0, .8}};
  }
  return {{small, 600, 20, 300, 20, 16}, ImageSize::half, {0, .8}};
}

/// The sources, each kept as a network with a result that names its weights, and as a checkpoint until it is finished.
class BigSources {
 public:
  BigSources(const data::TrainTest& images, const Protocol& protocol, const Runs& runs, const RunOptions& options)
      : protocol_(protocol),
        options_(options),
        store_(runs.store(options)),
        facts_(facts_of({&images}, protocol.recipe.text())) {
    facts_.emplace_back("seed of the study", std::to_string(options.seed));
    const std::vector<std::int64_t> order =
        RandomSequence(options.seed, division_stream).permutation(images.train.size());
    const std::span all(order);
    const std::int64_t count = std::min(protocol.recipe.source_images, images.train.size() / 2);
    images_ = images.train.subset(all.first(static_cast<std::size_t>(count)));
    rest_ = images.train.subset(all.subspan(static_cast<std::size_t>(count)));
  }

  /// The images that no source has seen.
  const data::Dataset& rest() const { return rest_; }

  /// In the order of the levels; trained side by side, a thread each.
  std::vector<transfer::FrozenSource> all() {
    const auto found = simulate_draws(
        static_cast<std::int64_t>(protocol_.levels.size()),
        [&](std::int64_t i) -> std::optional<transfer::FrozenSource> {
          options_.check_stop();
          return source(protocol_.levels[static_cast<std::size_t>(i)]);
        },
        [](double) {});
    std::vector<transfer::FrozenSource> sources;
    sources.reserve(found.size());
    for (const std::optional<transfer::FrozenSource>& one : found) sources.push_back(*one);
    return sources;
  }

 private:
  transfer::FrozenSource source(double level) {
    const Stressed stressed = with_flips(level);
    const std::string stem = fmt::format("{}_{:g}", part_name, level);
    const std::string file = store_.path(stem + ".safetensors");
    return store_.find_or_run(
        "refine_" + stem + ".json", facts_,
        [&](const Json& found) {
          transfer::FrozenSource read(
              layers::load_network(file, Device::cpu(1).separate(), protocol_.recipe.source_model).network,
              data::InputNormalization(data::Normalization::half), stressed.name);
          if (read.fingerprint() != found.at("weights").get<std::uint64_t>()) {
            throw FormatError(file, "has other weights than those of the result beside it");
          }
          return read;
        },
        [](const transfer::FrozenSource& trained) -> Json {
          return {{"weights", trained.fingerprint()}};
        },
        [&] {
          transfer::FrozenSource trained =
              train_source(images_, protocol_.recipe, stressed.name, training_for_source(stressed, stem));
          if (store_.keeps()) {
            layers::save_network(file, *trained.copy_network(trained.device()), trained.normalization());
          }
          return trained;
        });
  }

  transfer::TrainingOptions training_for_source(const Stressed& stressed, const std::string& stem) {
    transfer::TrainingOptions training =
        training_for(protocol_.recipe, protocol_.recipe.source_epochs, options_.seed, options_);
    stressed.change(training);
    if (store_.keeps()) {
      training.checkpoint = store_.path(stem + ".unfinished");
      training.checkpoint_interval = 1;
      training.resume = true;
    }
    training.notice = options_.note;
    training.progress = [this](const transfer::Progress& progress) { tell(progress); };
    return training;
  }

  void tell(const transfer::Progress& progress) {
    const std::lock_guard lock(mutex_);
    ++epochs_done_;
    const auto epochs = static_cast<double>(progress.epochs) * static_cast<double>(protocol_.levels.size());
    options_.progress(sources_share * static_cast<double>(epochs_done_) / epochs,
                      fmt::format("{}: epoch {} of {}", part_name, progress.epoch, progress.epochs));
  }

  const Protocol& protocol_;
  const RunOptions& options_;
  Store store_;
  Store::Facts facts_;
  data::Dataset images_, rest_;
  std::mutex mutex_;
  std::int64_t epochs_done_ = 0;
};

/// The strategies that leave the source's weights alone: to train 12.5 million takes as long as all the rest.
std::vector<std::string> on_frozen_source() {
  std::vector<std::string> labels;
  for (std::size_t i = 1; i < methods().size(); ++i) {
    if (!std::string_view(methods()[i].label).starts_with("fine-tune")) labels.emplace_back(methods()[i].label);
  }
  return labels;
}

/// Scratch and, for each source, what strategies make of it, on a share of the images that seed draws.
std::vector<Piece> pieces_for(const Protocol& protocol, const std::vector<transfer::FrozenSource>& sources,
                              const data::Dataset& rest, const data::Dataset& test, const RunOptions& options,
                              transfer::FeatureCache& cache) {
  const auto target = [&](std::uint64_t seed) {
    const std::int64_t images = std::min(protocol.recipe.target_images, rest.size());
    Target drawn_target = target_of(drawn(rest, images, seed), test, protocol.recipe, seed, options);
    drawn_target.strategy.cache = &cache;
    return drawn_target;
  };
  std::vector<Piece> pieces = {{"scratch", [target](std::uint64_t seed) {
                                  Scores scores;
                                  add_scores(scores, "", {"scratch"}, {}, target(seed));
                                  return scores;
                                }}};
  for (const transfer::FrozenSource& source : sources) {
    pieces.push_back({source.name(), [target, &source](std::uint64_t seed) {
                        Scores scores;
                        const Target all = target(seed);
                        scores[score_name(source.name(), "source")] = source_accuracy(source, all.test);
                        add_scores(scores, score_name(source.name(), ""), on_frozen_source(), {source}, all);
                        return scores;
                      }});
  }
  return pieces;
}

}  // namespace

void big_source(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const Protocol protocol = protocol_for(runs, options);
  const data::TrainTest images = studies::load_cifar(runs.data, 10, protocol.size);
  BigSources sources(images, protocol, runs, options);
  const std::vector<transfer::FrozenSource> trained = sources.all();
  Store::Facts facts = facts_of({&images}, protocol.recipe.text());
  for (const transfer::FrozenSource& source : trained) {
    facts.emplace_back("weights of " + source.name(), fmt::format("{:016x}", source.fingerprint()));
  }
  RunOptions rest = options;
  rest.progress = [&options](double fraction, const std::string& text) {
    options.progress(sources_share + (1 - sources_share) * fraction, text);
  };
  transfer::FeatureCache cache;
  const Trials trials = run_trials(
      part_name, pieces_for(protocol, trained, sources.rest(), images.test, options, cache), facts, runs, rest);
  std::vector<Stressed> rows;
  for (const double level : protocol.levels) rows.push_back(with_flips(level));
  result.protocol.emplace_back(part_name, protocol.recipe.text() + "; one source for all seeds");
  add_table(result, part_name, rows, trials);
  const std::string prefix = fmt::format("{}, ", part_name);
  claim_useless(result, prefix, trials);
  if (options.full()) claim_flips(result, prefix, trials, protocol.levels);
}

}  // namespace rtl::studies::refine
