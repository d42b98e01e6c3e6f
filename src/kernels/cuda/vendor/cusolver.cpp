// Factorisations by cuSOLVER, symmetric products by cuBLAS. Full precision; cuBLAS gives the same bits each
// time, as all calls of a context go to one stream.
#include <cublas_v2.h>
#include <cusolverDn.h>
#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "kernels/cuda/stream.hpp"
#include "kernels/cuda/vendor/solver.hpp"

#define RTL_SOLVER_CHECK(call) check((call), #call)

namespace rtl::kernels::cuda::vendor {
namespace {

void check(cusolverStatus_t status, const char* call) {
  if (status == CUSOLVER_STATUS_SUCCESS) return;
  throw CudaError(fmt::format("{} failed with cuSOLVER status {}", call, static_cast<int>(status)));
}
void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw CudaError(
      fmt::format("{} failed with {} ({})", call, cublasGetStatusName(status), cublasGetStatusString(status)));
}

/// The handles of a context.
class Libraries {
 public:
  explicit Libraries(detail::Context& context) {
    RTL_CUDA_CHECK(cudaSetDevice(context.index()));
    try {
      RTL_SOLVER_CHECK(cublasCreate(&blas_));
      RTL_SOLVER_CHECK(cublasSetMathMode(blas_, CUBLAS_PEDANTIC_MATH));
      RTL_SOLVER_CHECK(cusolverDnCreate(&solver_));
      RTL_SOLVER_CHECK(cusolverDnSetDeterministicMode(solver_, CUSOLVER_DETERMINISTIC_RESULTS));
      RTL_SOLVER_CHECK(cusolverDnCreateParams(&parameters_));
    } catch (...) {
      release();
      throw;
    }
  }
  ~Libraries() { release(); }
  Libraries(const Libraries&) = delete;
  Libraries& operator=(const Libraries&) = delete;

  std::mutex& turn() { return turn_; }
  cublasHandle_t blas() const { return blas_; }
  cusolverDnHandle_t solver() const { return solver_; }
  cusolverDnParams_t parameters() const { return parameters_; }

 private:
  void release() noexcept {
    if (parameters_ != nullptr) cusolverDnDestroyParams(parameters_);
    if (solver_ != nullptr) cusolverDnDestroy(solver_);
    if (blas_ != nullptr) cublasDestroy(blas_);
  }

  std::mutex turn_;
  cublasHandle_t blas_ = nullptr;
  cusolverDnHandle_t solver_ = nullptr;
  cusolverDnParams_t parameters_ = nullptr;
};

/// The handles for the length of a call: one call at a time uses them, on its thread's stream.
class Session {
 public:
  explicit Session(const Device& device) : all_(handles(device)), lock_(all_.turn()) {
    const cudaStream_t stream = activate(device);
    RTL_SOLVER_CHECK(cublasSetStream(all_.blas(), stream));
    RTL_SOLVER_CHECK(cusolverDnSetStream(all_.solver(), stream));
  }
  cublasHandle_t blas() const { return all_.blas(); }
  cusolverDnHandle_t solver() const { return all_.solver(); }
  cusolverDnParams_t parameters() const { return all_.parameters(); }

 private:
  static Libraries& handles(const Device& device) {
    activate(device);
    return device.context().resource<Libraries>();
  }
  Libraries& all_;
  std::unique_lock<std::mutex> lock_;
};

cudaDataType_t type_of(const ConstView& view) { return view.dtype() == DType::f64 ? CUDA_R_64F : CUDA_R_32F; }

cublasOperation_t operation(bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; }

/// Workspaces of one call, and the verdicts that it writes.
class Workspace {
 public:
  Workspace(const Device& device, std::size_t device_bytes, std::size_t host_bytes, std::int64_t verdicts)
      : device_(device),
        on_device_(device, static_cast<std::int64_t>(device_bytes)),
        on_host_(host_bytes),
        verdicts_(device, verdicts),
        count_(static_cast<std::size_t>(verdicts)) {}
  void* on_device() const { return on_device_.get(); }
  void* on_host() { return on_host_.data(); }
  int* verdicts() const { return verdicts_.get(); }
  /// Waits for the device.
  std::vector<int> read() const {
    std::vector<int> found(count_);
    device_.context().copy(found.data(), verdicts_.get(), count_ * sizeof(int), detail::CopyKind::to_host);
    device_.synchronize();
    for (const int verdict : found) {
      if (verdict < 0) throw CudaError(fmt::format("cuSOLVER refused its argument {}", -verdict));
    }
    return found;
  }

