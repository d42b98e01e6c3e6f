// Reductions on the host, accumulated in f64 in an order that depends on the thread count alone.
#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <tuple>
#include <utility>

#include "kernels/backend/reduce.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/reduce.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// total = f(total, x[i * step]) over i; eight running results, combined in order.
template <typename F, typename T>
double fold_run(F f, double total, const T* x, std::int64_t step, std::int64_t length) {
  constexpr std::int64_t ways = 8;
  if (step == 1 && length >= 2 * ways) {
    double partial[ways];
    for (std::int64_t way = 0; way < ways; ++way) partial[way] = functors::convert<double>(x[way]);
    std::int64_t i = ways;
    for (; i + ways <= length; i += ways) {
#pragma omp simd
      for (std::int64_t way = 0; way < ways; ++way)
        partial[way] = f(partial[way], functors::convert<double>(x[i + way]));
    }
    for (const double value : partial) total = f(total, value);
    x += i;
    length -= i;
  }
  for (std::int64_t i = 0; i < length; ++i) total = f(total, functors::convert<double>(x[i * step]));
  return total;
}

/// totals[i] = f(totals[i], x[i * step]).
template <typename F, typename T>
void fold_elements(F f, double* totals, const T* x, std::int64_t step, std::int64_t length) {
  if (step == 1) {
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) totals[i] = f(totals[i], functors::convert<double>(x[i]));
  } else {
    for (std::int64_t i = 0; i < length; ++i) totals[i] = f(totals[i], functors::convert<double>(x[i * step]));
  }
}

template <typename F>
double fold_run_dtype(F f, double total, DType dtype, const void* x, std::int64_t at, std::int64_t step,
                      std::int64_t length) {
  if (dtype == DType::f32) return fold_run(f, total, static_cast<const float*>(x) + at, step, length);
  if (dtype == DType::bf16) return fold_run(f, total, static_cast<const bfloat16*>(x) + at, step, length);
  return fold_run(f, total, static_cast<const double*>(x) + at, step, length);
}

double fold_run_target(ReduceOp op, double total, DType dtype, const void* x, std::int64_t at, std::int64_t step,
                       std::int64_t length) {
  if (op == ReduceOp::maximum) return fold_run_dtype(functors::Maximum(), total, dtype, x, at, step, length);
  if (op == ReduceOp::minimum) return fold_run_dtype(functors::Minimum(), total, dtype, x, at, step, length);
  return fold_run_dtype(functors::Add(), total, dtype, x, at, step, length);
}

template <typename F>
void fold_elements_dtype(F f, double* totals, DType dtype, const void* x, std::int64_t at, std::int64_t step,
                         std::int64_t length) {
  if (dtype == DType::f32) {
    fold_elements(f, totals, static_cast<const float*>(x) + at, step, length);
  } else if (dtype == DType::bf16) {
    fold_elements(f, totals, static_cast<const bfloat16*>(x) + at, step, length);
  } else {
    fold_elements(f, totals, static_cast<const double*>(x) + at, step, length);
  }
}

void fold_elements_target(ReduceOp op, double* totals, DType dtype, const void* x, std::int64_t at, std::int64_t step,
                          std::int64_t length) {
  if (op == ReduceOp::maximum) {
    fold_elements_dtype(functors::Maximum(), totals, dtype, x, at, step, length);
  } else if (op == ReduceOp::minimum) {
    fold_elements_dtype(functors::Minimum(), totals, dtype, x, at, step, length);
  } else {
    fold_elements_dtype(functors::Add(), totals, dtype, x, at, step, length);
  }
}

/// sums[c] += x[row, c], or += (x[row, c] - mean[c])^2 if there are means, over rows [begin, end).
template <typename T>
void moment_rows(const T* x, const double* mean, double* sums, std::int64_t columns, std::int64_t begin,
                 std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) {
    const T* from = x + row * columns;
    if (mean == nullptr) {
#pragma omp simd
      for (std::int64_t c = 0; c < columns; ++c) sums[c] += static_cast<double>(from[c]);
    } else {
#pragma omp simd
      for (std::int64_t c = 0; c < columns; ++c) {
        const double centred = static_cast<double>(from[c]) - mean[c];
        sums[c] += centred * centred;
      }
    }
  }
}

