// The memory passes of batch normalisation, vectorised for each instruction set. They see x as a flat array in which
// the per-channel factors repeat with a period: a whole number of vectors that is a multiple of the channels, so that
// any number of channels runs at full width. Activations are elements of T: float, double or bfloat16; everything else
// is Arithmetic<T>, or double where sums are combined.
#pragma once

#include <cstdint>

#include "rtl/core/dtype.hpp"

namespace rtl::kernels::cpu {

/// Elements after which channels and vectors of T, float or double, are in step again, for the instruction set in use.
template <typename T>
std::int64_t norm_period(std::int64_t channels);

/// Numbers (f64) of room that a thread needs for the sums below.
template <typename T>
std::int64_t norm_room(std::int64_t channels) {
  return 2 * channels + 3 * norm_period<Arithmetic<T>>(channels);
}

/// Per-channel sums of rows [begin, end), taken about the mean of each block of rows and combined exactly.
struct ColumnStatistics {
  double count = 0;
  double* mean = nullptr;     ///< [channels]
  double* squares = nullptr;  ///< [channels], sum of (x - mean)^2
};

template <typename T>
void norm_statistics(const T* x, std::int64_t channels, std::int64_t begin, std::int64_t end, ColumnStatistics& out,
                     double* room);

/// y = [relu]((x - mean) * scale + shift [+ residual]); the factors are [period].
template <typename T>
struct NormForward {
  const T* x;
  const T* residual;  ///< may be null
  const Arithmetic<T>*mean, *scale, *shift;
  T* y;
  bool relu;
};

template <typename T>
void norm_forward(const NormForward<T>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end);

/// dz = dy where y > 0 (y null: everywhere), kept in dz if that is not null;
/// sums[c] += dz, products[c] += dz * (x - mean), in f64 over blocks of rows.
template <typename T>
struct NormSums {
  const T *x, *y, *dy;
  const Arithmetic<T>* mean;  ///< [period]
  T* dz;
  double *sums, *products;  ///< [channels]
};

template <typename T>
void norm_sums(const NormSums<T>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end, double* room);

/// dx = dz * scale - (x - mean) * slope - offset (x null: only the first term); dz = dy where y > 0 (y null:
/// everywhere); factors [period].
template <typename T>
struct NormBackward {
  const T *x, *y, *dy;
  const Arithmetic<T>*mean, *scale, *slope, *offset;
  T* dx;
};

template <typename T>
void norm_backward(const NormBackward<T>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end);

}  // namespace rtl::kernels::cpu
