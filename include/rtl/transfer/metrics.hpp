// How good predictions are: of classes by the metrics of REFINE (Xu, Nakada, Zhang and Li 2025), all as fractions of
// one; of real targets by R^2 and the root mean square error.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/data/dataset.hpp"

namespace rtl::transfer {

/// AUC ranks samples by the softmax of their logits, computed in f64, and where each class is a question of its own
/// (Task::independent) by its sigmoid.
struct Scores {
  std::int64_t samples = 0;
  double accuracy = 0;            ///< share of samples whose largest logit is the label's (the first of equals)
  double auc = 0;                 ///< area under the ROC curve, one class against the rest, plain mean over the classes
  double auc_weighted = 0;        ///< the same, classes weighted by their frequency
  double f1 = 0;                  ///< F1 of each class, weighted by its frequency
  double f1_macro = 0;            ///< F1, plain mean over the classes that occur as label or prediction
  double min_class_accuracy = 0;  ///< smallest recall of a class that occurs
  std::vector<double> class_accuracy;   ///< recall of each class; NaN for one without samples
  std::vector<std::int64_t> confusion;  ///< [classes, classes] counts, row: label, column: prediction
  std::vector<bool> correct;            ///< of each sample, whether its largest logit is the label's

  bool regression = false;        ///< then what stands above has no meaning, and what follows has
  double r2 = 0;                  ///< 1 - sum (y - f)^2 / sum (y - mean y)^2, plain mean over the outputs
  double rmse = 0;                ///< root of the mean square error over samples and outputs, in the target's units
  std::vector<double> sample_r2;  ///< of each sample, its part of r2, which is their mean

  /// What comparisons are made by, accuracy or r2, and each sample's part of it.
  double value() const { return regression ? r2 : accuracy; }
  std::vector<double> sample_values() const;
};

/// Scores of logits [N, classes], row-major. Where a class has no sample (or all of them), its AUC is not defined and
/// it is left out of the means; with two classes both one-against-rest areas are the usual binary one. If no class has
/// a defined AUC, it is 0.5. O(classes * N log N). Throws ShapeError, ValueError for no samples, logits that are not
/// finite or a label out of range.
Scores score(std::span<const double> logits, std::span<const std::int32_t> labels, std::int64_t classes,
             bool independent = false);
/// The same for outputs f32 or f64 on any device: logits, or predictions of a data set with real targets.
Scores score(const Tensor& logits, const data::Dataset& dataset, bool independent = false);

/// Scores of predictions [N, outputs] of real targets, row-major, both in the target's units. Throws ShapeError,
/// ValueError for no samples, a target with one value alone or so large or small that the squares of its deviations
/// leave the range of double, and predictions that are not finite.
Scores score_regression(std::span<const double> predictions, std::span<const double> targets, std::int64_t outputs);

/// Area under the ROC curve of ranking `positive` samples above the others: the share of (positive, negative) pairs in
/// the right order, ties counting one half (Mann-Whitney with average ranks). Throws ValueError unless both kinds
/// occur and all scores are finite.
double auc(std::span<const double> scores, std::span<const bool> positive);

}  // namespace rtl::transfer
