// Objectives and what they are made of: values against plain double precision, gradients against finite differences.
#include "rtl/transfer/objectives.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "rtl/core/random.hpp"
#include "rtl/graph/gradient_check.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/plan.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using graph::Value;
using Numbers = std::vector<double>;

Numbers normal_numbers(std::uint64_t seed, std::size_t count, double scale) {
  RandomSequence random(seed, 5);
  Numbers numbers(count);
  for (double& number : numbers) number = scale * random.normal();
  return numbers;
}

std::vector<float> narrowed(const Numbers& numbers) { return {numbers.begin(), numbers.end()}; }

/// What a function of one tensor f32 [m, c] gives.
Numbers run(const Device& device, const Numbers& x, const Shape& shape, const std::function<Value(const Value&)>& f) {
  const auto graph = std::make_shared<graph::Graph>(device);
  const Value in = graph->constant("x", Tensor::from(narrowed(x), shape, device));
  const Value out = f(in);
  graph::Execution execution(std::make_shared<const graph::Plan>(graph, std::vector<Value>{out}));
  execution.run();
  Tensor copy(out.shape(), out.dtype(), device);
  copy_bytes(execution.view(out), copy);
  const std::vector<float> values = copy.to_vector<float>();
  return {values.begin(), values.end()};
}

/// The gradient of a scalar function of a variable f64.
Numbers gradient(const Device& device, const Numbers& x, const Shape& shape,
                 const std::function<Value(const Value&)>& f) {
  const auto graph = std::make_shared<graph::Graph>(device);
  const Value in = graph->variable("x", graph::Storage(Tensor::from(x, shape, device)));
  const Value parameters[] = {in};
  const Value out = graph::gradients(f(in), parameters).front();
  graph::Execution execution(std::make_shared<const graph::Plan>(graph, std::vector<Value>{out}));
  execution.run();
  Tensor copy(out.shape(), out.dtype(), device);
  copy_bytes(execution.view(out), copy);
  return copy.to_vector<double>();
}

Numbers log_softmax_of(const Numbers& x, std::size_t columns) {
  Numbers y(x.size());
  for (std::size_t begin = 0; begin < x.size(); begin += columns) {
    double largest = x[begin], sum = 0;
    for (std::size_t c = 0; c < columns; ++c) largest = std::max(largest, x[begin + c]);
    for (std::size_t c = 0; c < columns; ++c) sum += std::exp(x[begin + c] - largest);
    for (std::size_t c = 0; c < columns; ++c) y[begin + c] = x[begin + c] - largest - std::log(sum);
  }
  return y;
}

double distillation_of(const Numbers& student, const Numbers& teacher, std::size_t columns, double temperature) {
  Numbers s = student, t = teacher;
  for (double& value : s) value /= temperature;
  for (double& value : t) value /= temperature;
  s = log_softmax_of(s, columns);
  t = log_softmax_of(t, columns);
  double sum = 0;
  for (std::size_t i = 0; i < s.size(); ++i) sum += std::exp(t[i]) * (t[i] - s[i]);
  return sum * static_cast<double>(columns) / static_cast<double>(s.size());
}

TEST(Objectives, LogSoftmaxIsRightForLargeNumbersToo) {
  for (const Device& device : testing::devices()) {
    for (const double scale : {1.0, 30.0, 1e4}) {
      const Numbers x = normal_numbers(1, 7 * 5, scale);
      const Numbers here = run(device, x, {7, 5}, objectives::log_softmax), wanted = log_softmax_of(x, 5);
      // The differences are exact to half a unit of the largest input.
      for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(here[i], wanted[i], 1e-6 * (10 + 4 * scale));
    }
  }
}

TEST(Objectives, DistillationIsTheDivergenceOfSoftenedOutputs) {
  for (const Device& device : testing::devices()) {
    for (const double temperature : {0.5, 1.0, 2.0, 8.0}) {
      const Numbers student = normal_numbers(2, 6 * 4, 2), teacher = normal_numbers(3, 6 * 4, 3);
      const auto loss = [&](const Value& x) {
        const Value other = x.dtype() == DType::f64
                                ? x.graph().constant("t", Tensor::from(teacher, {6, 4}, device))
                                : x.graph().constant("t", Tensor::from(narrowed(teacher), {6, 4}, device));
        return objectives::distillation(x, other, temperature);
      };
      const double wanted = distillation_of(student, teacher, 4, temperature);
      EXPECT_NEAR(run(device, student, {6, 4}, loss).front(), wanted, 1e-5 * (1 + wanted));
      const Numbers slope = gradient(device, student, {6, 4}, loss);
      for (std::size_t i = 0; i < student.size(); ++i) {
        Numbers up = student, down = student;
        up[i] += 1e-5;
        down[i] -= 1e-5;
        const double difference =
            (distillation_of(up, teacher, 4, temperature) - distillation_of(down, teacher, 4, temperature)) / 2e-5;
        EXPECT_NEAR(slope[i], difference, 1e-8);
      }
      const Numbers same = gradient(device, teacher, {6, 4}, loss);
      for (const double value : same) EXPECT_NEAR(value, 0, 1e-12);
    }
  }
}

