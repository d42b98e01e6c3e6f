// Ridge regression on the source's frozen features, with its penalty by exact leave-one-out: a probe in closed form.
#include "rtl/kernels/pointwise.hpp"
#include "rtl/solvers/ridge_path.hpp"
#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  double lowest_penalty = 1e-6;
  double highest_penalty = 1e4;
  std::int64_t penalties = 41;

  void visit(OptionVisitor& option) {
    option("lowest_penalty", lowest_penalty, Range::above(0),
           "of ridge regression, per sample, on standardised features");
    option("highest_penalty", highest_penalty, Range::above(0), "the same");
    option("penalties", penalties, Range::between(1, 1000), "how many are tried, evenly spaced in their logarithm");
  }
};

/// One column a class, 1 for samples of it, or the standardised targets: f32 [N, outputs].
Tensor regressed(const FitContext& context) {
  const data::Dataset& train = context.train();
  const Task& task = context.task();
  if (task.regression) {
    return Tensor::from(standardized_targets(task, train), {train.size(), task.outputs}, context.device());
  }
  const std::vector<std::int32_t> labels = train.labels.to_vector<std::int32_t>();
  std::vector<float> columns(labels.size() * static_cast<std::size_t>(task.outputs));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    columns[i * static_cast<std::size_t>(task.outputs) + static_cast<std::size_t>(labels[i])] = 1;
  }
  return Tensor::from(columns, {train.size(), task.outputs}, context.device());
}

Recipe fit(FitContext& context, Options options) {
  FitContext::Blocks given = context.blocks(FeatureScaling::standardize, 1);
  const Tensor y = regressed(context);
  const solvers::RidgePath path(
      context.device(), given.features.front(), y,
      solvers::logarithmic_penalties(options.lowest_penalty, options.highest_penalty, options.penalties));
  const solvers::RidgeFit best = path.fit(path.best_penalty());
  const auto narrow = [&](ConstView values, const Shape& shape) {
    Tensor contiguous(shape, DType::f64, context.device());
    kernels::unary(context.device(), kernels::UnaryOp::copy, values, contiguous);
    Tensor result(shape, DType::f32, context.device());
    kernels::cast(context.device(), contiguous, result);
    return result;
  };
  const std::int64_t columns = best.coefficients.extent(0), outputs = context.task().outputs;
  co_return std::make_unique<FusedHead>(nullptr, data::InputNormalization(), std::move(given.blocks),
                                        narrow(best.coefficients.view().permuted({1, 0}), {outputs, columns}),
                                        narrow(best.intercept, {outputs}));
}

}  // namespace

const Strategy& ridge_probe() {
  static const StrategyOf<Options> strategy(
      {.name = "ridge-probe",
       .summary = "ridge regression on the source's frozen features, its penalty by exact leave-one-out",
       .reference = "Hoerl and Kennard 1970; Kornblith, Shlens and Le 2019, linear evaluation",
       .uses_features = true,
       .trains = false},
      fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes
