// Transferability: how well a source's features, or its predictions, suit a target, without training anything. All
// functions take f32 or f64 on any device, calculate in f64 on its host, and give the same bits for the same arguments
// and number of threads. Larger is better; numbers of one score are compared between sources, on the same samples.
//
// They throw ShapeError, DTypeError, and ValueError for entries that are not finite, labels out of range, and targets
// with one class alone. Classes without samples count nowhere, so fewer samples than classes are no fault.
#pragma once

#include <cstdint>
#include <optional>

#include "rtl/core/tensor.hpp"
#include "rtl/data/dataset.hpp"
#include "rtl/transfer/feature_cache.hpp"
#include "rtl/transfer/source.hpp"

namespace rtl::transfer {

/// LEEP (Nguyen, Hassner, Seeger and Archambeau 2020): the mean over samples of log sum_z P(y_i | z) theta_iz, theta
/// being the softmax of the source's logits [n, source classes] and P(y | z) the empirical conditional distribution of
/// the labels i32 [n] that theta gives. At most 0. O(n (source classes + classes)).
double leep(ConstView source_logits, ConstView labels, std::int64_t classes);

/// NCE (Tran, Nguyen and Hassner 2019): -H(Y | Z) of the labels and of the source's classes i32 [n] of the same
/// samples, in nats. At most 0.
double nce(ConstView source_labels, std::int64_t source_classes, ConstView labels, std::int64_t classes);

/// LogME (You, Liu, Wang and Long 2021): the evidence of a Bayesian linear model of the raw features [n, p], maximised
/// over its two precisions, as its logarithm divided by n. Of classes the mean over those that occur, each against the
/// rest as 0 and 1; of targets [n, outputs] the mean over the columns, in the target's units. The evidence depends on
/// one number once the other is eliminated, the penalty alpha / beta; it is searched for between 1e-12 and 1e12 of the
/// largest squared singular value of the features, so that a target that the features give exactly, for which the
/// evidence has no bound, gets a large number. Constant and collinear features, and n < p, are no fault. O(n p min(n,
/// p)).
double log_me(ConstView features, ConstView labels, std::int64_t classes);
double log_me_regression(ConstView features, ConstView targets);

/// plain: tr(cov(f)^+ cov(E[f | y])) (Bao et al. 2019), with the pseudoinverse; between 0 and the smaller of the rank
/// and the number of classes less one, which it reaches where features of n <= p samples span everything. shrunk:
/// cov(f) is (1 - a) cov(f) + a tr(cov(f)) / p I, with Ledoit and Wolf's a, and cov(E[f | y]) is multiplied by 1 - a
/// (Ibrahim, Ponomareva and Mazumder 2021). Covariances divide by n; features that are constant count as zero.
enum class HScoreForm : std::uint8_t { plain, shrunk };
double h_score(ConstView features, ConstView labels, std::int64_t classes, HScoreForm form = HScoreForm::plain);

/// Ledoit and Wolf's shrinkage (2004) of the covariance of features [n, p] towards a multiple of the identity, in
/// [0, 1]; 0 where all features are constant.
double ledoit_wolf_shrinkage(ConstView features);

/// TransRate (Huang, Huang, Rong, Yang and Wei 2022): R(Z) less the mean over the classes that occur of R(Z of the
/// class), Z being the centred features and R(Z) = log det(I + Z'Z / (n epsilon)) / 2 with the number n of rows of Z.
/// `epsilon` is above 0 (ValueError). It depends on the features' scale.
double transrate(ConstView features, ConstView labels, std::int64_t classes, double epsilon = 1e-4);

/// All that a source and a target allow.
struct Transferability {
  double log_me = 0;
  std::optional<double> leep, nce;                           ///< classes, and a source with a head of classes
  std::optional<double> h_score, h_score_shrunk, transrate;  ///< classes
};

/// Of a source on the training samples, with the classes that its head names as those of NCE. Features come from
/// `cache` if given. Also throws what FrozenSource::features throws.
Transferability transferability(const FrozenSource& source, const data::Dataset& train, FeatureCache* cache = nullptr);

}  // namespace rtl::transfer
