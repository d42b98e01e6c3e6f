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
/// Gives what each row's earlier results are to be multiplied by.
void softmax_rows(const SoftmaxRow<float>* rows, std::int64_t count, float* kept);
void softmax_rows(const SoftmaxRow<double>* rows, std::int64_t count, double* kept);
void softmax_rows(const SoftmaxRow<bfloat16>* rows, std::int64_t count, float* kept);

/// The same row, when its gradient is computed.
template <typename T>
struct SoftmaxGradientRow {
  Arithmetic<T>*scores, *gradients;    ///< [length]: of the probabilities behind dropout; both are used up
  T *probabilities, *score_gradients;  ///< results, zeros behind `visible`: the first behind dropout
  std::int64_t visible, length;
  Arithmetic<T> scale, log_sum_exp, delta;  ///< delta: the sum of out * dout
  DroppedRow dropped;
};
void softmax_gradient_rows(const SoftmaxGradientRow<float>* rows, std::int64_t count);
void softmax_gradient_rows(const SoftmaxGradientRow<double>* rows, std::int64_t count);
void softmax_gradient_rows(const SoftmaxGradientRow<bfloat16>* rows, std::int64_t count);

/// Rows of `size` elements, each `step` elements behind the one before.
template <typename T>
struct TileRows {
  T* data;
  std::int64_t step;
};

/// sums[i] = the sum of a[i, j] b[i, j] over j.
void dots_of_rows(TileRows<const float> a, TileRows<const float> b, std::int64_t rows, std::int64_t size, float* sums);
void dots_of_rows(TileRows<const double> a, TileRows<const double> b, std::int64_t rows, std::int64_t size,
                  double* sums);
void dots_of_rows(TileRows<const bfloat16> a, TileRows<const bfloat16> b, std::int64_t rows, std::int64_t size,
                  float* sums);

/// y[i, j] = factors[i] x[i, j], rounded; without factors, x[i, j].
void scale_rows(TileRows<const float> x, const float* factors, TileRows<float> y, std::int64_t rows, std::int64_t size);
void scale_rows(TileRows<const double> x, const double* factors, TileRows<double> y, std::int64_t rows,
                std::int64_t size);
void scale_rows(TileRows<const float> x, const float* factors, TileRows<bfloat16> y, std::int64_t rows,
                std::int64_t size);

}  // namespace rtl::kernels::cpu