TEST(Objectives, BinaryCrossEntropyDoesNotOverflow) {
  for (const Device& device : testing::devices()) {
    const Numbers z{-200, -3, -0.5, 0, 0.25, 4, 300};
    for (const bool label : {false, true}) {
      const auto loss = [&](const Value& x) { return objectives::binary_cross_entropy(x, label); };
      double wanted = 0;
      for (const double value : z) {
        const double signed_value = label ? -value : value;
        wanted += (std::max(signed_value, 0.0) + std::log1p(std::exp(-std::abs(value)))) / 7;
      }
      EXPECT_NEAR(run(device, z, {7, 1}, loss).front(), wanted, 1e-5 * wanted);
      const Numbers slope = gradient(device, z, {7, 1}, loss);
      for (std::size_t i = 0; i < z.size(); ++i) {
        const double sigmoid = 1 / (1 + std::exp(-z[i]));
        EXPECT_NEAR(slope[i], (sigmoid - (label ? 1 : 0)) / 7, 1e-12) << z[i];
      }
    }
  }
}

/// The second operand of a loss, in the dtype of the first.
Value beside(const Value& x, const Numbers& numbers, const Device& device) {
  return x.graph().constant("y", x.dtype() == DType::f64 ? Tensor::from(numbers, x.shape(), device)
                                                         : Tensor::from(narrowed(numbers), x.shape(), device));
}

/// Value and gradient of a mean over elements, of which `element` gives both.
void expect_mean(const Device& device, const Numbers& x, const Numbers& y, const Shape& shape,
                 const std::function<Value(const Value&, const Value&)>& loss,
                 const std::function<std::pair<double, double>(double, double)>& element) {
  const auto count = static_cast<double>(x.size());
  const auto of = [&](const Value& value) { return loss(value, beside(value, y, device)); };
  double wanted = 0;
  for (std::size_t i = 0; i < x.size(); ++i) wanted += element(x[i], y[i]).first / count;
  const Numbers found = run(device, x, shape, of);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NEAR(found.front(), wanted, 1e-5 * (1 + wanted));
  const Numbers slope = gradient(device, x, shape, of);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(slope[i], element(x[i], y[i]).second / count, 1e-12) << x[i] << ", " << y[i];
    const double up = element(x[i] + 1e-6, y[i]).first, down = element(x[i] - 1e-6, y[i]).first;
    EXPECT_NEAR(slope[i] * count, (up - down) / 2e-6, 1e-6 * (1 + std::fabs(x[i])));
  }
}

TEST(Objectives, BinaryCrossEntropyOfLabelsOfEachElement) {
  for (const Device& device : testing::devices()) {
    for (const Shape& shape : {Shape{1, 1}, Shape{31, 3}, Shape{7, 1}, Shape{5}}) {
      const auto count = static_cast<std::size_t>(shape.count());
      Numbers z = normal_numbers(count, count, 4), labels(count);
      for (std::size_t i = 0; i < count; ++i) labels[i] = i % 3 == 2 ? 0.25 : static_cast<double>(i % 2);
      z.front() = 0;
      if (count > 5) z[1] = 90, z[2] = -90;
      const auto loss = [](const Value& a, const Value& b) { return objectives::binary_cross_entropy(a, b); };
      expect_mean(device, z, labels, shape, loss, [](double logit, double label) {
        const double value = std::max(logit, 0.0) + std::log1p(std::exp(-std::fabs(logit))) - logit * label;
        return std::pair(value, 1 / (1 + std::exp(-logit)) - label);
      });
    }
  }
}

TEST(Objectives, HuberIsSquareNearAndStraightFar) {
  for (const Device& device : testing::devices()) {
    for (const double delta : {0.5, 1.0, 3.0}) {
      const Shape shape{11, 3};
      const Numbers x = normal_numbers(8, 33, 3);
      Numbers y = normal_numbers(9, 33, 1);
      y[0] = x[0];
      y[1] = x[1] - delta;
      const auto loss = [delta](const Value& a, const Value& b) { return objectives::huber(a, b, delta); };
      expect_mean(device, x, y, shape, loss, [delta](double predicted, double wanted) {
        const double r = predicted - wanted;
        if (std::fabs(r) <= delta) return std::pair(r * r / 2, r);
        return std::pair(delta * (std::fabs(r) - delta / 2), r > 0 ? delta : -delta);
      });
    }
  }
}

