// Weights of a source's samples that make them stand for the target's, from frozen features of both.
#pragma once

#include <cstdint>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::transfer::detail {

enum class DensityRatioKind : std::uint8_t { ulsif, kmm, none };

struct SampleWeightOptions {
  DensityRatioKind ratio = DensityRatioKind::ulsif;
  double largest = 10;     ///< no weight is above; at least 1
  std::uint64_t seed = 0;  ///< of the choice of rows
};

struct SampleWeights {
  std::vector<std::int64_t> rows;  ///< of the source, ascending
  std::vector<float> weights;      ///< of these rows; mean one, but less where too few ratios are above zero
};

/// Samples that an estimate is made from, of each domain: more are drawn from, with the seed, since uLSIF's cost grows
/// with the samples times the square of its 100 kernels, and that of mean matching with the square of the samples.
inline constexpr std::int64_t most_ratio_samples = 1000;
inline constexpr std::int64_t most_matched_samples = 500;

/// Estimates target density over source density at rows of source f32 [n, p] by target f32 [m, p], each column
/// standardised over the rows of both that are used. uLSIF's ratio is evaluated at all rows of the source; mean
/// matching gives weights to the rows that it is solved for, and those alone are returned. Throws as the solvers do,
/// ValueError where most samples are alike.
SampleWeights sample_weights(const Tensor& source, const Tensor& target, const SampleWeightOptions& options);

}  // namespace rtl::transfer::detail