void moment_rows_target(ConstView x, const double* mean, double* sums, std::int64_t begin, std::int64_t end) {
  functors::visit_floating(
      x.dtype(), [&](auto zero) { moment_rows(x.data_as<decltype(zero)>(), mean, sums, x.extent(1), begin, end); });
}

/// Index of the row's largest element, the first of equal ones; the first NaN, if there is one.
template <typename T>
std::int64_t argmax(const T* row, std::int64_t columns) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  // A NaN anywhere makes the running sum of x - x NaN; so does infinity.
  auto largest = hn::Set(d, row[0]), odd = hn::Zero(d);
  std::int64_t c = 0;
  for (; c + lanes <= columns; c += lanes) {
    const auto x = hn::LoadU(d, row + c);
    largest = hn::Max(largest, x);
    odd = hn::Add(odd, hn::Sub(x, x));
  }
  T best = hn::GetLane(hn::MaxOfLanes(d, largest));
  T rest = hn::GetLane(hn::SumOfLanes(d, odd));
  for (; c < columns; ++c) {
    best = row[c] > best ? row[c] : best;
    rest += row[c] - row[c];
  }
  if (rest == T{0}) {
    const auto sought = hn::Set(d, best);
    for (c = 0; c + lanes <= columns; c += lanes) {
      const auto found = hn::FindFirstTrue(d, hn::Eq(hn::LoadU(d, row + c), sought));
      if (found >= 0) return c + found;
    }
    while (row[c] != best) ++c;
    return c;
  }
  std::int64_t first = 0;
  for (c = 1; c < columns && !std::isnan(row[first]); ++c) {
    if (row[c] > row[first] || std::isnan(row[c])) first = c;
  }
  return first;
}

void argmax_target(ConstView x, std::int32_t* indices, std::int64_t begin, std::int64_t end) {
  functors::visit_floating(x.dtype(), [&](auto zero) {
    const std::int64_t columns = x.extent(1);
    const auto* values = x.data_as<decltype(zero)>();
    for (std::int64_t row = begin; row < end; ++row) {
      indices[row] = static_cast<std::int32_t>(argmax(values + row * columns, columns));
    }
  });
}

/// True if no word has all of the exponent's bits set.
template <typename Word>
bool all_finite_words(const Word* words, Word exponent, std::int64_t count) {
  int odd = 0;
#pragma omp simd reduction(| : odd)
  for (std::int64_t i = 0; i < count; ++i) odd |= static_cast<Word>(words[i] & exponent) == exponent ? 1 : 0;
  return odd == 0;
}

