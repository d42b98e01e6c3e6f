// TransferAdvisor: its leave-one-out errors are those of refitting everything without the row, its models are L2-SP
// solutions, and it does not fall for a bad source.
#include "rtl/transfer/advisor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "solvers/ridge_reference.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"

namespace {

using rtl::Device;
using rtl::Tensor;
using rtl::solvers::L2SPSource;
using rtl::test::Matrix;
using rtl::transfer::AdvisorCandidate;
using rtl::transfer::AdvisorOptions;
using rtl::transfer::AdvisorReport;
using rtl::transfer::CentreKind;
using rtl::transfer::TransferAdvisor;

Matrix random_matrix(rtl::test::RandomTensors& random, std::int64_t rows, std::int64_t columns) {
  Matrix matrix(rows, columns);
  const std::vector<double> values = random.values(rows * columns);
  std::copy(values.begin(), values.end(), matrix.values.begin());
  return matrix;
}

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c(a.rows, b.columns);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < b.columns; ++j) {
      for (std::int64_t l = 0; l < a.columns; ++l) c(i, j) += a(i, l) * b(l, j);
    }
  }
  return c;
}

Matrix sum(Matrix a, const Matrix& b, long double factor = 1) {
  for (std::size_t i = 0; i < a.values.size(); ++i) a.values[i] += factor * b.values[i];
  return a;
}

Tensor tensor(const Matrix& matrix, const Device& device) {
  return Tensor::from(matrix.doubles(), {matrix.rows, matrix.columns}, device);
}

Matrix matrix_of(const Tensor& values) {
  Matrix matrix(values.extent(0), values.rank() == 2 ? values.extent(1) : 1);
  const std::vector<double> host = values.to_vector<double>();
  std::copy(host.begin(), host.end(), matrix.values.begin());
  return matrix;
}

/// A target with sources that know something of it; every source's truth is the target's plus a difference.
struct Problem {
  Matrix x, y;
  std::vector<Matrix> source_x, source_y;
  std::vector<Tensor> tensors;
  std::vector<std::unique_ptr<L2SPSource>> sources;

  Problem(rtl::test::RandomTensors& random, const Device& device, std::int64_t rows, std::int64_t features,
          std::vector<std::int64_t> source_outputs, std::int64_t outputs, bool intercept) {
    const Matrix truth = random_matrix(random, features, outputs);
    x = random_matrix(random, rows, features);
    y = sum(product(x, truth), random_matrix(random, rows, outputs), 0.3L);
    for (long double& value : y.values) value += 0.7L;
    for (const std::int64_t width : source_outputs) {
      const Matrix mixture = random_matrix(random, outputs, width);
      Matrix own = width == outputs ? truth : product(truth, mixture);
      own = sum(own, random_matrix(random, features, width), 0.4L);
      source_x.push_back(random_matrix(random, 25, features));
      source_y.push_back(sum(product(source_x.back(), own), random_matrix(random, 25, width), 0.2L));
      tensors.push_back(tensor(source_x.back(), device));
      tensors.push_back(tensor(source_y.back(), device));
    }
    for (std::size_t s = 0; s < source_x.size(); ++s) {
      sources.push_back(std::make_unique<L2SPSource>(device, tensors[2 * s], tensors[2 * s + 1],
                                                     rtl::solvers::L2SPSourceOptions{.intercept = intercept}));
    }
  }
  std::vector<const L2SPSource*> pointers() const {
    std::vector<const L2SPSource*> all;
    for (const auto& source : sources) all.push_back(source.get());
    return all;
  }
};