TEST(Objectives, RefuseWhatDoesNotBelongTogether) {
  const Device device = Device::cpu(1);
  graph::Graph graph(device);
  const auto zeros = [&](const Shape& shape, DType dtype) {
    return graph.variable("x", graph::Storage(Tensor::zeros(shape, dtype, device)));
  };
  const Value x = zeros({2, 3}, DType::f32);
  EXPECT_THROW(objectives::binary_cross_entropy(x, zeros({3, 2}, DType::f32)), ShapeError);
  EXPECT_THROW(objectives::binary_cross_entropy(x, zeros({2, 3}, DType::f64)), DTypeError);
  EXPECT_THROW(objectives::huber(x, zeros({2}, DType::f32)), ShapeError);
  for (const LossKind kind : {LossKind::cross_entropy, LossKind::bce, LossKind::squared, LossKind::huber}) {
    EXPECT_EQ(objectives::loss_of_each({kind}, x, zeros({2, 3}, DType::f32)).shape(), Shape{2});
    EXPECT_THROW(objectives::loss_of_each({kind}, x, zeros({3, 2}, DType::f32)), ShapeError);
    EXPECT_THROW(objectives::loss_of_each({kind}, x, zeros({2, 3}, DType::f64)), DTypeError);
  }
  EXPECT_THROW(objectives::loss_of_each({}, x, zeros({2, 3}, DType::f32)), ValueError);
  for (const double delta : {0.0, -1.0, std::nan("")}) {
    EXPECT_THROW(objectives::huber(x, zeros({2, 3}, DType::f32), delta), ValueError);
  }
}

TEST(Objectives, CrossEntropyOfEachIsThatOfTheLabels) {
  const Device device = Device::cpu(1);
  const Numbers x = normal_numbers(4, 5 * 3, 2), log_probabilities = log_softmax_of(x, 3);
  const std::vector<float> one_hot{1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0};
  const Numbers here = run(device, x, {5, 3}, [&](const Value& logits) {
    return objectives::cross_entropy_of_each(logits,
                                             logits.graph().constant("y", Tensor::from(one_hot, {5, 3}, device)));
  });
  ASSERT_EQ(here.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      if (one_hot[3 * i + c] < 1) continue;
      EXPECT_NEAR(here[i], -log_probabilities[3 * i + c], 1e-5);
    }
  }
}

double coral_of(const Numbers& x, std::size_t m, const Numbers& y, std::size_t n, std::size_t d) {
  const auto covariance = [d](const Numbers& rows, std::size_t count, std::size_t a, std::size_t b) {
    double mean_a = 0, mean_b = 0, sum = 0;
    for (std::size_t i = 0; i < count; ++i) mean_a += rows[i * d + a] / static_cast<double>(count);
    for (std::size_t i = 0; i < count; ++i) mean_b += rows[i * d + b] / static_cast<double>(count);
    for (std::size_t i = 0; i < count; ++i) sum += (rows[i * d + a] - mean_a) * (rows[i * d + b] - mean_b);
    return count > 1 ? sum / static_cast<double>(count - 1) : 0;
  };
  double total = 0;
  for (std::size_t a = 0; a < d; ++a) {
    for (std::size_t b = 0; b < d; ++b) total += std::pow(covariance(x, m, a, b) - covariance(y, n, a, b), 2);
  }
  return total / (4 * static_cast<double>(d * d));
}

double squared_distance(const Numbers& x, std::size_t i, const Numbers& y, std::size_t j, std::size_t d) {
  double sum = 0;
  for (std::size_t k = 0; k < d; ++k) sum += std::pow(x[i * d + k] - y[j * d + k], 2);
  return sum;
}

/// The mean squared distance of all pairs of both.
double spread_of(Numbers x, const Numbers& y, std::size_t d) {
  x.insert(x.end(), y.begin(), y.end());
  const std::size_t rows = x.size() / d;
  double sum = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < rows; ++j) sum += squared_distance(x, i, x, j, d);
  }
  return sum / static_cast<double>(rows * (rows - 1));
}

