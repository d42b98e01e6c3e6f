#include "rtl/transfer/advisor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/theory/isotropic.hpp"
#include "rtl/theory/source_penalty.hpp"
#include "transfer/advisor_centres.hpp"
#include "transfer/advisor_weights.hpp"
#include "transfer/paired.hpp"

namespace rtl::transfer {
namespace {

using solvers::L2SPSource;
using solvers::RidgePath;

constexpr const char* call = "TransferAdvisor";
/// Trust that is one standard error from even.
constexpr double sure = 0.84;

struct Block {
  std::size_t source = 0;
  double penalty = 0;
  std::int64_t first = 0, columns = 0;  ///< among the prediction columns
};

/// The solutions whose predictions stand beside the targets: of every source the one at tauS first.
struct Solutions {
  std::vector<Block> blocks;
  std::vector<Block> optimal;  ///< those at tauS, one a source
  bool same_outputs = true;
  std::int64_t columns = 0;

  Block add(std::size_t source, double penalty, std::int64_t width) {
    for (const Block& known : blocks) {
      if (known.source == source && known.penalty == penalty) return known;
    }
    blocks.push_back({source, penalty, columns, width});
    columns += width;
    return blocks.back();
  }
};

std::vector<double> host_matrix(const Device& device, ConstView view) {
  Tensor copy(view.shape(), DType::f64, device);
  kernels::cast(device, view, copy);
  return copy.to_vector<double>();
}

/// The work of TransferAdvisor's constructor, on host copies of small things.
class Examination {
 public:
  Examination(const Device& device, std::span<const L2SPSource* const> sources, ConstView x, ConstView y,
              const AdvisorOptions& options)
      : device_(device), sources_(sources), x_(x), y_(y), options_(options) {
    if (sources.empty()) throw ValueError(fmt::format("{}: no source is given", call));
    for (const double factor : options.source_penalty_factors) {
      if (!(factor > 0) || !std::isfinite(factor)) {
        throw ValueError(fmt::format("{}: source_penalty_factors holds {}; factors are positive", call, factor));
      }
    }
    if (!std::isfinite(options.favour)) throw ValueError(fmt::format("{}: favour is {}", call, options.favour));
    check_shapes();
    wide_ = Tensor(x_.shape(), DType::f64, device_);
    kernels::cast(device_, x_, wide_);
    choose_solutions();
    stand_beside();
  }

  AdvisorReport judge() {
    AdvisorReport report;
    const RidgePath path(device_, x_, beside_, {}, {.intercept = options_.intercept});
    penalties_ = options_.target_penalties.empty() ? solvers::spanning_penalties(path, 33) : options_.target_penalties;
    add_centres();
    score(path);
    report.sources = advise(path);
    decide(report);
    for (const Judged& judged : judged_) report.candidates.push_back(judged.centre.candidate);
    collect_models(path);
    return report;
  }
  std::vector<Tensor> coefficients, intercepts;  ///< of each candidate, once judged

 private:
  void check_shapes() {
    if (!x_.given() || x_.rank() != 2) {
      throw ShapeError(fmt::format("{}: 'x' is {}; a matrix [n, p] is needed", call, x_.shape().to_string()));
    }
    if (!y_.given() || y_.rank() < 1 || y_.rank() > 2 || y_.extent(0) != x_.extent(0)) {
      throw ShapeError(fmt::format("{}: 'y' is {} beside 'x' {}; [n, k] or [n] is needed", call, y_.shape().to_string(),
                                   x_.shape().to_string()));
    }
    columns_.rows = x_.extent(0);
    columns_.outputs = y_.rank() == 2 ? y_.extent(1) : 1;
    columns_.intercept = options_.intercept;
    if (columns_.rows == 1 && columns_.intercept) {
      throw ValueError(
          fmt::format("{}: the target's single row determines its intercept, and nothing is left to judge by; give at "
                      "least two rows, or no intercept",
                      call));
    }
    for (std::size_t s = 0; s < sources_.size(); ++s) {
      if (sources_[s]->features() != x_.extent(1)) {
        throw ShapeError(fmt::format("{}: sources[{}] has {} features, the target {}", call, s, sources_[s]->features(),
                                     x_.extent(1)));
      }
      solutions_.same_outputs = solutions_.same_outputs && sources_[s]->outputs() == columns_.outputs;
    }
  }

  void choose_solutions() {
    for (std::size_t s = 0; s < sources_.size(); ++s) {
      solutions_.optimal.push_back(solutions_.add(s, sources_[s]->prior().penalty, sources_[s]->outputs()));
    }
    if (!solutions_.same_outputs) return;
    for (std::size_t s = 0; s < sources_.size(); ++s) {
      const double optimal = sources_[s]->prior().penalty;
      for (const double factor : options_.source_penalty_factors) add_penalty(s, factor * optimal);
      const double transfer = transfer_penalty(s);
      if (std::isfinite(transfer)) add_penalty(s, transfer);
    }
  }
  void add_penalty(std::size_t s, double penalty) {
    penalty = std::max(penalty, sources_[s]->path().smallest_penalty());
    if (penalty > 0) solutions_.add(s, penalty, columns_.outputs);
  }

  Predictions predictions(const Block& block) const {
    return predict_rows(device_, wide_, sources_[block.source]->coefficients(block.penalty));
  }
  /// rho_hat of a source's predictions g, for targets y, both [n, k] and centred where that applies: slope, its
  /// standard error, and the mean of y^2 - (y - g)^2. Predictions that do not vary have no slope, and too few rows
  /// leave it uncertain: the error is infinite.
  struct Slope {
    double value = 0, standard_error = std::numeric_limits<double>::infinity(), saved = 0;
  };
  Slope slope(const Predictions& predicted) const {
    std::vector<double> y = host_matrix(device_, y_), g = predicted.values;
    if (columns_.intercept) {
      subtract_means(g, columns_.outputs);
      subtract_means(y, columns_.outputs);
    }
    double gg = 0, gy = 0, residual = 0;
    for (std::size_t i = 0; i < g.size(); ++i) gg += g[i] * g[i], gy += g[i] * y[i];
    Slope result;
    if (!(gg > std::accumulate(predicted.noise.begin(), predicted.noise.end(), 0.0))) return result;
    result.value = gy / gg;
    for (std::size_t i = 0; i < g.size(); ++i) residual += std::pow(y[i] - result.value * g[i], 2);
    result.saved = (2 * gy - gg) / static_cast<double>(g.size());
    const std::int64_t rows = columns_.rows - intercept_rows();
    if (rows < 2) return result;
    result.standard_error = std::sqrt(residual / static_cast<double>(rows * columns_.outputs - 1) / gg);
    return result;
  }

  /// Rows that the intercept takes.
  std::int64_t intercept_rows() const { return columns_.intercept ? 1 : 0; }
  Paired difference(const std::vector<double>& a, const std::vector<double>& b) const {
    return paired_difference(a, b, intercept_rows());
  }
  std::vector<double> optimal_penalties() const {
    std::vector<double> penalties;
    for (const Block& block : solutions_.optimal) penalties.push_back(block.penalty);
    return penalties;
  }
  double transfer_penalty(std::size_t s) const {
    const double rho = slope(predictions(solutions_.optimal[s])).value;
    std::vector<double> spectrum = sources_[s]->path().eigenvalues();
    for (double& value : spectrum) value /= static_cast<double>(sources_[s]->rows());
    const std::vector<double> weights(spectrum.size(), 1.0);
    return theory::finite_sample_transfer_penalty(spectrum, weights, sources_[s]->prior().penalty, rho);
  }

  /// Makes the matrix [Y | predictions] whose leave-one-out residuals give those of every centre: the residual of
  /// Y - X C is linear in its columns.
  void stand_beside() {
    columns_.predictions = solutions_.columns;
    const std::int64_t width = columns_.width();
    columns_.values.resize(static_cast<std::size_t>(columns_.rows * width));
    const auto place = [&](const std::vector<double>& from, std::int64_t first, std::int64_t count) {
      for (std::int64_t i = 0; i < columns_.rows; ++i) {
        std::copy_n(from.data() + i * count, count, columns_.values.data() + i * width + first);
      }
    };
    place(host_matrix(device_, y_), 0, columns_.outputs);
    for (const Block& block : solutions_.blocks) {
      const Predictions predicted = predictions(block);
      place(predicted.values, columns_.outputs + block.first, block.columns);
      columns_.noise.insert(columns_.noise.end(), predicted.noise.begin(), predicted.noise.end());
    }
    beside_ = Tensor::from(columns_.values, {columns_.rows, width}, device_);
    if (!columns_.intercept) return;
    const std::vector<double> raw = columns_.values;
    subtract_means(columns_.values, width);
    for (const Block& block : solutions_.optimal) {
      if (solutions_.same_outputs) offsets_.push_back(mean_residuals(raw, width, columns_.outputs, block.first));
    }
  }