/// sum over sources of alpha_s w0_s, alpha by regression on the rows but one.
Matrix scaled_without(const Problem& problem, std::int64_t left_out, bool intercept) {
  const std::size_t m = problem.sources.size();
  std::vector<Matrix> solutions, g;
  for (const auto& source : problem.sources) {
    solutions.push_back(matrix_of(source->coefficients(source->prior().penalty)));
    g.push_back(product(problem.x, solutions.back()));
  }
  const auto centred = [&](const Matrix& values) {
    Matrix out(values.rows - (left_out >= 0 ? 1 : 0), values.columns);
    for (std::int64_t j = 0; j < values.columns; ++j) {
      long double mean = 0;
      std::int64_t row = 0;
      for (std::int64_t i = 0; i < values.rows; ++i) {
        if (i == left_out) continue;
        mean += values(i, j) / static_cast<long double>(out.rows);
        out(row++, j) = values(i, j);
      }
      for (std::int64_t i = 0; intercept && i < out.rows; ++i) out(i, j) -= mean;
    }
    return out;
  };
  const auto inner = [](const Matrix& a, const Matrix& b) {
    long double total = 0;
    for (std::size_t i = 0; i < a.values.size(); ++i) total += a.values[i] * b.values[i];
    return total;
  };
  const auto size = static_cast<std::int64_t>(m);
  Matrix s(size, size), b(size, 1);
  for (std::int64_t i = 0; i < size; ++i) {
    const Matrix left = centred(g[static_cast<std::size_t>(i)]);
    b(i, 0) = inner(left, centred(problem.y));
    for (std::int64_t j = 0; j < size; ++j) s(i, j) = inner(left, centred(g[static_cast<std::size_t>(j)]));
  }
  rtl::test::solve(s, b);
  Matrix centre(problem.x.columns, problem.y.columns);
  for (std::int64_t i = 0; i < size; ++i) centre = sum(centre, solutions[static_cast<std::size_t>(i)], b(i, 0));
  return centre;
}

Matrix mixed_without(const Problem& problem, std::int64_t left_out, bool intercept, double penalty) {
  std::int64_t width = 0;
  for (const auto& source : problem.sources) width += source->outputs();
  Matrix stacked(problem.x.columns, width);
  std::int64_t first = 0;
  for (const auto& source : problem.sources) {
    const Matrix w = matrix_of(source->coefficients(source->prior().penalty));
    for (std::int64_t i = 0; i < w.rows; ++i) {
      for (std::int64_t j = 0; j < w.columns; ++j) stacked(i, first + j) = w(i, j);
    }
    first += w.columns;
  }
  const rtl::test::ReferenceProblem regression{product(problem.x, stacked), problem.y, {}, {}, intercept};
  const long double total = static_cast<long double>(penalty) * static_cast<long double>(problem.x.rows);
  return product(stacked, rtl::test::reference_fit(regression, total, left_out).coefficients);
}

Matrix centre_without(const Problem& problem, const AdvisorCandidate& candidate, std::int64_t left_out,
                      bool intercept) {
  switch (candidate.kind) {
    case CentreKind::scratch:
      return Matrix(problem.x.columns, problem.y.columns);
    case CentreKind::source:
      return matrix_of(problem.sources[candidate.source]->coefficients(candidate.source_penalty));
    case CentreKind::scaled:
      return scaled_without(problem, left_out, intercept);
    case CentreKind::mixed:
      return mixed_without(problem, left_out, intercept, candidate.mixing_penalty);
    case CentreKind::unchanged:
      break;  // has no refits
  }
  return {};
}

/// The source as it is: predictions X w0 plus its own intercept or the mean of what is left of the other rows.
void compare_unchanged(const Problem& problem, const TransferAdvisor& advisor, std::size_t c, bool intercept) {
  const AdvisorCandidate& candidate = advisor.report().candidates[c];
  EXPECT_EQ(candidate.target_penalty, std::numeric_limits<double>::infinity());
  const L2SPSource& source = *problem.sources[candidate.source];
  EXPECT_EQ(candidate.source_penalty, source.prior().penalty);
  const Matrix w0 = matrix_of(source.coefficients(candidate.source_penalty));
  const Matrix b0 = matrix_of(source.intercept(candidate.source_penalty));
  const Matrix left = sum(problem.y, product(problem.x, w0), -1);
  long double squares = 0;
  for (std::int64_t j = 0; j < left.columns; ++j) {
    long double total = 0;
    for (std::int64_t i = 0; i < left.rows; ++i) total += left(i, j);
    for (std::int64_t i = 0; i < left.rows; ++i) {
      long double offset = 0;
      if (intercept) offset = candidate.source_intercept ? b0(j, 0) : (total - left(i, j)) / (left.rows - 1);
      squares += (left(i, j) - offset) * (left(i, j) - offset);
    }
    const long double offset = !intercept ? 0 : candidate.source_intercept ? b0(j, 0) : total / left.rows;
    EXPECT_NEAR(advisor.candidate_intercept(c).to_vector<double>()[static_cast<std::size_t>(j)],
                static_cast<double>(offset), 1e-12);
  }
  const auto expected = static_cast<double>(squares / static_cast<long double>(left.rows * left.columns));
  EXPECT_NEAR(candidate.leave_one_out, expected, 1e-9 * expected);
  EXPECT_EQ(advisor.candidate_coefficients(c).to_vector<double>(), w0.doubles());
}

