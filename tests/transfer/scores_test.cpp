// Transferability scores, against definitions written out in plain loops, and by hand.
#include "rtl/transfer/scores.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using Matrix = std::vector<std::vector<double>>;

Matrix zeros(std::size_t rows, std::size_t columns) { return Matrix(rows, std::vector<double>(columns)); }

/// A^-1 by Gauss and Jordan with pivots, and log |det A|.
std::pair<Matrix, double> inverse(Matrix a) {
  const std::size_t n = a.size();
  Matrix b = zeros(n, n);
  for (std::size_t i = 0; i < n; ++i) b[i][i] = 1;
  double logarithm = 0;
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k; i < n; ++i) pivot = std::abs(a[i][k]) > std::abs(a[pivot][k]) ? i : pivot;
    std::swap(a[k], a[pivot]);
    std::swap(b[k], b[pivot]);
    const double divisor = a[k][k];
    logarithm += std::log(std::abs(divisor));
    for (std::size_t j = 0; j < n; ++j) a[k][j] /= divisor, b[k][j] /= divisor;
    for (std::size_t i = 0; i < n; ++i) {
      if (i == k) continue;
      const double factor = a[i][k];
      for (std::size_t j = 0; j < n; ++j) a[i][j] -= factor * a[k][j], b[i][j] -= factor * b[k][j];
    }
  }
  return {b, logarithm};
}

struct Sample {
  std::size_t n = 0, p = 0;
  std::int64_t classes = 0;
  Tensor features, labels, logits;
  Matrix x, z;
  std::vector<std::int32_t> y;

  Sample(const data::Dataset& dataset, std::uint64_t seed, std::size_t source_classes)
      : n(static_cast<std::size_t>(dataset.size())),
        p(static_cast<std::size_t>(dataset.inputs.extent(1))),
        classes(dataset.classes),
        features(dataset.inputs.clone()),
        labels(dataset.labels.clone()),
        x(zeros(n, p)),
        z(zeros(n, source_classes)),
        y(dataset.labels.to_vector<std::int32_t>()) {
    const std::vector<float> values = features.to_vector<float>();
    for (std::size_t i = 0; i < n * p; ++i) x[i / p][i % p] = values[i];
    RandomSequence random(seed, 9);
    std::vector<float> drawn;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t k = 0; k < source_classes; ++k) {
        drawn.push_back(static_cast<float>(2 * random.normal() + (static_cast<std::size_t>(y[i]) == k ? 2 : 0)));
        z[i][k] = drawn.back();
      }
    }
    logits = Tensor::from(drawn, {dataset.size(), static_cast<std::int64_t>(source_classes)}, features.device());
  }
};

double reference_leep(const Sample& s) {
  const std::size_t sources = s.z.front().size();
  Matrix theta = s.z, joint = zeros(static_cast<std::size_t>(s.classes), sources);
  for (std::size_t i = 0; i < s.n; ++i) {
    double sum = 0;
    for (double& value : theta[i]) sum += value = std::exp(value);
    for (std::size_t k = 0; k < sources; ++k) {
      theta[i][k] /= sum;
      joint[static_cast<std::size_t>(s.y[i])][k] += theta[i][k] / static_cast<double>(s.n);
    }
  }
  double total = 0;
  for (std::size_t i = 0; i < s.n; ++i) {
    double likelihood = 0;
    for (std::size_t k = 0; k < sources; ++k) {
      double marginal = 0;
      for (const auto& row : joint) marginal += row[k];
      likelihood += joint[static_cast<std::size_t>(s.y[i])][k] / marginal * theta[i][k];
    }
    total += std::log(likelihood) / static_cast<double>(s.n);
  }
  return total;
}

/// Evidence of alpha and beta as You et al. write it, over n.
double evidence(const Sample& s, const std::vector<double>& y, double alpha, double beta) {
  Matrix a = zeros(s.p, s.p);
  std::vector<double> right(s.p), m(s.p);
  for (std::size_t i = 0; i < s.n; ++i) {
    for (std::size_t j = 0; j < s.p; ++j) {
      right[j] += beta * s.x[i][j] * y[i];
      for (std::size_t k = 0; k < s.p; ++k) a[j][k] += beta * s.x[i][j] * s.x[i][k];
    }
  }
  for (std::size_t j = 0; j < s.p; ++j) a[j][j] += alpha;
  const auto [inverted, logarithm] = inverse(a);
  double norm = 0, residual = 0;
  for (std::size_t j = 0; j < s.p; ++j) {
    for (std::size_t k = 0; k < s.p; ++k) m[j] += inverted[j][k] * right[k];
    norm += m[j] * m[j];
  }
  for (std::size_t i = 0; i < s.n; ++i) {
    double rest = y[i];
    for (std::size_t j = 0; j < s.p; ++j) rest -= s.x[i][j] * m[j];
    residual += rest * rest;
  }
  const auto n = static_cast<double>(s.n), p = static_cast<double>(s.p);
  return (n / 2 * std::log(beta) + p / 2 * std::log(alpha) - n / 2 * std::log(2 * M_PI) - beta / 2 * residual -
          alpha / 2 * norm - logarithm / 2) /
         n;
}

