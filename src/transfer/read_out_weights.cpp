#include "transfer/read_out_weights.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include "rtl/core/error.hpp"
#include "transfer/mixture.hpp"

namespace rtl::transfer::detail {
namespace {

constexpr std::array<double, 9> factors{1, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02};
constexpr int rounds = 120;
/// A probability in f32 logits is known no better than this.
constexpr double least_probability = 1e-12;

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The loss of each row.
std::vector<double> losses(const RowTargets& rows, const std::vector<float>& outputs, double temperature) {
  const auto columns = static_cast<std::size_t>(rows.task.outputs);
  std::vector<double> losses(outputs.size() / columns), row(columns);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const float* z = outputs.data() + i * columns;
    if (rows.task.regression) {
      for (std::size_t c = 0; c < columns; ++c) {
        const double error = rows.targets[i * columns + c] - temperature * z[c];
        losses[i] += error * error / static_cast<double>(columns);
      }
      continue;
    }
    log_softmax(z, columns, temperature, row.data());
    losses[i] = -std::max(row[static_cast<std::size_t>(rows.labels[i])], std::log(least_probability));
  }
  return losses;
}

/// Solves the symmetric system A x = b, A [m, m] of full rank to rounding; nothing if it is not.
std::optional<std::vector<double>> solve(std::vector<double> a, std::vector<double> b) {
  const std::size_t m = b.size();
  for (std::size_t k = 0; k < m; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k + 1; i < m; ++i) {
      if (std::abs(a[i * m + k]) > std::abs(a[pivot * m + k])) pivot = i;
    }
    if (!(std::abs(a[pivot * m + k]) > 1e-300)) return {};
    for (std::size_t j = 0; j < m; ++j) std::swap(a[k * m + j], a[pivot * m + j]);
    std::swap(b[k], b[pivot]);
    for (std::size_t i = k + 1; i < m; ++i) {
      const double factor = a[i * m + k] / a[k * m + k];
      for (std::size_t j = k; j < m; ++j) a[i * m + j] -= factor * a[k * m + j];
      b[i] -= factor * b[k];
    }
  }
  for (std::size_t k = m; k-- > 0;) {
    for (std::size_t j = k + 1; j < m; ++j) b[k] -= a[k * m + j] * b[j];
    b[k] /= a[k * m + k];
  }
  return b;
}

/// The minimum of w'Gw over the weights of a face that sum to one, by the Lagrange system; nothing if one is negative.
std::optional<std::vector<double>> minimum_on_face(const std::vector<double>& gram, std::size_t m,
                                                   const std::vector<std::size_t>& face) {
  const std::size_t size = face.size() + 1;
  std::vector<double> system(size * size), right(size);
  double trace = 0;
  for (const std::size_t i : face) trace += gram[i * m + i];
  const double ridge = 1e-12 * trace / static_cast<double>(face.size());  // equal columns share their weight
  for (std::size_t i = 0; i < face.size(); ++i) {
    for (std::size_t j = 0; j < face.size(); ++j) system[i * size + j] = gram[face[i] * m + face[j]];
    system[i * size + i] += ridge;
    system[i * size + face.size()] = system[face.size() * size + i] = 1;
  }
  right[face.size()] = 1;
  std::optional<std::vector<double>> found = solve(system, right);
  if (!found) return {};
  found->pop_back();
  if (std::any_of(found->begin(), found->end(), [](double w) { return !(w >= 0); })) return {};
  return found;
}

}  // namespace

std::span<const double> shrink_factors() { return factors; }

std::vector<double> mixture_weights(const std::vector<std::vector<double>>& probabilities, double count) {
  const std::size_t members = probabilities.size();
  std::size_t rows = 0;
  for (const auto& member : probabilities) rows = std::max(rows, member.size());
  std::vector<double> weights(members, 1.0 / static_cast<double>(members)), sums(members);
  for (int round = 0; round < rounds; ++round) {
    std::fill(sums.begin(), sums.end(), count);
    for (std::size_t i = 0; i < rows; ++i) {
      double all = 0;
      for (std::size_t k = 0; k < members; ++k) all += probabilities[k].empty() ? 0 : weights[k] * probabilities[k][i];
      for (std::size_t k = 0; k < members; ++k) {
        if (!probabilities[k].empty()) sums[k] += weights[k] * probabilities[k][i] / all;
      }
    }
    const double total = std::accumulate(sums.begin(), sums.end(), 0.0);
    for (std::size_t k = 0; k < members; ++k) weights[k] = sums[k] / total;
  }
  return weights;
}

std::vector<double> simplex_weights(const std::vector<std::vector<double>>& columns, std::span<const double> y) {
  const std::size_t m = columns.size();
  if (m > 16) throw ValueError("simplex_weights: more than 16 columns");
  std::vector<double> gram(m * m);  // of the columns' errors: weights that sum to one have the error sum_k w_k e_k
  for (std::size_t j = 0; j < m; ++j) {
    for (std::size_t k = j; k < m; ++k) {
      double sum = 0;
      for (std::size_t i = 0; i < y.size(); ++i) sum += (columns[j][i] - y[i]) * (columns[k][i] - y[i]);
      gram[j * m + k] = gram[k * m + j] = sum;
    }
  }
  std::vector<double> best(m);
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t mask = 1; mask < (std::size_t{1} << m); ++mask) {
    std::vector<std::size_t> face;
    for (std::size_t k = 0; k < m; ++k) {
      if ((mask >> k) & 1U) face.push_back(k);
    }
    const std::optional<std::vector<double>> found = minimum_on_face(gram, m, face);
    if (!found) continue;
    double error = 0;
    for (std::size_t i = 0; i < face.size(); ++i) {
      for (std::size_t j = 0; j < face.size(); ++j) error += (*found)[i] * (*found)[j] * gram[face[i] * m + face[j]];
    }
    if (!(error < least)) continue;
    least = error;
    std::fill(best.begin(), best.end(), 0);
    for (std::size_t i = 0; i < face.size(); ++i) best[face[i]] = (*found)[i];
  }
  const double sum = std::accumulate(best.begin(), best.end(), 0.0);
  if (!(sum > 0)) return std::vector<double>(m, 1.0 / static_cast<double>(m));
  for (double& weight : best) weight /= sum;
  return best;
}

namespace {

/// Losses that the shares of the classes, or the mean of real targets, give.
std::vector<double> losses_of_shares(const RowTargets& rows) {
  const auto outputs = static_cast<std::size_t>(rows.task.outputs);
  if (rows.task.regression) return losses(rows, std::vector<float>(rows.targets.size()), 1);
  std::vector<double> counts(outputs), losses;
  for (const std::int32_t label : rows.labels) counts[static_cast<std::size_t>(label)] += 1;
  for (const std::int32_t label : rows.labels) {
    losses.push_back(-std::log(counts[static_cast<std::size_t>(label)] / static_cast<double>(rows.labels.size())));
  }
  return losses;
}

/// Mean of a - b and its standard error.
std::pair<double, double> mean_difference(const std::vector<double>& a, const std::vector<double>& b) {
  const auto n = static_cast<double>(a.size());
  const double mean = mean_of(a) - mean_of(b);
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i] - mean) * (a[i] - b[i] - mean);
  return {mean, n > 1 ? std::sqrt(squares / (n * (n - 1))) : 0};
}

std::vector<double> weights_of_values(const RowTargets& rows, const std::vector<LeftOutOutputs>& outputs,
                                      const std::vector<ReadOut>& read_outs, const std::vector<bool>& useful) {
  std::vector<std::vector<double>> columns;
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    if (!useful[k]) continue;
    std::vector<double>& column = columns.emplace_back(outputs[k].outputs.begin(), outputs[k].outputs.end());
    for (double& value : column) value *= read_outs[k].temperature;
  }
  const std::vector<double> found =
      simplex_weights(columns, std::vector<double>(rows.targets.begin(), rows.targets.end()));
  std::vector<double> weights;
  std::size_t next = 0;
  for (const bool is_useful : useful) weights.push_back(is_useful ? found[next++] : 0);
  return weights;
}

}  // namespace

std::vector<bool> failed_parts(const RowTargets& rows, const std::vector<float>& outputs,
                               std::span<const std::int64_t> sizes) {
  const auto means_of = [&](const std::vector<double>& losses) {
    std::vector<double> means;
    auto begin = losses.begin();
    for (const std::int64_t size : sizes) {
      means.push_back(std::accumulate(begin, begin + size, 0.0) / static_cast<double>(size));
      begin += size;
    }
    return means;
  };
  std::vector<double> best;
  double least = INFINITY;
  for (const double factor : factors) {
    std::vector<double> means = means_of(losses(rows, outputs, factor)), sorted = means;
    std::sort(sorted.begin(), sorted.end());
    const double median = 0.5 * (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]);
    if (!(median < least) && !best.empty()) continue;
    least = median;
    best = std::move(means);
  }
  const std::vector<double> shares = means_of(losses_of_shares(rows));
  std::vector<bool> failed;
  for (std::size_t k = 0; k < best.size(); ++k) failed.push_back(!(best[k] <= 2 * shares[k]));
  if (2 * std::count(failed.begin(), failed.end(), true) >= static_cast<std::ptrdiff_t>(failed.size())) {
    failed.assign(failed.size(), false);
  }
  return failed;
}

