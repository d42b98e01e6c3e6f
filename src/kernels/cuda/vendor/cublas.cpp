// Matrix products by cuBLASLt. f32 in full precision unless TF32 is allowed; bf16 on the tensor cores, its products
// added in f32; and only algorithms whose sums have a fixed order.
#include <cublasLt.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <type_traits>

#include "kernels/cuda/stream.hpp"
#include "kernels/cuda/vendor/blas.hpp"
#include "rtl/core/tf32.hpp"

#define RTL_CUBLAS_CHECK(call) check((call), #call)

namespace rtl::kernels::cuda::vendor {
namespace {

void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw CudaError(
      fmt::format("{} failed with {} ({})", call, cublasLtGetStatusName(status), cublasLtGetStatusString(status)));
}

template <auto destroy>
struct Destroy {
  template <typename T>
  void operator()(T* object) const {
    destroy(object);
  }
};
template <typename Handle, auto destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<destroy>>;

/// Everything that the choice of an algorithm depends on.
struct Problem {
  DType dtype, c_dtype;  ///< of A and B, of C
  bool tf32;
  bool transpose_a, transpose_b, keeps_c;
  Epilogue epilogue;
  std::int64_t m, n, k, lda, ldb, ldc;
  std::int64_t batch, stride_a, stride_b, stride_c, stride_bias;
  std::uint32_t a_alignment, b_alignment, c_alignment;
  auto operator<=>(const Problem&) const = default;
};

/// In bytes; less, and the epilogue is not fused.
constexpr std::uint32_t bias_alignment = 16;

// The library thinks in columns, so it is asked for C^T = op(B)^T op(A)^T: what is a row-major matrix to us is the
// transposed column-major one to it, and B comes first.
class Plan {
 public:
  Plan(cublasLtHandle_t handle, const Problem& problem) : problem_(problem) {
    cublasLtMatmulDesc_t description = nullptr;
    RTL_CUBLAS_CHECK(cublasLtMatmulDescCreate(&description, arithmetic_of(problem),
                                              problem.dtype == DType::f64 ? CUDA_R_64F : CUDA_R_32F));
    description_.reset(description);
    set(CUBLASLT_MATMUL_DESC_TRANSA, problem.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, problem.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(problem.epilogue));
    // The choice depends on this pointer's alignment, and does not follow it.
    if (problem.epilogue == Epilogue::bias || problem.epilogue == Epilogue::bias_relu) {
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, std::uintptr_t{bias_alignment});
    }
    first_ = layout(problem.dtype, problem.transpose_b ? problem.k : problem.n,
                    problem.transpose_b ? problem.n : problem.k, problem.ldb);
    second_ = layout(problem.dtype, problem.transpose_a ? problem.m : problem.k,
                     problem.transpose_a ? problem.k : problem.m, problem.lda);
    result_ = layout(problem.c_dtype, problem.n, problem.m, problem.ldc);
    choose(handle);
    if (usable_ && problem.batch > 1) repeat(handle);
  }

  /// False if the library has no algorithm for this problem.
  bool usable() const { return usable_; }

  void run(cublasLtHandle_t handle, const Device& device, double alpha, const void* a, const void* b, double beta,
           void* c, const void* bias) {
    if (bias != nullptr) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    const float single[2] = {static_cast<float>(alpha), static_cast<float>(beta)};
    const double wide[2] = {alpha, beta};
    const bool is_double = problem_.dtype == DType::f64;
    const void* scale_product = is_double ? static_cast<const void*>(&wide[0]) : &single[0];
    const void* scale_before = is_double ? static_cast<const void*>(&wide[1]) : &single[1];
    const Scratch<std::byte> workspace(device, static_cast<std::int64_t>(choice_.workspaceSize));
    RTL_CUBLAS_CHECK(cublasLtMatmul(handle, description_.get(), scale_product, b, first_.get(), a, second_.get(),
                                    scale_before, c, result_.get(), c, result_.get(), &choice_.algo, workspace.get(),
                                    choice_.workspaceSize, activate(device)));
  }

 private:
  static constexpr std::size_t most_workspace = std::size_t{32} << 20;

  using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
  using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