 private:
  Device device_;
  Scratch<std::byte> on_device_;
  std::vector<std::byte> on_host_;
  Scratch<int> verdicts_;
  std::size_t count_;
};

}  // namespace

// A row-major matrix is the transposed column-major one, its lower triangle the other's upper one.

void gram(const Device& device, GramOf of, double alpha, const ConstView& x, double beta, const View& g) {
  const auto order = static_cast<int>(g.extent(2));
  const auto inner = static_cast<int>(x.extent(of == GramOf::columns ? 1 : 2));
  const auto stride = static_cast<int>(std::max({x.strides()[1], x.extent(2), std::int64_t{1}}));
  const Session all(device);
  const cublasHandle_t blas = all.blas();
  const cublasOperation_t turn = operation(of == GramOf::rows);
  if (g.dtype() == DType::f64) {
    RTL_SOLVER_CHECK(cublasDsyrk(blas, CUBLAS_FILL_MODE_UPPER, turn, order, inner, &alpha, x.data_as<double>(), stride,
                                 &beta, g.data_as<double>(), order));
  } else {
    const auto factor = static_cast<float>(alpha), before = static_cast<float>(beta);
    RTL_SOLVER_CHECK(cublasSsyrk(blas, CUBLAS_FILL_MODE_UPPER, turn, order, inner, &factor, x.data_as<float>(), stride,
                                 &before, g.data_as<float>(), order));
  }
}

std::int64_t symmetric_eigen(const Device& device, const View& a, const View& values) {
  const Session all(device);
  const std::int64_t batch = a.extent(0), n = a.extent(2);
  const cudaDataType_t type = type_of(a);
  std::size_t device_bytes = 0, host_bytes = 0;
  const auto vectors = CUSOLVER_EIG_MODE_VECTOR;
  const auto half = CUBLAS_FILL_MODE_UPPER;
  if (batch == 1) {
    RTL_SOLVER_CHECK(cusolverDnXsyevd_bufferSize(all.solver(), all.parameters(), vectors, half, n, type, a.data(), n,
                                                 type, values.data(), type, &device_bytes, &host_bytes));
  } else {
    RTL_SOLVER_CHECK(cusolverDnXsyevBatched_bufferSize(all.solver(), all.parameters(), vectors, half, n, type, a.data(),
                                                       n, type, values.data(), type, &device_bytes, &host_bytes,
                                                       batch));
  }
  Workspace work(device, device_bytes, host_bytes, batch);
  if (batch == 1) {
    RTL_SOLVER_CHECK(cusolverDnXsyevd(all.solver(), all.parameters(), vectors, half, n, type, a.data(), n, type,
                                      values.data(), type, work.on_device(), device_bytes, work.on_host(), host_bytes,
                                      work.verdicts()));
  } else {
    RTL_SOLVER_CHECK(cusolverDnXsyevBatched(all.solver(), all.parameters(), vectors, half, n, type, a.data(), n, type,
                                            values.data(), type, work.on_device(), device_bytes, work.on_host(),
                                            host_bytes, work.verdicts(), batch));
  }
  const std::vector<int> verdicts = work.read();
  return std::count_if(verdicts.begin(), verdicts.end(), [](int verdict) { return verdict > 0; });
}

std::int64_t cholesky_factor(const Device& device, const View& a) {
  const Session all(device);
  const std::int64_t n = a.extent(0);
  const cudaDataType_t type = type_of(a);
  std::size_t device_bytes = 0, host_bytes = 0;
  RTL_SOLVER_CHECK(cusolverDnXpotrf_bufferSize(all.solver(), all.parameters(), CUBLAS_FILL_MODE_UPPER, n, type,
                                               a.data(), n, type, &device_bytes, &host_bytes));
  Workspace work(device, device_bytes, host_bytes, 1);
  RTL_SOLVER_CHECK(cusolverDnXpotrf(all.solver(), all.parameters(), CUBLAS_FILL_MODE_UPPER, n, type, a.data(), n, type,
                                    work.on_device(), device_bytes, work.on_host(), host_bytes, work.verdicts()));
  return work.read().front();
}

