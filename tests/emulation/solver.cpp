// The stand-in for cuSOLVER and cuBLAS: LAPACK and OpenBLAS on emulated device memory, which is host memory.
#include "kernels/cuda/vendor/solver.hpp"

#include <cuda_runtime.h>
#include <lapacke.h>

#include <cblas.h>

#include <cstdint>
#include <initializer_list>

#include "host_view.hpp"
#include "kernels/backend/linear_algebra.hpp"
#include "kernels/cpu/blas_turn.hpp"
#include "kernels/cuda/stream.hpp"

namespace rtl::kernels::cuda::vendor {

using emulation::on_host;

namespace {

/// What the true libraries may want of a factorisation's operands.
void check_alignment(std::initializer_list<ConstView> views) {
  for (const ConstView& view : views) {
    if (reinterpret_cast<std::uintptr_t>(view.data()) % 16 != 0) {
      throw CudaError("an operand of a factorisation is not aligned to 16 bytes");
    }
  }
}

}  // namespace

void gram(const Device& device, GramOf of, double alpha, const ConstView& x, double beta, const View& g) {
  RTL_CUDA_CHECK(emulation::submit(activate(device), [=] {
    const emulation::DeviceAccess access;
    const Device host = Device::cpu(1);
    cpu::gram(host, of, alpha, on_host(x, host), beta, on_host(g, host));
  }));
}

std::int64_t symmetric_eigen(const Device& device, const View& a, const View& values) {
  check_alignment({a, values});
  device.synchronize();  // as the true one does for the verdict
  if (a.extent(0) > most_eigen_problems(a.extent(2))) throw CudaError("symmetric_eigen: too many problems");
  const emulation::DeviceAccess access;
  const Device host = Device::cpu(1);
  return cpu::symmetric_eigen(host, on_host(a, host), on_host(values, host));
}

std::int64_t cholesky_factor(const Device& device, const View& a) {
  check_alignment({a});
  device.synchronize();  // as the true one does for the verdict
  const emulation::DeviceAccess access;
  const Device host = Device::cpu(1);
  return cpu::cholesky_factor(host, on_host(a, host));
}

void triangular_solve(const Device& device, Transpose transpose, const ConstView& factor, const View& b) {
  RTL_CUDA_CHECK(emulation::submit(activate(device), [=] {
    const emulation::DeviceAccess access;
    const cpu::BlasTurn one_at_a_time;
    const auto n = static_cast<int>(b.extent(0)), m = static_cast<int>(b.extent(1));
    const CBLAS_TRANSPOSE turn = transpose == Transpose::yes ? CblasTrans : CblasNoTrans;
    if (b.dtype() == DType::f64) {
      cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, turn, CblasNonUnit, n, m, 1, factor.data_as<double>(), n,
                  b.data_as<double>(), m);
    } else {
      cblas_strsm(CblasRowMajor, CblasLeft, CblasLower, turn, CblasNonUnit, n, m, 1, factor.data_as<float>(), n,
                  b.data_as<float>(), m);
    }
  }));
}

void qr_factor(const Device& device, const View& columns, const View& scalars) {
  check_alignment({columns, scalars});
  device.synchronize();  // as the true one does for the verdict
  const emulation::DeviceAccess access;
  const cpu::BlasTurn one_at_a_time;
  const auto c = static_cast<int>(columns.extent(0)), r = static_cast<int>(columns.extent(1));
  const int info = columns.dtype() == DType::f64
                       ? LAPACKE_dgeqrf(LAPACK_COL_MAJOR, r, c, columns.data_as<double>(), r, scalars.data_as<double>())
                       : LAPACKE_sgeqrf(LAPACK_COL_MAJOR, r, c, columns.data_as<float>(), r, scalars.data_as<float>());
  if (info != 0) throw CudaError("qr_factor: LAPACK's geqrf failed");
}

void qr_form(const Device& device, const View& columns, const ConstView& scalars) {
  RTL_CUDA_CHECK(emulation::submit(activate(device), [=] {
    const emulation::DeviceAccess access;
    const cpu::BlasTurn one_at_a_time;
    const auto c = static_cast<int>(columns.extent(0)), r = static_cast<int>(columns.extent(1));
    const int info =
        columns.dtype() == DType::f64
            ? LAPACKE_dorgqr(LAPACK_COL_MAJOR, r, c, c, columns.data_as<double>(), r, scalars.data_as<double>())
            : LAPACKE_sorgqr(LAPACK_COL_MAJOR, r, c, c, columns.data_as<float>(), r, scalars.data_as<float>());
    if (info != 0) throw CudaError("qr_form: LAPACK's orgqr failed");
  }));
}

bool svd(const Device& device, const View& columns, const View& left, const View& values, const View& right) {
  check_alignment({columns, left, values, right});
  device.synchronize();  // as the true one does for the verdict
  const emulation::DeviceAccess access;
  const cpu::BlasTurn one_at_a_time;
  const auto c = static_cast<int>(columns.extent(0)), r = static_cast<int>(columns.extent(1));
  const int info = columns.dtype() == DType::f64
                       ? LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'S', r, c, columns.data_as<double>(), r,
                                        values.data_as<double>(), left.data_as<double>(), r, right.data_as<double>(), c)
                       : LAPACKE_sgesdd(LAPACK_COL_MAJOR, 'S', r, c, columns.data_as<float>(), r,
                                        values.data_as<float>(), left.data_as<float>(), r, right.data_as<float>(), c);
  return info == 0;
}

}  // namespace rtl::kernels::cuda::vendor