  static cublasLtEpilogue_t epilogue_of(Epilogue epilogue) {
    switch (epilogue) {
      case Epilogue::none:
        break;
      case Epilogue::bias:
        return CUBLASLT_EPILOGUE_BIAS;
      case Epilogue::bias_relu:
        return CUBLASLT_EPILOGUE_RELU_BIAS;
      case Epilogue::relu:
        return CUBLASLT_EPILOGUE_RELU;
    }
    return CUBLASLT_EPILOGUE_DEFAULT;
  }

  template <typename T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    RTL_CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(description_.get(), attribute, &value, sizeof value));
  }

  static cublasComputeType_t arithmetic_of(const Problem& problem) {
    if (problem.dtype == DType::f64) return CUBLAS_COMPUTE_64F;
    return problem.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  }

  static cudaDataType_t type_of(DType dtype) {
    if (dtype == DType::bf16) return CUDA_R_16BF;
    return dtype == DType::f64 ? CUDA_R_64F : CUDA_R_32F;
  }

  static Layout layout(DType dtype, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
    cublasLtMatrixLayout_t made = nullptr;
    RTL_CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&made, type_of(dtype), static_cast<std::uint64_t>(rows),
                                                static_cast<std::uint64_t>(columns), stride));
    return Layout(made);
  }

  /// Makes the chosen algorithm run for the whole batch, so that its products have the bits of single ones.
  void repeat(cublasLtHandle_t handle) {
    const auto spread = [&](const Layout& matrix, std::int64_t stride) {
      const auto count = static_cast<std::int32_t>(problem_.batch);
      RTL_CUBLAS_CHECK(
          cublasLtMatrixLayoutSetAttribute(matrix.get(), CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
      RTL_CUBLAS_CHECK(cublasLtMatrixLayoutSetAttribute(matrix.get(), CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                                        &stride, sizeof stride));
    };
    spread(first_, problem_.stride_b);
    spread(second_, problem_.stride_a);
    spread(result_, problem_.stride_c);
    if (problem_.epilogue == Epilogue::bias || problem_.epilogue == Epilogue::bias_relu) {
      set(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, problem_.stride_bias);
    }
    cublasLtMatmulHeuristicResult_t checked{};
    const cublasStatus_t status = cublasLtMatmulAlgoCheck(handle, description_.get(), first_.get(), second_.get(),
                                                          result_.get(), result_.get(), &choice_.algo, &checked);
    usable_ = status == CUBLAS_STATUS_SUCCESS && checked.state == CUBLAS_STATUS_SUCCESS &&
              checked.workspaceSize <= most_workspace;
    choice_.workspaceSize = checked.workspaceSize;
  }

  void choose(cublasLtHandle_t handle) {
    cublasLtMatmulPreference_t made = nullptr;
    RTL_CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(&made));
    const Preference preference(made);
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      RTL_CUBLAS_CHECK(cublasLtMatmulPreferenceSetAttribute(made, attribute, &value, sizeof value));
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace);
    // Split sums may only be added in a second step, whose order is fixed; not in place, as they come.
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, problem_.b_alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, problem_.a_alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, problem_.c_alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, problem_.c_alignment);
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, description_.get(), first_.get(), second_.get(), result_.get(),
                                       result_.get(), preference.get(), 1, &choice_, &found);
    usable_ = status == CUBLAS_STATUS_SUCCESS && found > 0 && choice_.state == CUBLAS_STATUS_SUCCESS;
  }

  Problem problem_;
  Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> description_;
  Layout first_, second_, result_;
  cublasLtMatmulHeuristicResult_t choice_{};
  bool usable_ = false;
};

/// A context's handle and the plans made so far, for one call at a time: a plan is changed by each.
class Blas {
 public:
  explicit Blas(detail::Context&) {
    cublasLtHandle_t handle = nullptr;
    RTL_CUBLAS_CHECK(cublasLtCreate(&handle));
    handle_.reset(handle);
  }
  std::mutex& turn() { return turn_; }
  cublasLtHandle_t handle() const { return handle_.get(); }
  Plan& plan(const Problem& problem) {
    const auto [place, is_new] = plans_.try_emplace(problem);
    if (is_new) place->second = std::make_unique<Plan>(handle(), problem);
    return *place->second;
  }

