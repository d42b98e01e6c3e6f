// The mean of what models of several sources say, each fitted to the target alone, or of what the sources and a network
// from scratch say.
#include <limits>

#include "rtl/transfer/strategy.hpp"
#include "transfer/members.hpp"

namespace rtl::transfer::recipes {
namespace {

enum class Members : std::uint8_t { probes, copies, own };
enum class Mean : std::uint8_t { logits, probabilities };

struct Options {
  Members member_kind = Members::probes;
  Mean mean_of = Mean::logits;
  FeatureScaling feature_scaling = FeatureScaling::raw;
  double feature_scale = 1;
  HeadStart head_start = HeadStart::fresh;

  void visit(OptionVisitor& option) {
    option(
        "member_kind", member_kind, {"probes", "copies", "own"},
        "linear heads on frozen features; fine-tuned copies; or the sources as they are, with their own heads, and a "
        "network from scratch");
    option("mean_of", mean_of, {"logits", "probabilities"}, "what is averaged; of real targets the predictions");
    option("feature_scaling", feature_scaling, feature_scaling_choices(), "what is done to frozen features of probes");
    option("feature_scale", feature_scale, Range::above(0), "c of balance (features / deviation * c / sqrt(p))");
    option("head_start", head_start, head_start_choices(),
           "head that fine-tuned copies start from: fresh, pretrained (the source's own) or auto");
  }
};

Recipe fit(FitContext& context, Options options) {
  std::vector<std::unique_ptr<FusedHead>> members;
  if (options.member_kind == Members::probes) {
    FitContext::Blocks given = context.blocks(options.feature_scaling, options.feature_scale);
    members = detail::probes_of(context, std::move(given.blocks));
    co_await context.train_all(detail::trainings_of(context, members, given.features));
  } else if (options.member_kind == Members::own) {
    for (const FrozenSource& source : context.sources()) members.push_back(detail::as_it_is(context, source));
    NetworkPredictor scratch(context.new_network(), context.fitted_normalization());
    co_await context.train(scratch, scratch.normalization());
    members.insert(members.begin(), detail::encoder_with_head(scratch));
  } else {
    const auto copies = detail::copies_of_sources(context, options.head_start);
    co_await context.train_all(detail::trainings_of(context, copies));
    for (std::size_t k = 0; k < copies.size(); ++k) {
      const FrozenSource& source = context.sources()[k];
      members.push_back(detail::frozen(*copies[k], source.name(), source.precision()));
    }
  }
  if (options.mean_of == Mean::logits || context.task().regression) co_return detail::mean_of(members);
  std::vector<std::unique_ptr<Predictor>> given(std::make_move_iterator(members.begin()),
                                                std::make_move_iterator(members.end()));
  co_return detail::mean_of(std::move(given), context.task());
}

}  // namespace

const Strategy& logit_ensemble() {
  static const StrategyOf<Options> strategy(
      {.name = "logit-ensemble",
       .summary = "the mean of the outputs of one probe, or fine-tuned copy, for each source, or of the sources' own "
                  "heads and "
                  "scratch",
       .reference = "Hansen and Salamon 1990; Xu et al. 2025, Ensemble",
       .most_sources = std::numeric_limits<std::int64_t>::max(),
       .uses_features = true},
      fit, [](const Options& options, const std::vector<FrozenSource>&, const data::Dataset&) {
        return options.member_kind == Members::copies;
      });
  return strategy;
}

}  // namespace rtl::transfer::recipes
