#include "kernels/cuda/reduce.cuh"

#include <algorithm>
#include <limits>

#include "kernels/backend/gemm.hpp"
#include "kernels/backend/reduce.hpp"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

/// Element (row, column): `row` counts the reduced axes of a strided view, `column` the kept ones.
template <typename T>
struct StridedTerm {
  const T* x;
  Layout<1, std::int64_t> reduced;
  Layout<1, std::int64_t> kept;
  __device__ double operator()(std::int64_t row, std::int64_t column) const {
    std::int64_t along[1], across[1];
    reduced.locate(row, along);
    kept.locate(column, across);
    return functors::convert<double>(x[along[0] + across[0]]);
  }
};

template <typename T>
struct StoreScaled {
  T* y;
  double scale;
  __device__ void operator()(std::int64_t column, std::int64_t, double total) const {
    y[column] = functors::convert<T>(total * scale);
  }
};

template <typename T, typename Result>
void reduce_as(const Device& device, ReduceOp op, const ConstView& x, const View& y, std::int64_t matrices) {
  Strides kept_strides{}, reduced_strides{};
  Shape kept = y.shape(), reduced = x.shape();
  bool inner_kept = true;
  for (int axis = 0; axis < x.rank(); ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    const bool is_kept = y.extent(axis) == x.extent(axis);
    (is_kept ? kept_strides : reduced_strides)[a] = x.strides()[a];
    if (is_kept) reduced = reduced.with(axis, 1);
    if (x.extent(axis) > 1 && x.strides()[a] == 1) inner_kept = is_kept;
  }
  const std::int64_t rows = reduced.count(), columns = kept.count() / matrices;
  const auto neighbours = inner_kept ? Neighbours::columns : Neighbours::rows;
  const StridedTerm<T> term{x.data_as<T>(), make_layout<1, std::int64_t>(reduced, {reduced_strides}),
                            make_layout<1, std::int64_t>(kept, {kept_strides})};
  const StoreScaled<Result> store{y.data_as<Result>(), op == ReduceOp::mean ? 1.0 / static_cast<double>(rows) : 1.0};
  constexpr double infinity = std::numeric_limits<double>::infinity();
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::mean:
      return reduce_columns(device, rows, columns, neighbours, 0.0, term, functors::Add(), store, matrices);
    case ReduceOp::maximum:
      return reduce_columns(device, rows, columns, neighbours, -infinity, term, functors::Maximum(), store, matrices);
    case ReduceOp::minimum:
      return reduce_columns(device, rows, columns, neighbours, infinity, term, functors::Minimum(), store, matrices);
  }
}

struct Candidate {
  double value;
  std::int32_t position;  // -1: none yet
};

template <typename T>
struct CandidateTerm {
  const T* x;
  std::int64_t columns;
  __device__ Candidate operator()(std::int64_t position, std::int64_t row) const {
    return {static_cast<double>(x[row * columns + position]), static_cast<std::int32_t>(position)};
  }
};

/// The larger, NaN being largest; of equals the first.
struct BetterCandidate {
  __device__ Candidate operator()(const Candidate& a, const Candidate& b) const {
    if (a.position < 0) return b;
    if (b.position < 0) return a;
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan ? a : b;
    if (!a_nan && a.value != b.value) return a.value > b.value ? a : b;
    return a.position < b.position ? a : b;
  }
};

struct StorePosition {
  std::int32_t* indices;
  __device__ void operator()(std::int64_t row, std::int64_t, const Candidate& best) const {
    indices[row] = best.position;
  }
};

template <typename T>
struct FiniteTerm {
  const T* x;
  __device__ int operator()(std::int64_t row, std::int64_t) const {
    const auto value = functors::convert<std::conditional_t<std::is_same_v<T, double>, double, float>>(x[row]);
    return value - value == 0 ? 1 : 0;
  }
};

struct Both {
  __device__ int operator()(int a, int b) const { return a & b; }
};