/// Climbs in log alpha and log beta with ever smaller steps.
double reference_evidence(const Sample& s, const std::vector<double>& y) {
  double a = 0, b = 0, best = evidence(s, y, 1, 1);
  for (double step = 1; step > 1e-6;) {
    bool better = false;
    for (const auto& [da, db] : {std::pair{1, 0}, {-1, 0}, {0, 1}, {0, -1}, {1, 1}, {-1, -1}}) {
      const double value = evidence(s, y, std::exp(a + da * step), std::exp(b + db * step));
      if (value <= best) continue;
      best = value, a += da * step, b += db * step, better = true;
    }
    if (!better) step /= 2;
  }
  return best;
}

Matrix covariance(const Matrix& rows) {
  const std::size_t n = rows.size(), p = rows.front().size();
  std::vector<double> mean(p);
  for (const auto& row : rows) {
    for (std::size_t j = 0; j < p; ++j) mean[j] += row[j] / static_cast<double>(n);
  }
  Matrix result = zeros(p, p);
  for (const auto& row : rows) {
    for (std::size_t j = 0; j < p; ++j) {
      for (std::size_t k = 0; k < p; ++k) {
        result[j][k] += (row[j] - mean[j]) * (row[k] - mean[k]) / static_cast<double>(n);
      }
    }
  }
  return result;
}

/// Each row replaced by the mean of its class.
Matrix class_means(const Sample& s) {
  Matrix means = zeros(s.n, s.p);
  for (std::size_t i = 0; i < s.n; ++i) {
    double count = 0;
    for (std::size_t k = 0; k < s.n; ++k) {
      if (s.y[k] != s.y[i]) continue;
      ++count;
      for (std::size_t j = 0; j < s.p; ++j) means[i][j] += s.x[k][j];
    }
    for (double& value : means[i]) value /= count;
  }
  return means;
}

double trace_of_product(const Matrix& a, const Matrix& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a.size(); ++j) sum += a[i][j] * b[j][i];
  }
  return sum;
}

/// Of Ledoit and Wolf (2004): the squared distances of the samples' own matrices from their mean over that of the mean
/// from its multiple of the identity.
double reference_shrinkage(const Sample& s) {
  const Matrix mean = covariance(s.x);
  double level = 0, apart = 0, noise = 0;
  for (std::size_t j = 0; j < s.p; ++j) level += mean[j][j] / static_cast<double>(s.p);
  std::vector<double> centre(s.p);
  for (const auto& row : s.x) {
    for (std::size_t j = 0; j < s.p; ++j) centre[j] += row[j] / static_cast<double>(s.n);
  }
  for (std::size_t j = 0; j < s.p; ++j) {
    for (std::size_t k = 0; k < s.p; ++k) apart += std::pow(mean[j][k] - (j == k ? level : 0), 2);
  }
  for (const auto& row : s.x) {
    for (std::size_t j = 0; j < s.p; ++j) {
      for (std::size_t k = 0; k < s.p; ++k) {
        noise += std::pow((row[j] - centre[j]) * (row[k] - centre[k]) - mean[j][k], 2) / static_cast<double>(s.n * s.n);
      }
    }
  }
  return std::min(noise, apart) / apart;
}

double reference_h_score(const Sample& s, double shrinkage) {
  Matrix all = covariance(s.x);
  double level = 0;
  for (std::size_t j = 0; j < s.p; ++j) level += all[j][j] / static_cast<double>(s.p);
  for (std::size_t j = 0; j < s.p; ++j) {
    for (std::size_t k = 0; k < s.p; ++k) {
      all[j][k] = (1 - shrinkage) * all[j][k] + (j == k ? shrinkage * level : 0);
    }
  }
  return (1 - shrinkage) * trace_of_product(inverse(all).first, covariance(class_means(s)));
}

double reference_rate(const Matrix& rows, double epsilon) {
  const std::size_t p = rows.front().size();
  Matrix a = zeros(p, p);
  for (std::size_t j = 0; j < p; ++j) a[j][j] = 1;
  for (const auto& row : rows) {
    for (std::size_t j = 0; j < p; ++j) {
      for (std::size_t k = 0; k < p; ++k) a[j][k] += row[j] * row[k] / (static_cast<double>(rows.size()) * epsilon);
    }
  }
  return inverse(a).second / 2;
}

double reference_transrate(const Sample& s, double epsilon) {
  Matrix centred = s.x;
  for (std::size_t j = 0; j < s.p; ++j) {
    double mean = 0;
    for (const auto& row : s.x) mean += row[j] / static_cast<double>(s.n);
    for (auto& row : centred) row[j] -= mean;
  }
  double within = 0, count = 0;
  for (std::int64_t c = 0; c < s.classes; ++c) {
    Matrix part;
    for (std::size_t i = 0; i < s.n; ++i) {
      if (s.y[i] == c) part.push_back(centred[i]);
    }
    if (part.empty()) continue;
    within += reference_rate(part, epsilon);
    ++count;
  }
  return reference_rate(centred, epsilon) - within / count;
}

TEST(TransferScores, AreTheirDefinitions) {
  for (const Device& device : testing::devices()) {
    for (const std::uint64_t seed : {1, 2, 3}) {
      const Sample s(testing::make_vectors(seed, 40, 6, 4, 1.5, device), seed, 5);
      EXPECT_NEAR(leep(s.logits, s.labels, 4), reference_leep(s), 1e-12);
      EXPECT_NEAR(h_score(s.features, s.labels, 4), reference_h_score(s, 0), 1e-10);
      const double shrinkage = reference_shrinkage(s);
      EXPECT_NEAR(ledoit_wolf_shrinkage(s.features), shrinkage, 1e-10);
      EXPECT_GT(shrinkage, 0);
      EXPECT_NEAR(h_score(s.features, s.labels, 4, HScoreForm::shrunk), reference_h_score(s, shrinkage), 1e-10);
      EXPECT_NEAR(transrate(s.features, s.labels, 4), reference_transrate(s, 1e-4), 1e-9);
      EXPECT_NEAR(transrate(s.features, s.labels, 4, 0.5), reference_transrate(s, 0.5), 1e-10);
      double mean = 0;
      for (std::int32_t c = 0; c < 4; ++c) {
        std::vector<double> y;
        for (const std::int32_t label : s.y) y.push_back(label == c);
        mean += reference_evidence(s, y) / 4;
      }
      // The reference stops where steps of 1e-6 help no more: squared, they are of the order of roundoff.
      EXPECT_NEAR(log_me(s.features, s.labels, 4), mean, 1e-9);
    }
  }
}

TEST(TransferScores, OfWideFeaturesAreTheirDefinitions) {
  const Device device = Device::cpu(1);
  const Sample s(testing::make_vectors(5, 10, 17, 3, 1.0, device), 5, 3);
  EXPECT_NEAR(transrate(s.features, s.labels, 3), reference_transrate(s, 1e-4), 1e-8);
  const double shrinkage = reference_shrinkage(s);
  EXPECT_NEAR(h_score(s.features, s.labels, 3, HScoreForm::shrunk), reference_h_score(s, shrinkage), 1e-10);
  EXPECT_NEAR(h_score(s.features, s.labels, 3), 2, 1e-10) << "features of few samples separate everything";
  EXPECT_LT(h_score(s.features, s.labels, 3, HScoreForm::shrunk), 1.5);
  EXPECT_TRUE(std::isfinite(log_me(s.features, s.labels, 3)));
}

TEST(TransferScores, LogMEOfRealTargets) {
  const Device device = Device::cpu(1);
  Sample s(testing::make_vectors(7, 30, 4, 3, 1.0, device), 7, 3);
  RandomSequence random(3, 3);
  std::vector<float> targets;
  Matrix columns = zeros(2, s.n);
  for (std::size_t i = 0; i < s.n; ++i) {
    for (std::size_t k = 0; k < 2; ++k) {
      targets.push_back(static_cast<float>(s.x[i][k] - 2 * s.x[i][2] + 0.3 * random.normal()));
      columns[k][i] = targets.back();
    }
  }
  const double want = (reference_evidence(s, columns[0]) + reference_evidence(s, columns[1])) / 2;
  EXPECT_NEAR(log_me_regression(s.features, Tensor::from(targets, {30, 2}, device)), want, 1e-9);
}