void compare_with_refits(const Problem& problem, const TransferAdvisor& advisor, bool intercept) {
  const auto n = static_cast<long double>(problem.x.rows);
  for (std::size_t c = 0; c < advisor.report().candidates.size(); ++c) {
    const AdvisorCandidate& candidate = advisor.report().candidates[c];
    SCOPED_TRACE("candidate " + std::to_string(c) + ", " + to_string(candidate.kind));
    if (candidate.kind == CentreKind::unchanged) {
      compare_unchanged(problem, advisor, c, intercept);
      continue;
    }
    const long double total = n * static_cast<long double>(candidate.target_penalty);
    long double squares = 0;
    for (std::int64_t i = 0; i < problem.x.rows; ++i) {
      const Matrix centre = centre_without(problem, candidate, i, intercept);
      const rtl::test::ReferenceProblem target{problem.x, problem.y, centre, {}, intercept};
      const auto fit = rtl::test::reference_fit(target, total, i);
      for (std::int64_t j = 0; j < problem.y.columns; ++j) {
        const long double error = problem.y(i, j) - rtl::test::reference_prediction(target, fit, i, j);
        squares += error * error;
      }
    }
    const auto expected = static_cast<double>(squares / (n * static_cast<long double>(problem.y.columns)));
    EXPECT_NEAR(candidate.leave_one_out, expected, 1e-9 * expected);

    const Matrix centre = centre_without(problem, candidate, -1, intercept);
    const rtl::test::ReferenceProblem target{problem.x, problem.y, centre, {}, intercept};
    const auto fit = rtl::test::reference_fit(target, total);
    const std::vector<double> w = advisor.candidate_coefficients(c).to_vector<double>();
    for (std::size_t i = 0; i < w.size(); ++i) {
      EXPECT_NEAR(w[i], static_cast<double>(fit.coefficients.values[i]), 1e-8) << "coefficient " << i;
    }
    const std::vector<double> b = advisor.candidate_intercept(c).to_vector<double>();
    for (std::size_t j = 0; j < b.size(); ++j) EXPECT_NEAR(b[j], static_cast<double>(fit.intercept[j]), 1e-8);
  }
}

struct Setting {
  std::string name;
  std::int64_t rows, features, outputs;
  std::vector<std::int64_t> source_outputs;
};

TEST(TransferAdvisor, LeaveOneOutIsRefittingWithoutTheRow) {
  const std::vector<Setting> settings = {{"primal", 17, 4, 2, {2}},
                                         {"dual", 9, 13, 1, {1}},
                                         {"two sources", 15, 5, 3, {3, 3}},
                                         {"other labels", 16, 5, 2, {3}},
                                         {"other labels, two sources, dual", 11, 14, 2, {3, 1}}};
  for (const Device& device : rtl::test::devices()) {
    for (const Setting& setting : settings) {
      for (const bool intercept : {true, false}) {
        SCOPED_TRACE(device.name() + ", " + setting.name + (intercept ? "" : ", no intercept"));
        rtl::test::RandomTensors random(rtl::test::fresh_seed());
        const Problem problem(random, device, setting.rows, setting.features, setting.source_outputs, setting.outputs,
                              intercept);
        const TransferAdvisor advisor(device, problem.pointers(), tensor(problem.x, device), tensor(problem.y, device),
                                      {.intercept = intercept, .target_penalties = {0.02, 0.3}});
        const auto& candidates = advisor.report().candidates;
        const auto unchanged = std::count_if(candidates.begin(), candidates.end(), [](const auto& candidate) {
          return candidate.kind == CentreKind::unchanged;
        });
        const bool same_labels = setting.source_outputs[0] == setting.outputs;
        const auto each = static_cast<std::ptrdiff_t>(setting.source_outputs.size()) * (intercept ? 2 : 1);
        EXPECT_EQ(unchanged, same_labels ? each : 0);
        compare_with_refits(problem, advisor, intercept);
      }
    }
  }
}