  void add_centres() {
    judged_.push_back({});  // scratch
    if (!solutions_.same_outputs) {
      judged_.push_back({.centre = mixed_centre(columns_, device_.host())});
      return;
    }
    std::vector<std::int64_t> firsts;
    for (const Block& block : solutions_.optimal) firsts.push_back(block.first);
    judged_.push_back({.centre = scaled_centre(columns_, firsts)});
    for (const Block& block : solutions_.blocks) {
      Centre centre;
      centre.candidate.kind = CentreKind::source;
      centre.candidate.source = block.source;
      centre.candidate.source_penalty = block.penalty;
      centre.terms = {{block.first, 1.0}};
      judged_.push_back({.centre = std::move(centre)});
    }
    for (const Block& block : solutions_.optimal) {
      if (!varies(block)) continue;
      judged_.push_back(unchanged(block, false));
      if (columns_.intercept) judged_.push_back(unchanged(block, true));
    }
  }

  /// Whether a solution's predictions for the target's rows differ by more than rounding.
  bool varies(const Block& block) const {
    double squares = 0, noise = 0;
    for (std::int64_t j = 0; j < block.columns; ++j) {
      noise += columns_.noise[static_cast<std::size_t>(block.first + j)];
      for (std::int64_t i = 0; i < columns_.rows; ++i) {
        squares += std::pow(columns_.row(i)[columns_.outputs + block.first + j], 2);
      }
    }
    return squares > noise;
  }

  /// The source as it is; the residuals are its errors, without the row's share in an intercept that is fitted.
  Judged unchanged(const Block& block, bool source_intercept) const {
    Judged judged;
    AdvisorCandidate& candidate = judged.centre.candidate;
    candidate.kind = CentreKind::unchanged;
    candidate.source = block.source;
    candidate.source_penalty = block.penalty;
    candidate.source_intercept = source_intercept;
    candidate.target_penalty = std::numeric_limits<double>::infinity();
    judged.centre.terms = {{block.first, 1.0}};
    const auto n = static_cast<double>(columns_.rows);
    const std::vector<double> own =
        source_intercept ? sources_[block.source]->intercept(block.penalty).to_vector<double>() : std::vector<double>();
    for (std::int64_t i = 0; i < columns_.rows; ++i) {
      const double* row = columns_.row(i);
      for (std::int64_t j = 0; j < columns_.outputs; ++j) {
        double error = row[j] - row[columns_.outputs + block.first + j];
        const auto output = static_cast<std::size_t>(j);
        if (source_intercept) {
          error += offsets_[block.source][output] - own[output];
        } else if (columns_.intercept) {
          error *= n / (n - 1);
        }
        judged.residuals.push_back(error);
      }
    }
    return judged;
  }

  void score(const RidgePath& path) {
    const auto k = static_cast<std::size_t>(columns_.outputs);
    const PenaltyPrior prior(path);
    std::vector<double> residuals(static_cast<std::size_t>(columns_.rows) * k);
    for (const double penalty : penalties_) {
      const std::vector<double> errors = path.leave_one_out_residuals(penalty).to_vector<double>();
      const double doubt = prior.factor(penalty);
      for (Judged& judged : judged_) {
        AdvisorCandidate& candidate = judged.centre.candidate;
        if (candidate.kind == CentreKind::unchanged) continue;
        double sum = 0;
        for (std::int64_t i = 0; i < columns_.rows; ++i) {
          double* row = residuals.data() + static_cast<std::size_t>(i) * k;
          judged.centre.left_out(i, errors.data() + i * columns_.width(), columns_.outputs, row);
          for (std::size_t j = 0; j < k; ++j) sum += row[j] * row[j];
        }
        const double mean = sum / static_cast<double>(residuals.size());
        if (!(mean * doubt < judged.doubtful_error)) continue;
        judged.doubtful_error = mean * doubt;
        candidate.target_penalty = penalty;
        judged.residuals = residuals;
      }
    }
    for (Judged& judged : judged_) {
      if (judged.residuals.empty()) {
        throw ValueError(
            fmt::format("{}: no target penalty gives finite leave-one-out errors; give larger ones", call));
      }
      judged.row_squares = row_squares(judged.residuals, columns_.outputs);
      judged.centre.candidate.leave_one_out = mean_of(judged.row_squares);
    }
    for (Judged& judged : judged_) {
      const Paired gain = difference(judged_.front().row_squares, judged.row_squares);
      judged.centre.candidate.gain = gain.mean;
      judged.centre.candidate.gain_standard_error = gain.standard_error;
    }
  }

