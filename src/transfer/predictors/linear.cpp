#include "transfer/linear_model.hpp"

#include <fmt/format.h>

#include <utility>

#include "rtl/transfer/archive.hpp"
#include "solvers/arguments.hpp"
#include "transfer/predictor_kinds.hpp"

namespace rtl::transfer {

namespace detail {
namespace {

Tensor on_host(const Tensor& values, int rank) {
  if (values.dtype() != DType::f64) {
    throw DTypeError(fmt::format("LinearModel: the coefficients are {}; f64 is needed", name_of(values.dtype())));
  }
  if (values.rank() != rank || values.count() == 0) {
    throw ShapeError(fmt::format("LinearModel: {}; coefficients are [features, outputs], an intercept [outputs]",
                                 values.shape().to_string()));
  }
  return values.to(Device::cpu(1).separate());
}

}  // namespace

LinearModel::LinearModel(const Tensor& coefficients, const Tensor& intercept)
    : coefficients_{"coefficients", graph::Storage(on_host(coefficients, 2))},
      intercept_{"intercept", graph::Storage(on_host(intercept, 1))} {
  if (coefficients.extent(1) == intercept.count()) return;
  throw ShapeError(fmt::format("LinearModel: coefficients {} and an intercept of {}", coefficients.shape().to_string(),
                               intercept.count()));
}

Tensor LinearModel::predict(const data::Dataset& samples, const FeatureLookup& /*features*/) {
  const Device device = samples.device(), host = Device::cpu(1).separate();
  const Tensor x = (samples.is_sparse() ? samples.sparse.dense("a linear model") : samples.inputs.clone()).to(host);
  const Tensor outputs = solvers::arguments::predict("LinearModel", host, x, coefficients_.value(), intercept_.value());
  const std::vector<double> values = outputs.to_vector<double>();
  return Tensor::from(std::vector<float>(values.begin(), values.end()), outputs.shape(), device);
}

layers::ModuleState LinearModel::state() {
  layers::ModuleState state;
  for (layers::Parameter* own : {&coefficients_, &intercept_}) state.parameters.push_back({own->name, own});
  return state;
}

void LinearModel::write(ArchiveWriter& archive) {
  archive.integer("features", coefficients_.value().extent(0));
  archive.integer("outputs", outputs_count());
  const std::int64_t count = coefficients_.value().count();
  archive.store(coefficients_.name, coefficients_.value().clone().reshaped({count}));
  archive.tensor(intercept_.name, intercept_.value());
}

}  // namespace detail

namespace predictors {
namespace {

std::unique_ptr<Predictor> read_linear(const ArchiveReader& archive) {
  const std::vector<double> coefficients = archive.numbers("coefficients"), intercept = archive.numbers("intercept");
  const std::int64_t features = archive.integer("features"), outputs = archive.integer("outputs");
  const bool fits = features > 0 && outputs > 0 && std::cmp_equal(intercept.size(), outputs) &&
                    coefficients.size() % intercept.size() == 0 &&
                    std::cmp_equal(coefficients.size() / intercept.size(), features);
  if (!fits) {
    archive.fail(fmt::format("{} coefficients and an intercept of {} are not those of {} features and {} outputs",
                             coefficients.size(), intercept.size(), features, outputs));
  }
  const Device host = Device::cpu(1).separate();
  return std::make_unique<detail::LinearModel>(Tensor::from(coefficients, {features, outputs}, host),
                                               Tensor::from(intercept, {outputs}, host));
}

}  // namespace

const PredictorKind& linear() {
  static const PredictorKind kind{"linear", read_linear};
  return kind;
}

}  // namespace predictors
}  // namespace rtl::transfer
