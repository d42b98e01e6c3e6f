// The linear probe of the multi-view problem.
#include <algorithm>
#include <cmath>

#include "studies/ensemble/views.hpp"

namespace rtl::studies::ensemble {
namespace {

constexpr int epochs = 28;
constexpr std::int64_t batch = 32;
constexpr double momentum = .9, first_rate = .05, start_deviation = .01;
constexpr double variance_floor = 1e-5;  // as batch norm adds it; neurons that have learnt nothing lie below

/// Rows of doubles.
struct Table {
  std::int64_t rows = 0, columns = 0;
  std::vector<double> values;
  const double* row(std::int64_t i) const { return values.data() + i * columns; }
};

Table side_by_side(const std::vector<Tensor>& blocks) {
  Table table{blocks.front().extent(0), 0, {}};
  for (const Tensor& block : blocks) table.columns += block.extent(1);
  table.values.resize(static_cast<std::size_t>(table.rows * table.columns));
  std::int64_t first = 0;
  for (const Tensor& block : blocks) {
    const float* from = block.data_as<float>();
    for (std::int64_t i = 0; i < table.rows; ++i) {
      std::copy_n(from + i * block.extent(1), block.extent(1), table.values.data() + i * table.columns + first);
    }
    first += block.extent(1);
  }
  return table;
}

/// By the training rows' means and variances, as batch norm does it.
void standardise(Table& training, Table& test) {
  for (std::int64_t j = 0; j < training.columns; ++j) {
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < training.rows; ++i) sum += training.row(i)[j];
    const double mean = sum / static_cast<double>(training.rows);
    for (std::int64_t i = 0; i < training.rows; ++i) squares += std::pow(training.row(i)[j] - mean, 2);
    const double deviation = std::sqrt(squares / static_cast<double>(training.rows) + variance_floor);
    for (Table* table : {&training, &test}) {
      for (std::int64_t i = 0; i < table->rows; ++i) {
        double& value = table->values[static_cast<std::size_t>(i * table->columns + j)];
        value = (value - mean) / deviation;
      }
    }
  }
}

/// Weights [classes, columns + 1], the intercept last.
class Classifier {
 public:
  Classifier(std::int64_t columns, std::uint64_t seed)
      : columns_(columns),
        weights_(static_cast<std::size_t>(class_count * (columns + 1))),
        speed_(weights_.size(), 0.0) {
    RandomSequence random(seed, 1);
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      const bool intercept = static_cast<std::int64_t>(i) % (columns + 1) == columns;
      weights_[i] = intercept ? 0 : start_deviation * random.normal();
    }
  }

  void scores(const double* x, double* result) const {
    for (int c = 0; c < class_count; ++c) {
      const double* w = weights_.data() + c * (columns_ + 1);
      double sum = w[columns_];
      for (std::int64_t j = 0; j < columns_; ++j) sum += w[j] * x[j];
      result[c] = sum;
    }
  }

  void step(const Table& table, const std::vector<int>& labels, const std::vector<std::int64_t>& rows, double rate,
            double decay) {
    std::vector<double> gradient(weights_.size());
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = decay * weights_[i];
    for (const std::int64_t row : rows) {
      double p[class_count];
      scores(table.row(row), p);
      const double largest = *std::max_element(p, p + class_count);
      double sum = 0;
      for (double& value : p) sum += value = std::exp(value - largest);
      for (int c = 0; c < class_count; ++c) {
        const double error =
            (p[c] / sum - (c == labels[static_cast<std::size_t>(row)] ? 1 : 0)) / static_cast<double>(rows.size());
        double* g = gradient.data() + c * (columns_ + 1);
        for (std::int64_t j = 0; j < columns_; ++j) g[j] += error * table.row(row)[j];
        g[columns_] += error;
      }
    }
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      speed_[i] = momentum * speed_[i] + gradient[i];
      weights_[i] -= rate * (gradient[i] + momentum * speed_[i]);
    }
  }

  double accuracy(const Table& table, const std::vector<int>& labels) const {
    std::int64_t right = 0;
    for (std::int64_t i = 0; i < table.rows; ++i) {
      double p[class_count];
      scores(table.row(i), p);
      right += std::max_element(p, p + class_count) - p == labels[static_cast<std::size_t>(i)] ? 1 : 0;
    }
    return static_cast<double>(right) / static_cast<double>(table.rows);
  }

 private:
  std::int64_t columns_;
  std::vector<double> weights_, speed_;
};

}  // namespace

double probe(const std::vector<Tensor>& training, const std::vector<int>& training_labels,
             const std::vector<Tensor>& test, const std::vector<int>& test_labels, std::uint64_t seed) {
  Table rows = side_by_side(training), others = side_by_side(test);
  standardise(rows, others);
  double best = 0;
  for (const double decay : {5e-4, 5e-3, 5e-2}) {
    Classifier classifier(rows.columns, seed);
    RandomSequence random(seed, 2);
    double rate = first_rate;
    for (int epoch = 0; epoch < epochs; ++epoch) {
      if (epoch == 8 || epoch == 16 || epoch == 24) rate *= .1;
      const std::vector<std::int64_t> order = random.permutation(rows.rows);
      for (std::int64_t first = 0; first < rows.rows; first += batch) {
        const auto begin = order.begin() + first;
        classifier.step(rows, training_labels, {begin, order.begin() + std::min(first + batch, rows.rows)}, rate,
                        decay);
      }
    }
    best = std::max(best, classifier.accuracy(others, test_labels));
  }
  return best;
}

}  // namespace rtl::studies::ensemble