TEST(TransferAdvisor, TheModelIsTheTrustedAverage) {
  for (const Device& device : rtl::test::devices()) {
    rtl::test::RandomTensors random(rtl::test::fresh_seed());
    const Problem problem(random, device, 20, 6, {2}, 2, true);
    const Tensor x = tensor(problem.x, device), y = tensor(problem.y, device);
    const TransferAdvisor advisor(device, *problem.sources[0], x, y);
    const AdvisorReport& report = advisor.report();
    ASSERT_GT(report.candidates.size(), 2u);
    ASSERT_EQ(report.weights.size(), report.candidates.size());
    const std::vector<double> w = advisor.coefficients().to_vector<double>();
    std::vector<double> expected_w(w.size());
    double weights = 0;
    for (std::size_t c = 0; c < report.weights.size(); ++c) {
      EXPECT_GE(report.weights[c], 0);
      weights += report.weights[c];
      const std::vector<double> own = advisor.candidate_coefficients(c).to_vector<double>();
      for (std::size_t i = 0; i < w.size(); ++i) expected_w[i] += report.weights[c] * own[i];
    }
    EXPECT_NEAR(weights, 1, 1e-14);
    EXPECT_THROW((void)advisor.candidate_coefficients(report.weights.size()), rtl::Error);
    EXPECT_THROW((void)advisor.candidate_intercept(report.weights.size()), rtl::Error);
    EXPECT_NEAR(report.trust, 1 - report.weights[0], 1e-15);
    for (std::size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(w[i], expected_w[i], 1e-13);
    const std::vector<double> out = advisor.predict(x).to_vector<double>();
    const std::vector<double> b = advisor.intercept().to_vector<double>();
    const Matrix expected = product(problem.x, matrix_of(advisor.coefficients()));
    for (std::int64_t i = 0; i < expected.rows; ++i) {
      for (std::int64_t j = 0; j < 2; ++j) {
        EXPECT_NEAR(out[static_cast<std::size_t>(i * 2 + j)],
                    static_cast<double>(expected(i, j)) + b[static_cast<std::size_t>(j)], 1e-12);
      }
    }
    EXPECT_NEAR(report.gain, report.candidates[0].leave_one_out - report.leave_one_out, 1e-12);

    const TransferAdvisor chosen(device, *problem.sources[0], x, y, {.rule = rtl::transfer::AdvisorRule::choose});
    for (const double weight : chosen.report().weights) EXPECT_TRUE(weight == 0 || weight == 1) << weight;
    const auto taken = std::find(chosen.report().weights.begin(), chosen.report().weights.end(), 1.0);
    ASSERT_NE(taken, chosen.report().weights.end());
    const auto& candidate =
        chosen.report().candidates[static_cast<std::size_t>(taken - chosen.report().weights.begin())];
    EXPECT_NEAR(chosen.report().leave_one_out, candidate.leave_one_out, 1e-12);
    EXPECT_GE(candidate.gain, 0);
  }
}

/// x [rows, features] standard normal; y = x w + noise.
struct Sample {
  Matrix x, y;
  Sample(rtl::RandomSequence& random, std::int64_t rows, const std::vector<double>& w, double noise)
      : x(rows, static_cast<std::int64_t>(w.size())), y(rows, 1) {
    for (long double& value : x.values) value = random.normal();
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < w.size(); ++j) y(i, 0) += x(i, static_cast<std::int64_t>(j)) * w[j];
      y(i, 0) += noise * random.normal();
    }
  }
};

