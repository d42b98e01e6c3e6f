// Featurization by descent on what tasks' own validation rows say.
#include <fmt/format.h>

#include <cmath>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/solvers/descend_featurization.hpp"
#include "solvers/dense.hpp"
#include "solvers/domain.hpp"

namespace rtl::solvers {
namespace {

/// Adam, with the usual moments' shares.
class Adam {
 public:
  Adam(std::size_t size, double learning_rate) : mean_(size, 0.0), square_(size, 0.0), learning_rate_(learning_rate) {}

  void step(std::vector<double>& point, const std::vector<double>& gradient) {
    ++steps_;
    const double first = 1 - std::pow(0.9, steps_), second = 1 - std::pow(0.999, steps_);
    for (std::size_t i = 0; i < point.size(); ++i) {
      mean_[i] = 0.9 * mean_[i] + 0.1 * gradient[i];
      square_[i] = 0.999 * square_[i] + 0.001 * gradient[i] * gradient[i];
      point[i] -= learning_rate_ * (mean_[i] / first) / (std::sqrt(square_[i] / second) + 1e-8);
    }
  }

 private:
  std::vector<double> mean_;
  std::vector<double> square_;
  double learning_rate_;
  int steps_ = 0;
};

struct EpisodeData {
  Dense x;
  Dense y;
  Dense validation_x;
  Dense validation_y;
};

EpisodeData copy(const char* call, const Episode& episode, std::int64_t inputs) {
  EpisodeData data{dense_copy(call, "x", episode.x), dense_copy(call, "y", episode.y),
                   dense_copy(call, "validation_x", episode.validation_x),
                   dense_copy(call, "validation_y", episode.validation_y)};
  const auto fits = [inputs](const Dense& x, const Dense& y) {
    return x.columns() == inputs && y.columns() == 1 && y.rows() == x.rows();
  };
  if (!fits(data.x, data.y) || !fits(data.validation_x, data.validation_y)) {
    throw ShapeError(fmt::format(
        "{}: x is {}, y {}, validation_x {}, validation_y {}; they must be [n, {}], [n], [m, {}], [m]", call,
        episode.x.shape().to_string(), episode.y.shape().to_string(), episode.validation_x.shape().to_string(),
        episode.validation_y.shape().to_string(), inputs, inputs));
  }
  return data;
}

/// (X M X' + n penalty)^-1 b, from the features X B.
Dense solve(const Dense& factor, Dense b) {
  solve_cholesky(factor, b);
  return b;
}

double loss(const Dense& matrix, const EpisodeData& data, double penalty, Dense& gradient) {
  const std::int64_t n = data.x.rows(), m = data.validation_x.rows();
  const Dense features = multiply(data.x, matrix);  // X B
  Dense factor = multiply_transposed(features, features);
  factor.symmetrize();
  factor.add_to_diagonal(static_cast<double>(n) * penalty);
  factor_cholesky(factor);

  const Dense right = transposed_multiply(data.x, solve(factor, data.y));  // X' A y
  const Dense right_features = transposed_multiply(matrix, right);         // B' X' A y
  const Dense weights = multiply(matrix, right_features);                  // w
  Dense residual = data.validation_y;
  multiply_into(residual, -1, data.validation_x, Transpose::no, weights, Transpose::no, 1);
  double sum = 0;
  for (const double value : residual.values()) sum += value * value;

  Dense left = transposed_multiply(data.validation_x, residual);
  left.scale(-2 / static_cast<double>(m));  // g
  const Dense pulled = solve(factor, multiply(features, transposed_multiply(matrix, left)));
  multiply_into(left, -1, data.x, Transpose::yes, pulled, Transpose::no, 1);  // (I - X' A X M) g
  gradient = multiply_transposed(left, right_features);
  multiply_into(gradient, 1, right, Transpose::no, transposed_multiply(matrix, left), Transpose::yes, 1);
  return sum / static_cast<double>(m);
}

}  // namespace

RiskGradient episode_gradient(ConstView matrix, const Episode& episode, double penalty) {
  constexpr const char* call = "episode_gradient";
  domain::positive(call, "penalty", penalty);
  const Dense point = dense_copy(call, "matrix", matrix);
  Dense gradient;
  const double value = loss(point, copy(call, episode, point.rows()), penalty, gradient);
  return {value, gradient.tensor()};
}

Descent descend_episodes(std::span<const Episode> episodes, ConstView start, double penalty,
                         const EpisodicOptions& options) {
  constexpr const char* call = "descend_episodes";
  domain::positive(call, "penalty", penalty);
  domain::positive(call, "passes", options.passes);
  domain::positive(call, "learning_rate", options.learning_rate);
  if (episodes.empty()) throw ValueError("descend_episodes: there are no episodes");
  Dense matrix = dense_copy(call, "start", start), gradient;
  std::vector<EpisodeData> data;
  for (const Episode& episode : episodes) data.push_back(copy(call, episode, matrix.rows()));
  Adam adam(matrix.values().size(), options.learning_rate);
  RandomSequence random(options.seed, mix(0x65706973, 1));
  std::vector<double> risks;
  for (int pass = 0; pass < options.passes; ++pass) {
    double sum = 0;
    for (const std::int64_t i : random.permutation(static_cast<std::int64_t>(data.size()))) {
      sum += loss(matrix, data[static_cast<std::size_t>(i)], penalty, gradient);
      adam.step(matrix.values(), gradient.values());
      if (options.constraint) options.constraint(matrix.view());
    }
    risks.push_back(sum / static_cast<double>(data.size()));
  }
  return {FeatureMap(matrix.view(), {"episodes", penalty, 0, 0, risks.back()}), risks};
}

}  // namespace rtl::solvers