bool all_finite_target(ConstView x, std::int64_t begin, std::int64_t end) {
  switch (x.dtype()) {
    case DType::f64:
      return all_finite_words(static_cast<const std::uint64_t*>(x.data()) + begin, std::uint64_t{0x7ff} << 52,
                              end - begin);
    case DType::f32:
      return all_finite_words(static_cast<const std::uint32_t*>(x.data()) + begin, 0x7f800000u, end - begin);
    case DType::bf16:
      return all_finite_words(static_cast<const std::uint16_t*>(x.data()) + begin, std::uint16_t{0x7f80}, end - begin);
    default:
      return all_finite_words(static_cast<const std::uint16_t*>(x.data()) + begin, std::uint16_t{0x7c00}, end - begin);
  }
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(fold_run_target);
HWY_EXPORT(fold_elements_target);
HWY_EXPORT(moment_rows_target);
HWY_EXPORT(argmax_target);
HWY_EXPORT(all_finite_target);

/// Some axes of x, walked in row-major order.
struct Axes {
  std::array<std::int64_t, Shape::max_rank> extents, strides;
  std::size_t rank = 0;
  void add(std::int64_t extent, std::int64_t stride) {
    if (extent == 1) return;
    if (rank > 0 && strides[rank - 1] == stride * extent) {
      extents[rank - 1] *= extent;
      strides[rank - 1] = stride;
    } else {
      extents[rank] = extent;
      strides[rank++] = stride;
    }
  }
  std::int64_t count() const {
    std::int64_t product = 1;
    for (std::size_t axis = 0; axis < rank; ++axis) product *= extents[axis];
    return product;
  }
  std::int64_t offset(std::int64_t index) const {
    std::int64_t sum = 0;
    for (std::size_t axis = rank; axis-- > 0;) {
      sum += index % extents[axis] * strides[axis];
      index /= extents[axis];
    }
    return sum;
  }
  /// Takes the last axis away: its extent and stride, or one element.
  std::pair<std::int64_t, std::int64_t> split_run() {
    if (rank == 0) return {1, 1};
    --rank;
    return {extents[rank], strides[rank]};
  }
};

double start_of(ReduceOp op) {
  if (op == ReduceOp::maximum) return -INFINITY;
  return op == ReduceOp::minimum ? INFINITY : 0.0;
}

double combine(ReduceOp op, double a, double b) {
  if (op == ReduceOp::maximum) return functors::Maximum()(a, b);
  return op == ReduceOp::minimum ? functors::Minimum()(a, b) : a + b;
}

/// One reduction: outputs are the kept axes, each the fold of all positions of the reduced axes. The inner loop runs
/// over whichever set of axes holds x's nearest neighbours.
class Reduction {
 public:
  Reduction(ReduceOp op, ConstView x, const Shape& y) : op_(op), x_(x) {
    std::int64_t kept_step = INT64_MAX, reduced_step = INT64_MAX;
    for (int axis = 0; axis < x.rank(); ++axis) {
      const std::int64_t stride = x.strides()[static_cast<std::size_t>(axis)];
      const bool reduced = y[axis] == 1;
      (reduced ? reduced_ : kept_).add(x.extent(axis), stride);
      if (x.extent(axis) > 1) (reduced ? reduced_step : kept_step) = std::abs(stride);
    }
    outputs_ = kept_.count();
    positions_ = reduced_.count();
    across_ = kept_step < reduced_step;
    std::tie(run_, step_) = across_ ? kept_.split_run() : reduced_.split_run();
  }

  /// Calls f(results in y's order).
  template <typename F>
  void run(const Device& device, const F& f) const {
    // Few outputs of many positions: the threads share the positions, and their partial results meet in order.
    const bool share_positions = outputs_ < 4 * elements_per_thread && positions_ > outputs_;
    const std::int64_t outer = across_ ? positions_ : positions_ / run_;
    const int chunks =
        share_positions ? chunk_count(outer, grain_of(outputs_ * positions_ / std::max<std::int64_t>(1, outer))) : 1;
    const Scratch<double> partial(device, chunks * outputs_, start_of(op_));
    if (chunks > 1) {
      parallel_chunks(outer, chunks, [&](int chunk, std::int64_t begin, std::int64_t end) {
        fold(partial.data() + chunk * outputs_, 0, outputs_ / (across_ ? run_ : 1), begin, end);
      });
    } else {
      const std::int64_t groups = outputs_ / (across_ ? run_ : 1);
      parallel_ranges(groups, grain_of(outputs_ * positions_ / groups),
                      [&](std::int64_t begin, std::int64_t end) { fold(partial.data(), begin, end, 0, outer); });
    }
    for (int chunk = 1; chunk < chunks; ++chunk) {
      for (std::int64_t i = 0; i < outputs_; ++i) {
        partial[i] = combine(op_, partial[i], partial[chunk * outputs_ + i]);
      }
    }
    f(std::span<const double>(partial.data(), static_cast<std::size_t>(outputs_)));
  }

 private:
  /// Folds reduced positions [first, last) into outputs (or, across, groups of run_ outputs) [begin, end).
  void fold(double* totals, std::int64_t begin, std::int64_t end, std::int64_t first, std::int64_t last) const {
    for (std::int64_t group = begin; group < end; ++group) {
      const std::int64_t base = kept_.offset(group);
      for (std::int64_t position = first; position < last; ++position) {
        const std::int64_t at = base + reduced_.offset(position);
        if (across_) {
          HWY_DYNAMIC_DISPATCH(fold_elements_target)
          (op_, totals + group * run_, x_.dtype(), x_.data(), at, step_, run_);
        } else {
          totals[group] =
              HWY_DYNAMIC_DISPATCH(fold_run_target)(op_, totals[group], x_.dtype(), x_.data(), at, step_, run_);
        }
      }
    }
  }

  ReduceOp op_;
  ConstView x_;
  Axes kept_, reduced_;
  std::int64_t outputs_ = 1, positions_ = 1, run_ = 1, step_ = 1;
  bool across_ = false;
};

constexpr std::int64_t rows_per_block = 64;

/// Column sums of x, or of (x - mean)^2, divided by the rows.
void column_means(const Device& device, ConstView x, const double* mean, double* out) {
  const std::int64_t rows = x.extent(0), columns = x.extent(1);
  const int chunks = chunk_count(rows, grain_of(columns));
  const Scratch<double> partial(device, chunks * columns, 0.0), blocks(device, chunks * columns);
  parallel_chunks(rows, chunks, [&](int chunk, std::int64_t begin, std::int64_t end) {
    // Sums of sums: the rounding errors of many rows stay those of few.
    double *block = blocks.data() + chunk * columns, *sums = partial.data() + chunk * columns;
    for (std::int64_t row = begin; row < end; row += rows_per_block) {
      std::fill(block, block + columns, 0.0);
      HWY_DYNAMIC_DISPATCH(moment_rows_target)(x, mean, block, row, std::min(end, row + rows_per_block));
      for (std::int64_t c = 0; c < columns; ++c) sums[c] += block[c];
    }
  });
  for (std::int64_t c = 0; c < columns; ++c) {
    double sum = 0;
    for (int chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * columns + c];
    out[c] = sum / static_cast<double>(rows);
  }
}

}  // namespace