  std::vector<SourceAdvice> advise(const RidgePath& path) const {
    std::vector<SourceAdvice> advice;
    double trace = 0;
    for (const double value : path.eigenvalues()) trace += value;
    const auto n = static_cast<double>(path.rows()), p = static_cast<double>(path.features());
    const double variance = trace / (n * p);
    for (const Block& block : solutions_.optimal) {
      SourceAdvice one;
      one.optimal_penalty = block.penalty;
      if (solutions_.same_outputs) {
        const Slope found = slope(predictions(block));
        one.transfer_penalty = transfer_penalty(block.source);
        one.alignment = found.value;
        one.alignment_standard_error = found.standard_error;
        one.z = z_of(found.value - 0.5, found.standard_error);
        if (std::fabs(one.z) > 1) one.decision = one.z > 0 ? Decision::transfer : Decision::do_not_transfer;
        if (variance > 0) {
          const double penalty = judged_.front().centre.candidate.target_penalty / variance;
          one.predicted_gain = theory::isotropic_target(p / n, penalty).bias * found.saved;
        }
      }
      advice.push_back(one);
    }
    return advice;
  }

  void decide(AdvisorReport& report) const {
    const std::vector<double>& scratch = judged_.front().row_squares;
    const Weighing weighing(options_.rule, intercept_rows());
    report.weights = transfer_weights(judged_, optimal_penalties(), weighing);
    const std::vector<double> transferred = row_squares(blended_residuals(judged_, report.weights), columns_.outputs);
    report.judged = columns_.rows - intercept_rows() >= 2;
    if (report.judged) report.trust = weighing.of_transfer(scratch, transferred, options_.favour);
    for (double& weight : report.weights) weight *= report.trust;
    report.weights[0] = 1 - report.trust;
    if (report.judged && report.trust >= sure) report.decision = Decision::transfer;
    if (report.judged && report.trust <= 1 - sure) report.decision = Decision::do_not_transfer;
    report.leave_one_out_residuals = blended_residuals(judged_, report.weights);
    report.scratch_residuals = judged_.front().residuals;
    const std::vector<double> squares = row_squares(report.leave_one_out_residuals, columns_.outputs);
    const Paired gain = difference(scratch, squares);
    report.leave_one_out = mean_of(squares);
    report.gain = gain.mean;
    report.gain_standard_error = gain.standard_error;
  }

  /// Every candidate's W = C + (coefficients for Y) - (coefficients for X C), and its intercept.
  void collect_models(const RidgePath& path) {
    const std::int64_t p = path.features(), k = columns_.outputs, width = columns_.width();
    for (const Judged& judged : judged_) {
      if (judged.centre.candidate.kind == CentreKind::unchanged) {
        collect_unchanged(judged.centre.candidate);
        continue;
      }
      const double penalty = judged.centre.candidate.target_penalty;
      const solvers::RidgeFit fit = path.fit(penalty);
      const std::vector<double> all = fit.coefficients.to_vector<double>();
      const std::vector<double> offsets = fit.intercept.to_vector<double>();
      std::vector<double> w(static_cast<std::size_t>(p * k)), b(offsets.begin(), offsets.begin() + k);
      for (std::int64_t i = 0; i < p; ++i) std::copy_n(all.data() + i * width, k, w.data() + i * k);
      for (const Block& block : solutions_.blocks) add_block(judged.centre, block, all, offsets, w, b);
      coefficients.push_back(Tensor::from(w, {p, k}, device_));
      intercepts.push_back(Tensor::from(b, {k}, device_));
    }
  }
  void collect_unchanged(const AdvisorCandidate& candidate) {
    const L2SPSource& source = *sources_[candidate.source];
    const std::int64_t p = x_.extent(1), k = columns_.outputs;
    std::vector<double> b(static_cast<std::size_t>(k));
    if (candidate.source_intercept) {
      b = source.intercept(candidate.source_penalty).to_vector<double>();
    } else if (columns_.intercept) {
      b = offsets_[candidate.source];
    }
    const std::vector<double> w = source.coefficients(candidate.source_penalty).to_vector<double>();
    coefficients.push_back(Tensor::from(w, {p, k}, device_));
    intercepts.push_back(Tensor::from(b, {k}, device_));
  }
  void add_block(const Centre& centre, const Block& block, const std::vector<double>& all,
                 const std::vector<double>& offsets, std::vector<double>& w, std::vector<double>& b) const {
    const std::int64_t p = x_.extent(1), k = columns_.outputs, width = columns_.width();
    std::vector<double> map(static_cast<std::size_t>(block.columns * k));  // from the block's columns to outputs
    for (const Centre::Term& term : centre.terms) {
      if (term.first != block.first) continue;
      for (std::int64_t j = 0; j < k; ++j) map[static_cast<std::size_t>(j * k + j)] = term.scale;
    }
    if (!centre.matrix.empty()) std::copy_n(centre.matrix.data() + block.first * k, map.size(), map.data());
    if (std::all_of(map.begin(), map.end(), [](double value) { return value == 0; })) return;
    const std::vector<double> solution = sources_[block.source]->coefficients(block.penalty).to_vector<double>();
    for (std::int64_t c = 0; c < block.columns; ++c) {
      const std::int64_t column = k + block.first + c;
      for (std::int64_t j = 0; j < k; ++j) {
        const double factor = map[static_cast<std::size_t>(c * k + j)];
        if (factor == 0) continue;
        b[static_cast<std::size_t>(j)] -= factor * offsets[static_cast<std::size_t>(column)];
        for (std::int64_t i = 0; i < p; ++i) {
          w[static_cast<std::size_t>(i * k + j)] +=
              factor * (solution[static_cast<std::size_t>(i * block.columns + c)] -
                        all[static_cast<std::size_t>(i * width + column)]);
        }
      }
    }
  }

  const Device& device_;
  std::span<const L2SPSource* const> sources_;
  ConstView x_, y_;
  const AdvisorOptions& options_;
  Solutions solutions_;
  TargetColumns columns_;
  Tensor wide_;    ///< x as f64
  Tensor beside_;  ///< [Y | predictions]
  /// With an intercept, of each source at tauS: what the target is more than X w0_hat on average [k].
  std::vector<std::vector<double>> offsets_;
  std::vector<double> penalties_;
  std::vector<Judged> judged_;
};

Tensor weighted_sum(const Device& device, const std::vector<Tensor>& tensors, const std::vector<double>& weights) {
  std::vector<double> sum(static_cast<std::size_t>(tensors.front().count()));
  for (std::size_t c = 0; c < tensors.size(); ++c) {
    if (weights[c] == 0) continue;
    const std::vector<double> values = tensors[c].to_vector<double>();
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weights[c] * values[i];
  }
  return Tensor::from(sum, tensors.front().shape(), device);
}

}  // namespace

TransferAdvisor::TransferAdvisor(const Device& device, std::span<const L2SPSource* const> sources, ConstView x,
                                 ConstView y, const AdvisorOptions& options)
    : device_(device) {
  Examination examination(device, sources, x, y, options);
  report_ = examination.judge();
  candidate_coefficients_ = std::move(examination.coefficients);
  candidate_intercepts_ = std::move(examination.intercepts);
  coefficients_ = weighted_sum(device, candidate_coefficients_, report_.weights);
  intercept_ = weighted_sum(device, candidate_intercepts_, report_.weights);
}

TransferAdvisor::TransferAdvisor(const Device& device, const L2SPSource& source, ConstView x, ConstView y,
                                 const AdvisorOptions& options)
    : TransferAdvisor(device, std::vector<const L2SPSource*>{&source}, x, y, options) {}

Tensor TransferAdvisor::predict(ConstView x) const {
  if (!x.given() || x.rank() != 2 || x.extent(1) != coefficients_.extent(0)) {
    throw ShapeError(
        fmt::format("{}::predict: 'x' is {}; [m, {}] is needed", call, x.shape().to_string(), coefficients_.extent(0)));
  }
  Tensor wide(x.shape(), DType::f64, device_);
  kernels::cast(device_, x, wide);
  Tensor out({x.extent(0), coefficients_.extent(1)}, DType::f64, device_);
  kernels::gemm(device_, kernels::Transpose::no, kernels::Transpose::no, 1, wide, coefficients_, 0, out,
                kernels::Epilogue::bias, intercept_);
  return out;
}

namespace {

const Tensor& model_of(const std::vector<Tensor>& models, std::size_t candidate) {
  if (candidate < models.size()) return models[candidate];
  throw ValueError(
      fmt::format("TransferAdvisor: there is no candidate {}; the report has {}", candidate, models.size()));
}

}  // namespace

const Tensor& TransferAdvisor::candidate_coefficients(std::size_t candidate) const {
  return model_of(candidate_coefficients_, candidate);
}
const Tensor& TransferAdvisor::candidate_intercept(std::size_t candidate) const {
  return model_of(candidate_intercepts_, candidate);
}

}  // namespace rtl::transfer
