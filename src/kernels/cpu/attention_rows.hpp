// Rows of a tile of attention's scores: what happens to them between the products.
#pragma once

#include <cstdint>

#include "rtl/core/dtype.hpp"

namespace rtl::kernels::cpu {

/// The mask of dropout of a row: draws from `first` on of Philox(seed, stream). Nothing is dropped with a probability
/// of 0.
struct DroppedRow {
  std::uint64_t seed, stream;
  double probability;
  std::int64_t first;
};

/// x[i] = 0 where it is dropped, else x[i] / (1 - probability).
void drop_row(const DroppedRow& row, float* x, std::int64_t count);
void drop_row(const DroppedRow& row, double* x, std::int64_t count);

/// One row of scores, of which the first `visible` of `length` count, in the course of an online softmax.
template <typename T>
struct SoftmaxRow {
  Arithmetic<T>* scores;  ///< [length]; holds exp(scale scores - largest), dropped, afterwards
  T* probabilities;       ///< the same, rounded, zeros behind `visible`; `scores` itself where T needs no rounding
  std::int64_t visible, length;
  Arithmetic<T> scale;
  Arithmetic<T>*largest, *sum;  ///< of the row so far; minus infinity and 0 at first
  DroppedRow dropped;
};
/// Returns what the row's earlier results are to be multiplied by.
float softmax_row(const SoftmaxRow<float>& row);
double softmax_row(const SoftmaxRow<double>& row);
float softmax_row(const SoftmaxRow<bfloat16>& row);

/// The same row, when its gradient is computed.
template <typename T>
struct SoftmaxGradientRow {
  Arithmetic<T>*scores, *gradients;    ///< [length]: of the probabilities behind dropout; both are used up
  T *probabilities, *score_gradients;  ///< results, zeros behind `visible`: the first behind dropout
  std::int64_t visible, length;
  Arithmetic<T> scale, log_sum_exp, delta;  ///< delta: the sum of out * dout
  DroppedRow dropped;
};
void softmax_gradient_row(const SoftmaxGradientRow<float>& row);
void softmax_gradient_row(const SoftmaxGradientRow<double>& row);
void softmax_gradient_row(const SoftmaxGradientRow<bfloat16>& row);

/// The sum of a[i] b[i].
float dot_of_row(const float* a, const float* b, std::int64_t count);
double dot_of_row(const double* a, const double* b, std::int64_t count);
float dot_of_row(const bfloat16* a, const bfloat16* b, std::int64_t count);

/// y[i] = factor x[i], rounded.
void scale_row(const float* x, float factor, float* y, std::int64_t count);
void scale_row(const double* x, double factor, double* y, std::int64_t count);
void scale_row(const float* x, float factor, bfloat16* y, std::int64_t count);

}  // namespace rtl::kernels::cpu