 private:
  std::mutex turn_;
  Owned<cublasLtHandle_t, cublasLtDestroy> handle_;
  std::map<Problem, std::unique_ptr<Plan>> plans_;
};

/// The largest power of two, up to 256, that divides the address of each of the matrices.
std::uint32_t alignment_of(const ConstView& batch) {
  const auto distance =
      batch.extent(0) > 1 ? static_cast<std::uintptr_t>(batch.strides()[0]) * size_of(batch.dtype()) : 0;
  const auto addresses = reinterpret_cast<std::uintptr_t>(batch.data()) | distance | 256u;
  return std::uint32_t{1} << std::countr_zero(addresses);
}

std::int64_t row_stride(const ConstView& batch) {
  return std::max(batch.strides()[1], std::max<std::int64_t>(batch.extent(2), 1));
}

std::int64_t batch_stride(const ConstView& batch) { return batch.extent(0) > 1 ? batch.strides()[0] : 0; }

Problem problem_of(const Device& device, Transpose transpose_a, Transpose transpose_b, const ConstView& a,
                   const ConstView& b, double beta, const ConstView& c, Epilogue epilogue, const ConstView& bias) {
  return {.dtype = a.dtype(),
          .c_dtype = c.dtype(),
          .tf32 = a.dtype() == DType::f32 && tf32_allowed(device),
          .transpose_a = transpose_a == Transpose::yes,
          .transpose_b = transpose_b == Transpose::yes,
          .keeps_c = beta != 0,
          .epilogue = epilogue,
          .m = c.extent(1),
          .n = c.extent(2),
          .k = a.extent(transpose_a == Transpose::yes ? 1 : 2),
          .lda = row_stride(a),
          .ldb = row_stride(b),
          .ldc = row_stride(c),
          .batch = c.extent(0),
          .stride_a = batch_stride(a),
          .stride_b = batch_stride(b),
          .stride_c = batch_stride(c),
          .stride_bias = bias.given() ? batch_stride(bias) : 0,
          .a_alignment = alignment_of(a),
          .b_alignment = alignment_of(b),
          .c_alignment = alignment_of(c)};
}

ConstView member(const ConstView& batch, std::int64_t i) {
  return batch.extent(0) > 1 ? batch.slice(0, i, i + 1) : batch;
}

}  // namespace

Done gemm(const Device& device, Transpose transpose_a, Transpose transpose_b, double alpha, const ConstView& a,
          const ConstView& b, double beta, const View& c, Epilogue epilogue, const ConstView& bias) {
  activate(device);
  auto& blas = device.context().resource<Blas>();
  std::unique_lock turn(blas.turn());
  Problem problem = problem_of(device, transpose_a, transpose_b, a, b, beta, c, epilogue, bias);
  // Fused epilogues exist for C in f32 only, and want an aligned bias.
  const bool may_fuse = c.dtype() == DType::f32 && (!bias.given() || alignment_of(bias) >= bias_alignment);
  if (epilogue != Epilogue::none && may_fuse) {
    Plan& fused = blas.plan(problem);
    if (fused.usable()) {
      fused.run(blas.handle(), device, alpha, a.data(), b.data(), beta, c.data(), bias.given() ? bias.data() : nullptr);
      return Done::all;
    }
  }
  problem.epilogue = Epilogue::none;
  problem.stride_bias = 0;
  Plan& plain = blas.plan(problem);
  if (plain.usable()) {
    plain.run(blas.handle(), device, alpha, a.data(), b.data(), beta, c.data(), nullptr);
    return epilogue == Epilogue::none ? Done::all : Done::product;
  }
  if (problem.dtype == DType::bf16) return Done::nothing;
  if (problem.batch == 1) {
    throw CudaError(fmt::format("gemm: cuBLASLt has no algorithm for m={} n={} k={} in {} on {}", problem.m, problem.n,
                                problem.k, name_of(problem.dtype), device.description()));
  }
  turn.unlock();
  for (std::int64_t i = 0; i < problem.batch; ++i) {
    vendor::gemm(device, transpose_a, transpose_b, alpha, member(a, i), member(b, i), beta, c.slice(0, i, i + 1),
                 Epilogue::none, {});
  }
  return epilogue == Epilogue::none ? Done::all : Done::product;
}

}  // namespace rtl::kernels::cuda::vendor