struct StoreFlag {
  int* flag;
  __device__ void operator()(std::int64_t, std::int64_t, int value) const { *flag = value; }
};

template <typename T>
struct ColumnTerm {
  const T* x;
  std::int64_t columns;
  __device__ double operator()(std::int64_t row, std::int64_t column) const {
    return static_cast<double>(functors::convert<Arithmetic<T>>(x[row * columns + column]));
  }
};

template <typename T>
struct SquaredDeviationTerm {
  const T* x;
  std::int64_t columns;
  const double* mean;
  __device__ double operator()(std::int64_t row, std::int64_t column) const {
    const double deviation = static_cast<double>(x[row * columns + column]) - mean[column];
    return deviation * deviation;
  }
};

}  // namespace

void reduce(const Device& device, ReduceOp op, ConstView x, View y) {
  functors::visit_sums(x.dtype(), y.dtype(), [&](auto element, auto result) {
    reduce_as<decltype(element), decltype(result)>(device, op, x, y, 1);
  });
}

void reduce_batch(const Device& device, ReduceOp op, ConstView x, View y) {
  constexpr std::int64_t most = 65535;  // the last axis of a grid
  for (std::int64_t first = 0; first < x.extent(0); first += most) {
    const std::int64_t end = std::min(x.extent(0), first + most);
    functors::visit_sums(x.dtype(), y.dtype(), [&](auto element, auto result) {
      reduce_as<decltype(element), decltype(result)>(device, op, x.slice(0, first, end), y.slice(0, first, end),
                                                     end - first);
    });
  }
}

void argmax_rows(const Device& device, ConstView x, View indices) {
  functors::visit_floating(x.dtype(), [&](auto element) {
    using T = decltype(element);
    reduce_columns(device, x.extent(1), x.extent(0), Neighbours::rows, Candidate{0, -1},
                   CandidateTerm<T>{x.data_as<T>(), x.extent(1)}, BetterCandidate(),
                   StorePosition{indices.data_as<std::int32_t>()});
  });
}

bool all_finite(const Device& device, ConstView x) {
  const Scratch<int> flag(device, 1);
  const auto test = [&](auto element) {
    using T = decltype(element);
    reduce_columns(device, x.count(), 1, Neighbours::rows, 1, FiniteTerm<T>{x.data_as<T>()}, Both(),
                   StoreFlag{flag.get()});
  };
  if (x.dtype() == DType::bf16) {
    test(bfloat16());
  } else if (x.dtype() == DType::f16) {
    test(float16());
  } else {
    functors::visit_floating(x.dtype(), test);
  }
  int finite = 0;
  device.context().copy(&finite, flag.get(), sizeof finite, detail::CopyKind::to_host);
  return finite != 0;
}

void column_sums(const Device& device, ConstView x, View out) {
  functors::visit_activations(x.dtype(), [&](auto element) {
    using T = decltype(element);
    reduce_columns(device, x.extent(0), x.extent(1), Neighbours::columns, 0.0,
                   ColumnTerm<T>{x.data_as<T>(), x.extent(1)}, functors::Add(),
                   StoreScaled<Arithmetic<T>>{out.data_as<Arithmetic<T>>(), 1.0});
  });
}

void column_moments(const Device& device, ConstView x, View mean, View variance) {
  const double scale = 1.0 / static_cast<double>(x.extent(0));
  functors::visit_floating(x.dtype(), [&](auto element) {
    using T = decltype(element);
    const std::int64_t rows = x.extent(0), columns = x.extent(1);
    double* means = mean.data_as<double>();
    reduce_columns(device, rows, columns, Neighbours::columns, 0.0, ColumnTerm<T>{x.data_as<T>(), columns},
                   functors::Add(), StoreScaled<double>{means, scale});
    reduce_columns(device, rows, columns, Neighbours::columns, 0.0,
                   SquaredDeviationTerm<T>{x.data_as<T>(), columns, means}, functors::Add(),
                   StoreScaled<double>{variance.data_as<double>(), scale});
  });
}

}  // namespace rtl::kernels::cuda
