// Matrix multiplication on the host: panels or oneDNN's sgemm in f32 (faster than OpenBLAS on small and skinny shapes),
// panels or its matmul in bf16, OpenBLAS's dgemm in f64.
#include <cblas.h>

#include <algorithm>
#include <type_traits>
#include <utility>

#include "kernels/backend/gemm.hpp"
#include "kernels/cpu/blas_parts.hpp"
#include "kernels/cpu/gemm_panels.hpp"
#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/products.hpp"
#include "kernels/cpu/widened.hpp"
#include "kernels/functors.hpp"

namespace rtl::kernels::cpu {

void multiply(const Problem<float>& p) {
  ensure_onednn_memory();
  const dnnl_status_t status = dnnl_sgemm(p.transpose_a ? 'T' : 'N', p.transpose_b ? 'T' : 'N', p.m, p.n, p.k, p.alpha,
                                          p.a, p.lda, p.b, p.ldb, p.beta, p.c, p.ldc);
  if (status == dnnl_out_of_memory) {
    throw OutOfMemory(fmt::format("gemm: oneDNN has no memory for m={} n={} k={}", p.m, p.n, p.k));
  }
  if (status != dnnl_success) {
    throw Error(fmt::format("gemm: oneDNN's sgemm failed with status {} for m={} n={} k={}", static_cast<int>(status),
                            p.m, p.n, p.k));
  }
}

void multiply(const Problem<double>& p) {
  cblas_dgemm(CblasRowMajor, p.transpose_a ? CblasTrans : CblasNoTrans, p.transpose_b ? CblasTrans : CblasNoTrans,
              static_cast<int>(p.m), static_cast<int>(p.n), static_cast<int>(p.k), p.alpha, p.a,
              static_cast<int>(p.lda), p.b, static_cast<int>(p.ldb), p.beta, p.c, static_cast<int>(p.ldc));
}

namespace {

/// The threads share the products and, of each, parts of the larger side of its result. A product is cut as if it were
/// alone, so that its bits do not depend on the batch.
template <typename T, typename Result>
void multiply_all(const Device& device, const Batch<T, Result>& batch) {
  const Problem<T, Result>& p = batch.first;
  const double operations = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  const bool rows = p.m >= p.n;
  const std::int64_t side = rows ? p.m : p.n;
  const int parts = blas_part_count(side, operations);
  const std::int64_t tasks = batch.count * parts;
  const int team = std::max(parts, blas_part_count(tasks, operations * static_cast<double>(batch.count)));
  const auto part_of = [&](const Problem<T, Result>& whole, int part) {
    return whole.part(rows, blas_cut(side, parts, part, linear_boundary),
                      blas_cut(side, parts, part + 1, linear_boundary));
  };
  Products<T, Result> products(device, team);
  for (int part = 0; part < parts; ++part) {
    if (const auto one = part_of(p, part); !one.empty()) products.prepare(one);
  }
  blas_tasks(tasks, team, [&](std::int64_t task) {
    const auto one = part_of(batch[task / parts], static_cast<int>(task % parts));
    if (!one.empty()) products.multiply(one);
  });
}

template <typename T>
void scale_rows(const Problem<T>& p) {
  for (std::int64_t i = 0; i < p.m; ++i) {
    T* row = p.c + i * p.ldc;
    if (p.beta == T(0)) {
      std::fill(row, row + p.n, T(0));
    } else {
      for (std::int64_t j = 0; j < p.n; ++j) row[j] *= p.beta;
    }
  }
}

template <typename T>
void apply_epilogue(const Batch<T>& batch) {
  const Problem<T>& p = batch.first;
  const std::int64_t rows = batch.count * p.m;
#pragma omp parallel for schedule(static) if (rows * p.n > 65536)
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t product = i / p.m;
    T* row = p.c + product * batch.stride_c + (i - product * p.m) * p.ldc;
    if (p.bias != nullptr) {
      const T* summand = p.bias + product * batch.stride_bias;
      for (std::int64_t j = 0; j < p.n; ++j) row[j] += summand[j];
    }
    if (p.relu) {
      // Written so that NaN stays NaN.
      for (std::int64_t j = 0; j < p.n; ++j) row[j] = row[j] < T(0) ? T(0) : row[j];
    }
  }
}

/// Distance between the matrices of a batch.
std::int64_t batch_stride(const ConstView& batch) { return batch.extent(0) > 1 ? batch.strides()[0] : 0; }

/// Distance between rows; BLAS wants at least the row's length, also where there is one row only.
std::int64_t leading_dimension(const ConstView& batch) {
  return batch.extent(1) > 1 ? batch.strides()[1] : std::max<std::int64_t>(1, batch.extent(2));
}

/// The operands of a call of gemm_batched; bias may be absent.
struct Call {
  Transpose transpose_a, transpose_b;
  double alpha;
  ConstView a, b;
  double beta;
  View c;
  Epilogue epilogue;
  ConstView bias;
};

template <typename T, typename Result>
Batch<T, Result> batch_of(const Call& call) {
  using Number = Arithmetic<T>;
  const bool turn_a = call.transpose_a == Transpose::yes, turn_b = call.transpose_b == Transpose::yes;
  const bool relu = call.epilogue == Epilogue::relu || call.epilogue == Epilogue::bias_relu;
  return {{turn_a, turn_b, call.c.extent(1), call.c.extent(2), call.a.extent(turn_a ? 1 : 2),
           static_cast<Number>(call.alpha), call.a.data_as<T>(), leading_dimension(call.a), call.b.data_as<T>(),
           leading_dimension(call.b), static_cast<Number>(call.beta), call.c.data_as<Result>(),
           leading_dimension(call.c), call.bias.given() ? call.bias.data_as<Number>() : nullptr, relu},
          call.c.extent(0),
          batch_stride(call.a),
          batch_stride(call.b),
          batch_stride(call.c),
          call.bias.given() ? batch_stride(call.bias) : 0};
}

template <typename T>
void gemm_typed(const Device& device, const Call& call) {
  const Batch<T> batch = batch_of<T, T>(call);
  if (call.c.count() == 0) return;
  if constexpr (std::is_same_v<T, float>) {
    if (panels_serve(batch.first)) return multiply_by_panels(device, batch);
  }
  if (batch.first.k > 0) {
    multiply_all(device, batch);
  } else {
    for (std::int64_t i = 0; i < batch.count; ++i) scale_rows(batch[i]);
  }
  if (batch.first.relu || batch.first.bias != nullptr) apply_epilogue(batch);
}

/// Calls f(view of the values in bf16), rounding a copy of those that are f32.
template <typename F>
void with_rounded(const Device& device, ConstView values, F&& f) {
  if (values.dtype() == DType::bf16) return f(values);
  const Scratch<bfloat16> memory(device, values.count());
  const View rounded(memory.data(), DType::bf16, values.shape(), device);
  cpu::cast(device, values, rounded);
  f(rounded);
}

/// In f32, in which products of two bf16 are exact.
void gemm_widened(const Device& device, Call call) {
  const Widened a(device, call.a), b(device, call.b);
  call.a = a.view();
  call.b = b.view();
  if (call.c.dtype() == DType::f32) return gemm_typed<float>(device, call);
  const Widened c(device, call.c.shape());
  const View result = std::exchange(call.c, c.view());
  if (call.beta != 0) cpu::cast(device, result, c.view());
  gemm_typed<float>(device, call);
  c.round_to(result);
}

template <typename Result>
void multiply_rounded(const Device& device, const Call& call) {
  const auto batch = batch_of<bfloat16, Result>(call);
  panels_serve(batch.first) ? multiply_by_panels(device, batch) : multiply_all(device, batch);
}

void gemm_bf16(const Device& device, Call call) {
  if (!multiplies_bf16()) return gemm_widened(device, call);
  with_rounded(device, call.a, [&](ConstView a) {
    call.a = a;
    with_rounded(device, call.b, [&](ConstView b) {
      call.b = b;
      if (call.c.dtype() == DType::f32) {
        multiply_rounded<float>(device, call);
      } else {
        multiply_rounded<bfloat16>(device, call);
      }
    });
  });
}

}  // namespace

void gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a, ConstView b,
          double beta, View c, Epilogue epilogue, ConstView bias) {
  cpu::gemm_batched(device, transpose_a, transpose_b, alpha, batch_of_one(a), batch_of_one(b), beta, batch_of_one(c),
                    epilogue, bias.given() ? bias.reshaped({1, 1, bias.count()}) : ConstView());
}

void gemm_batched(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, ConstView a,
                  ConstView b, double beta, View c, Epilogue epilogue, ConstView bias) {
  const Call call{transpose_a, transpose_b, alpha, a, b, beta, c, epilogue, bias};
  if (a.dtype() == DType::bf16 || b.dtype() == DType::bf16) {
    gemm_bf16(device, call);
  } else {
    functors::visit_floating(c.dtype(), [&](auto zero) { gemm_typed<decltype(zero)>(device, call); });
  }
}

}  // namespace rtl::kernels::cpu
