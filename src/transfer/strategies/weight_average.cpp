// The mean of the weights along one fine-tuning, or of several fine-tuned copies.
#include <algorithm>
#include <cmath>

#include "rtl/core/random.hpp"
#include "rtl/transfer/strategy.hpp"
#include "transfer/running_statistics.hpp"

namespace rtl::transfer::recipes {
namespace {

enum class Of : std::uint8_t { path, copies };

struct Options {
  Of average_of = Of::path;
  double average_from = 0.75;
  double average_rate = 0;
  std::int64_t average_copies = 4;
  HeadStart head_start = HeadStart::fresh;

  void visit(OptionVisitor& option) {
    option("average_of", average_of, {"path", "copies"},
           "ends of the last epochs of one run, or copies that differ in the order of their batches (a model soup)");
    option("average_from", average_from, Range::between(0, 1), "share of the epochs before the averaged ones");
    option("average_rate", average_rate, Range::at_least(0),
           "constant learning rate of the averaged epochs; 0: that of the training");
    option("average_copies", average_copies, Range::between(1, 100), "how many are trained and averaged");
    option(
        "head_start", head_start, head_start_choices(),
        "head to start from: fresh, pretrained (the source's own) or auto (that where the numbers of classes agree)");
  }
};

/// Of parameters, in double.
class Mean {
 public:
  void add(const NetworkPredictor& model) {
    const layers::ModuleState state = model.network().state();
    sums_.resize(state.parameters.size());
    for (std::size_t k = 0; k < sums_.size(); ++k) {
      const std::vector<float> values = state.parameters[k].value().to_vector<float>();
      sums_[k].resize(values.size());
      for (std::size_t i = 0; i < values.size(); ++i) sums_[k][i] += values[i];
    }
    ++count_;
  }
  void write_to(const NetworkPredictor& model) const {
    const layers::ModuleState state = model.network().state();
    for (std::size_t k = 0; k < sums_.size(); ++k) {
      std::vector<float> mean;
      for (const double sum : sums_[k]) mean.push_back(static_cast<float>(sum / count_));
      Tensor& value = state.parameters[k].value();
      copy_bytes(Tensor::from(mean, value.shape(), value.device()), value);
    }
  }

 private:
  std::vector<std::vector<double>> sums_;
  double count_ = 0;
};

Recipe average_path(FitContext& context, Options options) {
  auto model = context.copy_of(context.source(), options.head_start);
  const TrainingData data{&context.train(), model->normalization(), {}};
  const std::int64_t epochs = context.training().epochs;
  TrainingOptions before = context.training();
  before.epochs = std::min(epochs, static_cast<std::int64_t>(std::ceil(options.average_from * double(epochs))));
  co_await context.train(*model, data, before);
  if (before.epochs == epochs) co_return model;
  Mean mean;
  for (std::int64_t epoch = before.epochs; epoch < epochs; ++epoch) {
    TrainingOptions one = context.training();
    one.epochs = 1;
    one.schedule = ScheduleKind::constant;
    one.seed = mix(context.seed(), static_cast<std::uint64_t>(epoch));
    if (options.average_rate > 0) one.learning_rate = options.average_rate;
    co_await context.train(*model, data, one);
    mean.add(*model);
  }
  mean.write_to(*model);
  detail::recompute_statistics(*model, context.train(), context.training().batch_size);
  co_return model;
}

Recipe average_soup(FitContext& context, Options options) {
  std::vector<std::unique_ptr<NetworkPredictor>> copies;
  std::vector<Replica> trainings;
  for (std::int64_t k = 0; k < options.average_copies; ++k) {
    copies.push_back(context.copy_of(context.source(), options.head_start));
    TrainingOptions own = context.training();
    if (k > 0) own.seed = mix(context.seed(), static_cast<std::uint64_t>(k));
    trainings.push_back({copies.back().get(), {&context.train(), copies.back()->normalization(), {}}, own});
  }
  co_await context.train_all(std::move(trainings));
  if (copies.size() == 1) co_return std::move(copies.front());
  Mean mean;
  for (const auto& copy : copies) mean.add(*copy);
  mean.write_to(*copies.front());
  detail::recompute_statistics(*copies.front(), context.train(), context.training().batch_size);
  co_return std::move(copies.front());
}

Recipe fit(FitContext& context, Options options) {
  return options.average_of == Of::path ? average_path(context, options) : average_soup(context, options);
}

}  // namespace

const Strategy& weight_average() {
  static const StrategyOf<Options> strategy(
      {.name = "weight-average",
       .summary = "the mean weights of the last epochs of a fine-tuning, or of several fine-tuned copies",
       .reference = "Izmailov et al. 2018, SWA; Wortsman et al. 2022, model soups",
       .trains_source = true},
      fit, [](const Options& options, const std::vector<FrozenSource>&, const data::Dataset&) {
        return options.average_of == Of::copies;  // along a path every epoch would be drawn to its own start
      });
  return strategy;
}

}  // namespace rtl::transfer::recipes