void reduce(const Device& device, ReduceOp op, ConstView x, View y) {
  const double divisor = op == ReduceOp::mean ? static_cast<double>(x.count()) / static_cast<double>(y.count()) : 1.0;
  Reduction(op, x, y.shape()).run(device, [&](std::span<const double> results) {
    functors::visit_activations(y.dtype(), [&](auto zero) {
      using T = decltype(zero);
      T* to = y.data_as<T>();
      for (const double result : results) *to++ = functors::convert<T>(result / divisor);
    });
  });
}

void reduce_batch(const Device& device, ReduceOp op, ConstView x, View y) {
  for (std::int64_t i = 0; i < x.extent(0); ++i) {
    cpu::reduce(device, op, x.slice(0, i, i + 1), y.slice(0, i, i + 1));
  }
}

void argmax_rows(const Device&, ConstView x, View indices) {
  parallel_ranges(x.extent(0), grain_of(x.extent(1)), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(argmax_target)(x, indices.data_as<std::int32_t>(), begin, end);
  });
}

bool all_finite(const Device& device, ConstView x) {
  const int chunks = chunk_count(x.count(), elements_per_thread);
  const Scratch<char> finite(device, chunks);
  parallel_chunks(x.count(), chunks, [&](int chunk, std::int64_t begin, std::int64_t end) {
    finite[chunk] = HWY_DYNAMIC_DISPATCH(all_finite_target)(x, begin, end) ? 1 : 0;
  });
  return std::find(finite.begin(), finite.end(), 0) == finite.end();
}

void column_moments(const Device& device, ConstView x, View mean, View variance) {
  column_means(device, x, nullptr, mean.data_as<double>());
  column_means(device, x, mean.data_as<double>(), variance.data_as<double>());
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE
