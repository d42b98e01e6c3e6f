#include "rtl/solvers/task_ensemble.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "rtl/core/error.hpp"
#include "solvers/dense_reference.hpp"
#include "support/random_case.hpp"

namespace rtl::solvers {
namespace {

using test::RandomCase;
using test::Rows;

struct Task {
  Rows x;
  Rows y;
};

Rows random_rows(RandomCase& random, std::size_t count, std::size_t columns) {
  return test::rows(Tensor::from(random.normal(static_cast<std::int64_t>(count * columns)),
                                 {static_cast<std::int64_t>(count), static_cast<std::int64_t>(columns)},
                                 Device::cpu()));
}

class TaskEnsembleTest : public testing::Test {
 protected:
  static constexpr std::size_t p = 7;

  TaskEnsembleTest() : random(51) {
    sigma = test::rows(test::matrix(random.rotation(p), random.spectrum(p)));
    root = test::power(sigma, 0.5);
    whitener = test::power(sigma, -0.5);
  }
  /// Tasks along the first two whitened axes.
  void make_tasks(int count, std::size_t samples, double noise) {
    for (int j = 0; j < count; ++j) {
      Task task{test::times(random_rows(random, samples, p), root), random_rows(random, samples, 1)};
      const Rows u = random_rows(random, 2, 1);
      const Rows z = test::times(task.x, whitener);
      for (std::size_t i = 0; i < samples; ++i) {
        task.y[i][0] = z[i][0] * u[0][0] + z[i][1] * u[1][0] + std::sqrt(noise) * task.y[i][0];
      }
      tasks.push_back(task);
    }
  }
  TaskEnsemble ensemble() const {
    TaskEnsemble result(test::tensor(sigma));
    for (const Task& task : tasks) result.add(test::tensor(task.x), test::tensor(task.y));
    return result;
  }

  RandomCase random;
  Rows sigma, root, whitener;
  std::vector<Task> tasks;
};

TEST_F(TaskEnsembleTest, MomentsAreTheProductsOfHalves) {
  make_tasks(9, 11, 0.1);
  Rows expected(p, std::vector<double>(p, 0.0));
  for (const Task& task : tasks) {
    const Rows z = test::times(task.x, whitener);
    std::vector<double> a(p, 0.0), b(p, 0.0);
    for (std::size_t i = 0; i < 11; ++i) {
      for (std::size_t k = 0; k < p; ++k) (i % 2 == 0 ? a : b)[k] += z[i][k] * task.y[i][0] / (i % 2 == 0 ? 6 : 5);
    }
    for (std::size_t i = 0; i < p; ++i) {
      for (std::size_t k = 0; k < p; ++k) expected[i][k] += (a[i] * b[k] + a[k] * b[i]) / 18;
    }
  }
  Rows vectors;
  auto values = test::jacobi(expected, vectors);
  const auto rebuilt = [&] {
    Rows scaled = vectors;
    for (auto& row : scaled) {
      for (std::size_t j = 0; j < p; ++j) row[j] *= values[j];
    }
    return test::times(scaled, test::transposed(vectors));
  };
  const auto raw = values;
  for (double& value : values) value = std::max(value, 0.0);
  test::expect_near(test::rows(ensemble().moments(MomentCleaning::clip).whitened), rebuilt(), 1e-9);

  const double edge = -*std::min_element(raw.begin(), raw.end());
  ASSERT_GT(edge, 0) << "no negative eigenvalue to learn from";
  double sum = 0, count = 0;
  for (const double value : raw) {
    if (value > edge) continue;
    sum += std::max(value, 0.0);
    ++count;
  }
  values = raw;
  for (double& value : values) value = value > edge ? value : sum / count;
  const TaskCovariance floored = ensemble().moments(MomentCleaning::floor);
  test::expect_near(test::rows(floored.whitened), rebuilt(), 1e-9);
  test::expect_near(test::rows(floored.omega), test::times(test::times(whitener, rebuilt()), whitener), 1e-8);
}

TEST_F(TaskEnsembleTest, MomentsApproachTheTruth) {
  make_tasks(6000, 20, 0.1);
  Rows expected = test::scaled_identity(p, 0);
  expected[0][0] = expected[1][1] = 1;
  test::expect_near(test::rows(ensemble().moments(MomentCleaning::clip).whitened), expected, 0.15);
}

double deviance(const std::vector<Task>& tasks, const Rows& whitener, double noise, double prior) {
  double sum = 0;
  for (const Task& task : tasks) {
    const Rows z = test::times(task.x, whitener);
    Rows covariance = test::times(z, test::transposed(z));
    for (std::size_t i = 0; i < covariance.size(); ++i) {
      for (double& value : covariance[i]) value *= prior;
      covariance[i][i] += noise;
    }
    Rows vectors;
    for (const double value : test::jacobi(covariance, vectors)) sum += std::log(value);
    sum += test::times(test::times(test::transposed(task.y), test::inverse(covariance)), task.y)[0][0];
  }
  return sum;
}

TEST_F(TaskEnsembleTest, PooledVariancesAreTheMostLikely) {
  make_tasks(12, 9, 0.3);
  const PooledVariance best = ensemble().pooled();
  const double least = deviance(tasks, whitener, best.noise, best.prior);
  for (const double factor : {0.9, 0.99, 1.01, 1.1}) {
    EXPECT_GT(deviance(tasks, whitener, best.noise * factor, best.prior), least) << RandomCase::trace();
    EXPECT_GT(deviance(tasks, whitener, best.noise, best.prior * factor), least) << RandomCase::trace();
  }
}

TEST_F(TaskEnsembleTest, ExpectationMaximizationFollowsItsFormula) {
  make_tasks(5, 6, 0.3);
  const double noise = 0.25;
  const PooledVariance start = ensemble().pooled();
  Rows k = test::scaled_identity(p, start.prior);
  for (int iteration = 1; iteration <= 4; ++iteration) {
    Rows next = test::scaled_identity(p, 0);
    for (const Task& task : tasks) {
      const Rows z = test::times(task.x, whitener);
      Rows covariance = test::times(test::times(z, k), test::transposed(z));
      for (std::size_t i = 0; i < covariance.size(); ++i) covariance[i][i] += noise;
      const Rows gain = test::times(test::times(k, test::transposed(z)), test::inverse(covariance));
      const Rows mean = test::times(gain, task.y);
      const Rows lost = test::times(test::times(gain, z), k);
      for (std::size_t i = 0; i < p; ++i) {
        for (std::size_t j = 0; j < p; ++j) next[i][j] += (mean[i][0] * mean[j][0] + k[i][j] - lost[i][j]) / 5;
      }
    }
    k = next;
    const TaskCovariance learnt = ensemble().expectation_maximization({.iterations = iteration, .noise = noise});
    test::expect_near(test::rows(learnt.whitened), k, 1e-8);
    EXPECT_EQ(learnt.noise, noise);
  }
}

TEST_F(TaskEnsembleTest, LearnsTheStrongDirections) {
  make_tasks(300, 15, 0.2);
  for (const std::int64_t rank : {0, 2}) {
    const TaskCovariance learnt = ensemble().expectation_maximization({.iterations = 10, .rank = rank});
    EXPECT_NEAR(learnt.noise, 0.2, 0.1);
    const Rows k = test::rows(learnt.whitened);
    EXPECT_NEAR(k[0][0], 1, 0.3) << RandomCase::trace();
    EXPECT_NEAR(k[1][1], 1, 0.3) << RandomCase::trace();
    for (std::size_t i = 2; i < p; ++i) EXPECT_LT(k[i][i], 0.05) << RandomCase::trace();
    if (rank == 0) continue;
    Rows vectors;
    auto values = test::jacobi(k, vectors);
    std::sort(values.begin(), values.end());
    EXPECT_NEAR(values[0], values[p - 3], 1e-10) << "the floor is flat";
  }
}

TEST_F(TaskEnsembleTest, RefusesBadTasks) {
  TaskEnsemble empty(test::tensor(sigma));
  EXPECT_THROW(empty.moments(MomentCleaning::clip), ValueError);
  EXPECT_THROW(empty.pooled(), ValueError);
  EXPECT_THROW(empty.expectation_maximization(), ValueError);
  const Device cpu = Device::cpu();
  EXPECT_THROW(empty.add(Tensor::zeros({5, p + 1}, DType::f64, cpu), Tensor::zeros({5}, DType::f64, cpu)), ShapeError);
  EXPECT_THROW(empty.add(Tensor::zeros({5, p}, DType::f64, cpu), Tensor::zeros({4}, DType::f64, cpu)), ShapeError);
  EXPECT_THROW(empty.add(Tensor::zeros({5, p}, DType::f64, cpu), Tensor::zeros({5, 2}, DType::f64, cpu)), ShapeError);
  EXPECT_THROW(empty.add(Tensor::zeros({1, p}, DType::f64, cpu), Tensor::zeros({1}, DType::f64, cpu)), ValueError);
  EXPECT_THROW(empty.add(Tensor::zeros({5, p}, DType::i32, cpu), Tensor::zeros({5}, DType::f64, cpu)), DTypeError);
  EXPECT_EQ(empty.tasks(), 0);
  empty.add(Tensor::zeros({5, p}, DType::f64, cpu), Tensor::zeros({5}, DType::f64, cpu));
  EXPECT_THROW(empty.pooled(), ValueError) << "all zero";
  make_tasks(3, 6, 0.1);
  EXPECT_THROW(ensemble().expectation_maximization({.iterations = 0}), ValueError);
  EXPECT_THROW(ensemble().expectation_maximization({.noise = 0.0}), ValueError);
  EXPECT_THROW(ensemble().expectation_maximization({.rank = 8}), ValueError);
}

}  // namespace
}  // namespace rtl::solvers