TEST(TransferAdvisor, TakesAGoodSourceAndLeavesABadOne) {
  const Device device = Device::cpu();
  rtl::RandomSequence random(7, 1);
  std::vector<double> truth(40), opposite(40);
  for (std::size_t j = 0; j < truth.size(); ++j) truth[j] = random.normal() / std::sqrt(40.0), opposite[j] = -truth[j];
  const Sample good(random, 400, truth, 0.5), bad(random, 400, opposite, 0.5), target(random, 30, truth, 0.5);
  const Tensor gx = tensor(good.x, device), gy = tensor(good.y, device);
  const Tensor bx = tensor(bad.x, device), by = tensor(bad.y, device);
  const Tensor x = tensor(target.x, device), y = tensor(target.y, device);
  const L2SPSource helpful(device, gx, gy), harmful(device, bx, by);
  const auto risk = [&](const Tensor& w) {
    double total = 0;
    const std::vector<double> host = w.to_vector<double>();
    for (std::size_t j = 0; j < truth.size(); ++j) total += std::pow(host[j] - truth[j], 2);
    return total;
  };

  const TransferAdvisor with_good(device, helpful, x, y);
  EXPECT_EQ(with_good.report().sources[0].decision, rtl::transfer::Decision::transfer);
  EXPECT_GT(with_good.report().sources[0].predicted_gain, 0);
  EXPECT_GT(with_good.report().trust, 0.95);
  EXPECT_LT(risk(with_good.coefficients()), 0.5 * risk(with_good.candidate_coefficients(0)));

  const TransferAdvisor with_bad(device, harmful, x, y, {.source_penalty_factors = {}});
  EXPECT_EQ(with_bad.report().sources[0].decision, rtl::transfer::Decision::do_not_transfer);
  EXPECT_LT(with_bad.report().sources[0].alignment, 0);
  EXPECT_EQ(with_bad.report().sources[0].transfer_penalty, std::numeric_limits<double>::infinity());
  EXPECT_LT(with_bad.report().sources[0].predicted_gain, 0);
  // A scaled centre may even use an opposite source; that is no harm.
  EXPECT_LT(risk(with_bad.coefficients()), 1.02 * risk(with_bad.candidate_coefficients(0)));
}

/// Few rows of a target with 12 features, beside a source of 400 that is right, wrong or exactly right about it.
struct FewRows {
  Tensor x, y, test_x, test_y, source_x, source_y;
  std::unique_ptr<L2SPSource> source;

  FewRows(const Device& device, std::uint64_t seed, std::int64_t rows, double alignment, double noise) {
    rtl::RandomSequence random(seed, 1);
    std::vector<double> truth(12), of_source(12);
    for (std::size_t j = 0; j < truth.size(); ++j) {
      truth[j] = random.normal() / std::sqrt(12.0);
      of_source[j] = alignment * truth[j] + std::sqrt(1 - alignment * alignment) * random.normal() / std::sqrt(12.0);
    }
    const Sample source_sample(random, 400, of_source, noise), target(random, rows, truth, noise);
    const Sample test(random, 500, truth, 0);
    source_x = tensor(source_sample.x, device), source_y = tensor(source_sample.y, device);
    x = tensor(target.x, device), y = tensor(target.y, device);
    test_x = tensor(test.x, device), test_y = tensor(test.y, device);
    source = std::make_unique<L2SPSource>(device, source_x, source_y);
  }
  double risk(const Tensor& w, const Tensor& b) const {
    const Matrix predicted = product(matrix_of(test_x), matrix_of(w));
    const std::vector<double> truth = test_y.to_vector<double>();
    double total = 0;
    for (std::size_t i = 0; i < truth.size(); ++i) {
      total += std::pow(static_cast<double>(predicted.values[i]) + b.to_vector<double>()[0] - truth[i], 2);
    }
    return total / static_cast<double>(truth.size());
  }
};

/// Sums of risks over draws: scratch, the source as it is (with the target's intercept), the advisor.
struct Risks {
  double scratch = 0, unchanged = 0, advised = 0, weight = 0;
};
Risks risks_of(std::int64_t rows, double alignment, double noise) {
  Risks risks;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const FewRows problem(Device::cpu(), seed, rows, alignment, noise);
    const TransferAdvisor advisor(Device::cpu(), *problem.source, problem.x, problem.y);
    risks.advised += problem.risk(advisor.coefficients(), advisor.intercept());
    risks.scratch += problem.risk(advisor.candidate_coefficients(0), advisor.candidate_intercept(0));
    for (std::size_t c = 0; c < advisor.report().candidates.size(); ++c) {
      const AdvisorCandidate& candidate = advisor.report().candidates[c];
      if (candidate.kind != CentreKind::unchanged) continue;
      risks.weight += advisor.report().weights[c] / 20;
      if (candidate.source_intercept) continue;
      risks.unchanged += problem.risk(advisor.candidate_coefficients(c), advisor.candidate_intercept(c));
    }
  }
  return risks;
}