std::vector<ReadOut> weigh(const RowTargets& rows, const std::vector<LeftOutOutputs>& outputs, const WeightRule& rule) {
  std::vector<ReadOut> read_outs;
  std::vector<std::vector<double>> of_rows;
  for (const LeftOutOutputs& output : outputs) {
    ReadOut& best = read_outs.emplace_back(ReadOut{.name = output.name, .loss = INFINITY});
    std::vector<double>& kept = of_rows.emplace_back();
    for (const double factor : factors) {
      std::vector<double> found = losses(rows, output.outputs, factor);
      const double mean = mean_of(found);
      if (!(mean < best.loss) && !kept.empty()) continue;
      best.loss = mean;
      best.temperature = factor;
      kept = std::move(found);
    }
  }
  const std::vector<double> shares = losses_of_shares(rows);
  std::vector<bool> useful;
  for (std::size_t k = 0; k < read_outs.size(); ++k) {
    std::tie(read_outs[k].difference, read_outs[k].standard_error) = mean_difference(of_rows[k], of_rows[1]);
    const auto [beyond_shares, error] = mean_difference(of_rows[k], shares);
    useful.push_back(k == 1 || (k == 0 ? read_outs[0].difference <= rule.tolerance * read_outs[0].standard_error
                                       : -beyond_shares > error));
  }
  std::vector<double> weights;
  if (rows.task.regression) {
    weights = weights_of_values(rows, outputs, read_outs, useful);
  } else {
    for (std::size_t k = 0; k < of_rows.size(); ++k) {
      if (!useful[k]) of_rows[k].clear();
      for (double& value : of_rows[k]) value = std::exp(-value);
    }
    weights = mixture_weights(of_rows, rule.count);
  }
  for (std::size_t k = 0; k < read_outs.size(); ++k) read_outs[k].weight = weights[k];
  return read_outs;
}

double calibrated_temperature(std::span<const double> base, const std::vector<double>& scores,
                              std::span<const std::int32_t> labels, double highest) {
  const std::size_t classes = base.size(), rows = labels.size();
  std::vector<double> doubt(classes, 2);
  for (const std::int32_t label : labels) doubt[static_cast<std::size_t>(label)] += 1;
  for (double& share : doubt) share = 1 / share;
  // First and second derivative of the sum of cross-entropies, which is convex in T.
  const auto derivatives = [&](double t) {
    double first = 0, second = 0;
    std::vector<double> p(classes);
    for (std::size_t i = 0; i < rows; ++i) {
      const double* s = scores.data() + i * classes;
      const auto own = static_cast<std::size_t>(labels[i]);
      const double others = classes > 1 ? doubt[own] / static_cast<double>(classes - 1) : 0;
      double largest = -INFINITY, sum = 0, mean = 0, square = 0, wanted = (1 - doubt[own] - others) * s[own];
      for (std::size_t c = 0; c < classes; ++c) wanted += others * s[c];
      for (std::size_t c = 0; c < classes; ++c) largest = std::max(largest, p[c] = base[c] + t * s[c]);
      for (std::size_t c = 0; c < classes; ++c) sum += p[c] = std::exp(p[c] - largest);
      for (std::size_t c = 0; c < classes; ++c) mean += p[c] / sum * s[c];
      for (std::size_t c = 0; c < classes; ++c) square += p[c] / sum * (s[c] - mean) * (s[c] - mean);
      first += mean - wanted;
      second += square;
    }
    return std::pair(first, second);
  };
  if (derivatives(0).first >= 0) return 0;
  if (derivatives(highest).first <= 0) return highest;
  double low = 0, high = highest, t = std::min(1.0, highest);
  for (int step = 0; step < 60 && high - low > 1e-9 * high; ++step) {
    const auto [first, second] = derivatives(t);
    (first < 0 ? low : high) = t;
    const double newton = second > 0 ? t - first / second : low;
    const double next = newton > low && newton < high ? newton : 0.5 * (low + high);
    if (std::abs(next - t) <= 1e-9 * t) return next;
    t = next;
  }
  return t;
}

}  // namespace rtl::transfer::detail