void triangular_solve(const Device& device, Transpose transpose, const ConstView& factor, const View& b) {
  // b' L'^-1 and b' L^-1, with L' the upper triangle.
  const auto n = static_cast<int>(b.extent(0)), m = static_cast<int>(b.extent(1));
  const Session all(device);
  const cublasHandle_t blas = all.blas();
  const cublasOperation_t turn = operation(transpose == Transpose::yes);
  if (b.dtype() == DType::f64) {
    const double one = 1;
    RTL_SOLVER_CHECK(cublasDtrsm(blas, CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_UPPER, turn, CUBLAS_DIAG_NON_UNIT, m, n,
                                 &one, factor.data_as<double>(), n, b.data_as<double>(), m));
  } else {
    const float one = 1;
    RTL_SOLVER_CHECK(cublasStrsm(blas, CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_UPPER, turn, CUBLAS_DIAG_NON_UNIT, m, n,
                                 &one, factor.data_as<float>(), n, b.data_as<float>(), m));
  }
}

void qr_factor(const Device& device, const View& columns, const View& scalars) {
  const Session all(device);
  const std::int64_t c = columns.extent(0), r = columns.extent(1);
  const cudaDataType_t type = type_of(columns);
  std::size_t device_bytes = 0, host_bytes = 0;
  RTL_SOLVER_CHECK(cusolverDnXgeqrf_bufferSize(all.solver(), all.parameters(), r, c, type, columns.data(), r, type,
                                               scalars.data(), type, &device_bytes, &host_bytes));
  Workspace work(device, device_bytes, host_bytes, 1);
  RTL_SOLVER_CHECK(cusolverDnXgeqrf(all.solver(), all.parameters(), r, c, type, columns.data(), r, type, scalars.data(),
                                    type, work.on_device(), device_bytes, work.on_host(), host_bytes, work.verdicts()));
  work.read();
}

void qr_form(const Device& device, const View& columns, const ConstView& scalars) {
  const Session all(device);
  const cusolverDnHandle_t solver = all.solver();
  const auto c = static_cast<int>(columns.extent(0)), r = static_cast<int>(columns.extent(1));
  int length = 0;
  if (columns.dtype() == DType::f64) {
    RTL_SOLVER_CHECK(
        cusolverDnDorgqr_bufferSize(solver, r, c, c, columns.data_as<double>(), r, scalars.data_as<double>(), &length));
    const Workspace work(device, static_cast<std::size_t>(length) * sizeof(double), 0, 1);
    RTL_SOLVER_CHECK(cusolverDnDorgqr(solver, r, c, c, columns.data_as<double>(), r, scalars.data_as<double>(),
                                      static_cast<double*>(work.on_device()), length, work.verdicts()));
    work.read();
  } else {
    RTL_SOLVER_CHECK(
        cusolverDnSorgqr_bufferSize(solver, r, c, c, columns.data_as<float>(), r, scalars.data_as<float>(), &length));
    const Workspace work(device, static_cast<std::size_t>(length) * sizeof(float), 0, 1);
    RTL_SOLVER_CHECK(cusolverDnSorgqr(solver, r, c, c, columns.data_as<float>(), r, scalars.data_as<float>(),
                                      static_cast<float*>(work.on_device()), length, work.verdicts()));
    work.read();
  }
}

bool svd(const Device& device, const View& columns, const View& left, const View& values, const View& right) {
  const Session all(device);
  const std::int64_t c = columns.extent(0), r = columns.extent(1);
  const cudaDataType_t type = type_of(columns);
  std::size_t device_bytes = 0, host_bytes = 0;
  RTL_SOLVER_CHECK(cusolverDnXgesvd_bufferSize(all.solver(), all.parameters(), 'S', 'S', r, c, type, columns.data(), r,
                                               type, values.data(), type, left.data(), r, type, right.data(), c, type,
                                               &device_bytes, &host_bytes));
  Workspace work(device, device_bytes, host_bytes, 1);
  RTL_SOLVER_CHECK(cusolverDnXgesvd(all.solver(), all.parameters(), 'S', 'S', r, c, type, columns.data(), r, type,
                                    values.data(), type, left.data(), r, type, right.data(), c, type, work.on_device(),
                                    device_bytes, work.on_host(), host_bytes, work.verdicts()));
  return work.read().front() == 0;
}

}  // namespace rtl::kernels::cuda::vendor