/// Two source classes that the labels follow but for one of four samples, by hand.
TEST(TransferScores, ByHand) {
  const Device device = Device::cpu(1);
  const Tensor y = Tensor::from(std::vector<std::int32_t>{0, 0, 1, 1}, {4}, device);
  const Tensor z = Tensor::from(std::vector<std::int32_t>{0, 0, 0, 1}, {4}, device);
  // Given z = 0: 2/3 and 1/3; given z = 1: certain.
  EXPECT_NEAR(nce(z, 2, y, 2), (2 * std::log(2.0 / 3) + std::log(1.0 / 3)) / 4, 1e-15);
  // Logits so far apart that theta is 0 or 1: LEEP is NCE.
  const Tensor hard = Tensor::from(std::vector<float>{0, -900, 0, -900, 0, -900, -900, 0}, {4, 2}, device);
  EXPECT_NEAR(leep(hard, y, 2), nce(z, 2, y, 2), 1e-15);
  // Without information: P(y | z) = 1/2 whatever z.
  const Tensor even = Tensor::zeros({4, 3}, DType::f32, device);
  EXPECT_NEAR(leep(even, y, 2), std::log(0.5), 1e-15);
  // x = -3, -1, 1, 3: variance 5, class means -2 and 2 with variance 4.
  const Tensor x = Tensor::from(std::vector<float>{-3, -1, 1, 3}, {4, 1}, device);
  EXPECT_NEAR(h_score(x, y, 2), 0.8, 1e-14);
  // R = log(1 + 20 / (4 e)) / 2 of all, log(1 + 10 / (2 e)) / 2 of each class: 5 / e in both.
  EXPECT_NEAR(transrate(x, y, 2, 0.1), 0, 1e-14);
  // y of one column and x'y = 2, x'x = 4, y'y = 2: with lambda, Q = 2 - 4 / (4 + lambda).
  const Tensor f = Tensor::from(std::vector<float>{1, 1, 1, 1}, {4, 1}, device);
  const auto by_hand = [](double lambda) {
    return std::log(4 / (2 - 4 / (4 + lambda))) / 2 - 0.5 - std::log(2 * M_PI) / 2 - std::log1p(4 / lambda) / 8;
  };
  // The derivative by lambda, times lambda + 4, is 1 / (2 lambda) - 2 / (2 lambda + 4): zero at 2.
  EXPECT_NEAR(log_me(f, y, 2), by_hand(2), 1e-12);
  EXPECT_LT(by_hand(1.9), by_hand(2));
  EXPECT_LT(by_hand(2.1), by_hand(2));
}

TEST(TransferScores, OrderSourcesByWhatTheyKnow) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(1, 120, 8, 4, 3.0, device);
  auto trained = testing::make("mlp", "16", {8}, 4, 3, device);
  train(*trained, testing::make_vectors(2, 300, 8, 4, 3.0, device), data::Normalization::none, testing::quick(20));
  const FrozenSource good(std::move(trained)), poor(testing::make("mlp", "16", {8}, 4, 4, device));
  const Transferability a = transferability(good, data), b = transferability(poor, data);
  EXPECT_GT(a.log_me, b.log_me);
  EXPECT_GT(*a.leep, *b.leep);
  EXPECT_GT(*a.nce, *b.nce);
  EXPECT_GT(*a.h_score, *b.h_score);
  EXPECT_GT(*a.h_score_shrunk, *b.h_score_shrunk);
}

TEST(TransferScores, AtTheEndsOfWhatIsDefined) {
  const Device device = Device::cpu(1);
  const Tensor y = Tensor::from(std::vector<std::int32_t>{0, 2, 0, 2}, {4}, device);
  const Tensor constant = Tensor::from(std::vector<float>(8, 0.1F), {4, 2}, device);
  const Tensor nothing = Tensor::zeros({4, 2}, DType::f32, device);
  EXPECT_EQ(h_score(constant, y, 3), 0);
  EXPECT_EQ(h_score(constant, y, 3, HScoreForm::shrunk), 0);
  EXPECT_EQ(ledoit_wolf_shrinkage(constant), 0);
  EXPECT_EQ(transrate(constant, y, 3), 0);
  EXPECT_TRUE(std::isfinite(log_me(constant, y, 3)));
  EXPECT_NEAR(log_me(nothing, y, 3), std::log(4.0 / 2) / 2 - 0.5 - std::log(2 * M_PI) / 2, 1e-14);
  // One constant feature beside another changes nothing that looks at covariances.
  const Tensor one = Tensor::from(std::vector<float>{1, 2, 4, 3}, {4, 1}, device);
  const Tensor two = Tensor::from(std::vector<float>{1, 0.1F, 2, 0.1F, 4, 0.1F, 3, 0.1F}, {4, 2}, device);
  EXPECT_NEAR(h_score(one, y, 3), h_score(two, y, 3), 1e-14);
  // Fewer samples than classes.
  EXPECT_NEAR(h_score(one, y, 100), h_score(one, y, 3), 1e-15);
  // Features that give the classes exactly: the evidence grows without bound, and is cut off.
  const Tensor exact = Tensor::from(std::vector<float>{1, 0, 0, 1, 1, 0, 0, 1}, {4, 2}, device);
  EXPECT_GT(log_me(exact, y, 3), 5);
  EXPECT_TRUE(std::isfinite(log_me(exact, y, 3)));
}