double mmd_of(const Numbers& x, const Numbers& y, std::size_t d, double spread) {
  const auto mean_kernel = [&](const Numbers& a, const Numbers& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size() / d; ++i) {
      for (std::size_t j = 0; j < b.size() / d; ++j) {
        for (int k = -2; k <= 2; ++k) sum += std::exp(-squared_distance(a, i, b, j, d) / (std::ldexp(spread, k))) / 5;
      }
    }
    return sum / static_cast<double>((a.size() / d) * (b.size() / d));
  };
  return mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y);
}

/// Value and slope by both halves of a distance of two samples, m and n rows of d numbers.
void check_distance(const std::function<Value(const Value&, const Value&)>& distance, std::size_t m, std::size_t n,
                    std::size_t d, const std::function<double(const Numbers&, const Numbers&)>& wanted) {
  const Numbers x = normal_numbers(11, m * d, 1.5), y = normal_numbers(12, n * d, 0.7);
  const auto rows = [](std::size_t count) { return static_cast<std::int64_t>(count); };
  for (const Device& device : testing::devices()) {
    Numbers both = x;
    both.insert(both.end(), y.begin(), y.end());
    const Shape shape{rows(m + n), rows(d)};
    const auto loss = [&](const Value& all) {
      return distance(graph::slice(all, 0, 0, rows(m)), graph::slice(all, 0, rows(m), rows(m + n)));
    };
    const double value = wanted(x, y);
    EXPECT_NEAR(run(device, both, shape, loss).front(), value, 1e-5 * (1 + value));
    const Numbers slope = gradient(device, both, shape, loss);
    for (std::size_t i = 0; i < both.size(); ++i) {
      const auto moved = [&](double step) {
        Numbers a = x, b = y;
        (i < x.size() ? a[i] : b[i - x.size()]) += step;
        return wanted(a, b);
      };
      EXPECT_NEAR(slope[i], (moved(1e-5) - moved(-1e-5)) / 2e-5, 1e-8) << i;
    }
  }
}

TEST(Objectives, CoralIsTheDistanceOfCovariances) {
  for (const auto& [m, n] : {std::pair<std::size_t, std::size_t>{6, 4}, {5, 1}, {3, 3}}) {
    check_distance(objectives::coral, m, n, 3,
                   [m, n](const Numbers& x, const Numbers& y) { return coral_of(x, m, y, n, 3); });
  }
}

TEST(Objectives, MmdIsTheMeanOfItsKernels) {
  for (const auto& [m, n] : {std::pair<std::size_t, std::size_t>{6, 4}, {5, 1}, {3, 3}}) {
    const double spread = spread_of(normal_numbers(11, m * 3, 1.5), normal_numbers(12, n * 3, 0.7), 3);
    check_distance(objectives::mmd, m, n, 3,
                   [spread](const Numbers& x, const Numbers& y) { return mmd_of(x, y, 3, spread); });
  }
}

TEST(Objectives, DistancesOfEqualSamplesAreZero) {
  for (const Device& device : testing::devices()) {
    const Numbers x = normal_numbers(13, 4 * 3, 1);
    for (const auto& distance : {objectives::coral, objectives::mmd}) {
      EXPECT_NEAR(run(device, x, {4, 3}, [&](const Value& v) { return distance(v, v); }).front(), 0, 1e-6);
      const Numbers alike(12, 0.5);
      const Numbers slope = gradient(device, alike, {4, 3}, [&](const Value& v) { return distance(v, v); });
      for (const double value : slope) EXPECT_EQ(value, 0) << "rows that are all alike";
    }
  }
}

TEST(Objectives, ReversedGradientsAreScaledAndNegative) {
  for (const Device& device : testing::devices()) {
    const Numbers x = normal_numbers(6, 12, 1);
    const auto plain = [](const Value& v) { return graph::sum(graph::square(v)); };
    const auto reversed = [&](const Value& v) {
      const Value factor = v.graph().constant("lambda", Tensor::from(std::vector<float>{0.25F}, {1}, device));
      return graph::sum(graph::square(graph::reverse_gradient(v, factor)));
    };
    const auto still = [](const Value& v) { return graph::sum(graph::add(graph::square(graph::stop_gradient(v)), v)); };
    const Numbers a = gradient(device, x, {4, 3}, plain), b = gradient(device, x, {4, 3}, reversed);
    const Numbers c = gradient(device, x, {4, 3}, still);
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(b[i], -0.25 * a[i], 1e-12);
      EXPECT_EQ(c[i], 1);
    }
    const Numbers values = run(device, x, {4, 3}, [&](const Value& v) {
      return graph::reverse_gradient(v, v.graph().constant("l", Tensor::from(std::vector<float>{3}, {1}, device)));
    });
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(values[i], static_cast<double>(static_cast<float>(x[i])));
  }
}

}  // namespace
}  // namespace rtl::transfer