TEST(TransferAdvisor, TakesThePerfectSourceAsItIs) {
  const Risks risks = risks_of(15, 1, 0.5);
  EXPECT_LT(risks.unchanged, 0.5 * risks.scratch);
  // No more than a tenth of what there is to lose.
  EXPECT_LT(risks.advised - risks.unchanged, 0.1 * (risks.scratch - risks.unchanged));
  EXPECT_GT(risks.weight, 0.5);
  // Without noise, and with fewer rows than features, the source alone is exact.
  const Risks exact = risks_of(10, 1, 0);
  EXPECT_LT(exact.advised, 1e-6 * exact.scratch);
}

TEST(TransferAdvisor, LeavesAUselessSourceAsItIs) {
  // The source knows nothing, or the opposite: scratch is the better of the two.
  for (const double alignment : {0.0, -1.0}) {
    const Risks risks = risks_of(15, alignment, 0.3);
    EXPECT_GT(risks.unchanged, risks.scratch);
    EXPECT_LT(risks.advised - risks.scratch, 0.1 * (risks.unchanged - risks.scratch));
    EXPECT_LT(risks.weight, 0.25);
  }
}

TEST(TransferAdvisor, RefusesWhatItCannotJudge) {
  const Device device = Device::cpu();
  rtl::test::RandomTensors random(rtl::test::fresh_seed());
  const Problem problem(random, device, 8, 3, {1}, 1, true);
  const L2SPSource& source = *problem.sources[0];
  const Tensor x = tensor(problem.x, device), y = tensor(problem.y, device);
  EXPECT_THROW(TransferAdvisor(device, std::vector<const L2SPSource*>{}, x, y), rtl::ValueError);
  EXPECT_THROW(TransferAdvisor(device, source, random.f64({8, 4}, device), y), rtl::ShapeError);
  EXPECT_THROW(TransferAdvisor(device, source, x, random.f64({7, 1}, device)), rtl::ShapeError);
  EXPECT_THROW(TransferAdvisor(device, source, random.f64({8}, device), y), rtl::ShapeError);
  EXPECT_THROW(TransferAdvisor(device, source, x, y, {.source_penalty_factors = {-1}}), rtl::ValueError);
  EXPECT_THROW(TransferAdvisor(device, source, x, y, {.target_penalties = {-1}}), rtl::ValueError);
  EXPECT_THROW(TransferAdvisor(device, source, random.f64({1, 3}, device), random.f64({1, 1}, device)),
               rtl::ValueError);
  std::vector<double> spoiled = y.to_vector<double>();
  spoiled[2] = std::nan("");
  EXPECT_THROW(TransferAdvisor(device, source, x, Tensor::from(spoiled, {8}, device)), rtl::ValueError);
  const TransferAdvisor advisor(device, source, x, y);
  EXPECT_THROW(advisor.predict(random.f64({2, 4}, device)), rtl::ShapeError);
}

TEST(TransferAdvisor, ConstantTargetsAndPredictionsAreFine) {
  const Device device = Device::cpu();
  rtl::test::RandomTensors random(rtl::test::fresh_seed());
  const Problem problem(random, device, 10, 3, {1}, 1, true);
  const Tensor x = tensor(problem.x, device);
  const Tensor constant = Tensor::from(std::vector<double>(10, 2.0), {10, 1}, device);
  const TransferAdvisor advisor(device, *problem.sources[0], x, constant);
  const std::vector<double> out = advisor.predict(x).to_vector<double>();
  // The smallest penalty still draws a little to the centres that are not constant.
  for (const double value : out) EXPECT_NEAR(value, 2, 1e-6);
  const L2SPSource empty(device, x, constant);
  const TransferAdvisor from_constant(device, empty, x, tensor(problem.y, device));
  EXPECT_TRUE(std::isfinite(from_constant.report().leave_one_out));
}

}  // namespace