TEST(TransferScores, OfASourceOfRealTargetsAreThoseOfItsFeatures) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(1, 40, 5, 3, 1.0, device);
  const auto source = [&](std::optional<Task> task) {
    return FrozenSource(testing::make("mlp", "6", {5}, 2, 1, device), {}, "two outputs", Precision::f32, {},
                        std::move(task));
  };
  const Transferability real = transferability(
      source(Task{.regression = true, .outputs = 2, .names = {}, .mean = {0, 0}, .deviation = {1, 1}}), data);
  const Transferability classes = transferability(source(Task{.outputs = 2}), data);
  EXPECT_FALSE(real.leep) << "real numbers are no logits";
  EXPECT_FALSE(real.nce);
  EXPECT_TRUE(classes.leep);
  EXPECT_TRUE(classes.nce);
  EXPECT_EQ(real.log_me, classes.log_me);
  EXPECT_EQ(real.h_score, classes.h_score);
}

TEST(TransferScores, RefuseWhatTheyCannotScore) {
  const Device device = Device::cpu(1);
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 4, 3}, {4, 1}, device);
  const Tensor y = Tensor::from(std::vector<std::int32_t>{0, 1, 0, 1}, {4}, device);
  const Tensor same = Tensor::zeros({4}, DType::i32, device);
  const std::function<double(const Tensor&, const Tensor&)> calls[] = {
      [](const Tensor& a, const Tensor& b) { return leep(a, b, 2); },
      [](const Tensor& a, const Tensor& b) { return log_me(a, b, 2); },
      [](const Tensor& a, const Tensor& b) { return h_score(a, b, 2); },
      [](const Tensor& a, const Tensor& b) { return transrate(a, b, 2); }};
  for (const auto& call : calls) {
    EXPECT_THROW(call(x, same), ValueError);
    EXPECT_THROW(call(x, Tensor::from(std::vector<std::int32_t>{0, 1, 2, 1}, {4}, device)), ValueError);
    EXPECT_THROW(call(x, Tensor::zeros({3}, DType::i32, device)), ShapeError);
    EXPECT_THROW(call(x, Tensor::zeros({4}, DType::f32, device)), DTypeError);
    EXPECT_THROW(call(y, y), DTypeError);
    EXPECT_THROW(call(Tensor::from(std::vector<float>{1, NAN, 2, 3}, {4, 1}, device), y), ValueError);
    EXPECT_THROW(call(Tensor::zeros({0, 1}, DType::f32, device), y), ShapeError);
  }
  EXPECT_THROW(nce(y, 1, y, 2), ValueError);
  EXPECT_THROW(nce(same, 1, same, 1), ValueError);
  EXPECT_THROW(transrate(x, y, 2, 0), ValueError);
  EXPECT_THROW(log_me_regression(x, Tensor::zeros({4, 1}, DType::f32, device)), ValueError);
  EXPECT_THROW(log_me_regression(x, Tensor::zeros({3, 1}, DType::f32, device)), ShapeError);
  const data::Dataset data = testing::make_vectors(1, 20, 5, 3, 1.0, device);
  const FrozenSource headless(testing::make("mlp", "6", {5}, 0, 1, device));
  EXPECT_FALSE(transferability(headless, data).leep);
  EXPECT_THROW(leep(headless.logits(data), data.labels, 3), ValueError);
  EXPECT_THROW(transferability(headless, testing::make_vectors(1, 20, 4, 3, 1.0, device)), ShapeError);
}

}  // namespace
}  // namespace rtl::transfer
