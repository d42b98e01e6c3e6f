// Linear algebra and ridge paths: sizes of heads on frozen features.
#include "rtl/kernels/linear_algebra.hpp"

#include <fmt/format.h>

#include "kernels.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/ridge_path.hpp"

namespace rtl::bench {
namespace {

using kernels::GramOf;
using kernels::Transpose;

Shared wide_values(const Shape& shape, const Device& device) {
  const Tensor narrow = random_values(shape, device, 11);
  auto wide = std::make_shared<Tensor>(shape, DType::f64, device);
  kernels::cast(device, narrow, *wide);
  return wide;
}

/// A positive definite matrix of order n.
Shared covariance(std::int64_t n, const Device& device) {
  const Shared x = wide_values({2 * n, n}, device);
  auto gram = std::make_shared<Tensor>(Tensor::zeros({n, n}, DType::f64, device));
  kernels::gram(device, GramOf::columns, 1.0, *x, 0.0, *gram);
  return gram;
}

double cube(std::int64_t n) { return static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n); }

void add_factorisations(const Device& device, KernelCases& cases) {
  constexpr std::int64_t n = 1000, outputs = 10;
  const Shared start = covariance(n, device), work = shared_zeros({n, n}, DType::f64, device);
  const Shared values = shared_zeros({n}, DType::f64, device);
  const auto bytes = static_cast<double>(start->bytes());
  cases.push_back({"symmetric_eigen", fmt::format("f64 n={}", n), 9 * cube(n), 2 * bytes, [=] {
                     copy_bytes(*start, *work);
                     kernels::symmetric_eigen(device, *work, *values);
                   }});
  constexpr std::int64_t few = 64;  // the samples of a batch
  const Shared small = covariance(few, device), rotated = shared_zeros({few, few}, DType::f64, device);
  const Shared scratch = shared_zeros({few, few}, DType::f64, device), found = shared_zeros({few}, DType::f64, device);
  cases.push_back({"queued_symmetric_eigen", fmt::format("f64 n={}", few), 9 * cube(few),
                   2 * static_cast<double>(small->bytes()), [=] {
                     copy_bytes(*small, *rotated);
                     kernels::queued_symmetric_eigen(device, *rotated, *found, *scratch);
                   }});
  cases.push_back({"cholesky_factor", fmt::format("f64 n={}", n), cube(n) / 3, 2 * bytes, [=] {
                     copy_bytes(*start, *work);
                     kernels::cholesky_factor(device, *work);
                   }});
  auto factor = std::make_shared<Tensor>(start->clone());
  kernels::cholesky_factor(device, *factor);
  const Shared b = wide_values({n, outputs}, device), solution = shared_zeros({n, outputs}, DType::f64, device);
  cases.push_back({"cholesky_solve", fmt::format("f64 n={} m={}", n, outputs), 2 * static_cast<double>(n * n * outputs),
                   bytes, [=] {
                     copy_bytes(*b, *solution);
                     kernels::cholesky_solve(device, *factor, *solution);
                   }});
  constexpr std::int64_t rows = 2000, columns = 300;
  const Shared tall = wide_values({rows, columns}, device), copy = shared_zeros({rows, columns}, DType::f64, device);
  const Shared r = shared_zeros({columns, columns}, DType::f64, device),
               s = shared_zeros({columns}, DType::f64, device);
  const Shared u = shared_zeros({rows, columns}, DType::f64, device);
  const double flop = 4.0 * static_cast<double>(rows * columns * columns);
  cases.push_back({"qr", fmt::format("f64 {}x{}", rows, columns), flop, 3 * static_cast<double>(tall->bytes()), [=] {
                     copy_bytes(*tall, *copy);
                     kernels::qr(device, *copy, *r);
                   }});
  cases.push_back({"svd", fmt::format("f64 {}x{}", rows, columns), 6 * flop / 4 + 20 * cube(columns),
                   3 * static_cast<double>(tall->bytes()), [=] {
                     copy_bytes(*tall, *copy);
                     kernels::svd(device, *copy, *u, *s, *r);
                   }});
}

void add_products(const Device& device, KernelCases& cases) {
  constexpr std::int64_t n = 2048, p = 1000;
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Shared x = dtype == DType::f32 ? shared_values({n, p}, device) : wide_values({n, p}, device);
    const Shared g = shared_zeros({p, p}, dtype, device);
    cases.push_back({"gram", fmt::format("{} columns n={} p={}", std::string(name_of(dtype)), n, p),
                     static_cast<double>(n * p) * p, static_cast<double>(x->bytes() + g->bytes()),
                     [=] { kernels::gram(device, GramOf::columns, 1.0, *x, 0.0, *g); }});
  }
  constexpr std::int64_t heads = 100, rows = 200, features = 512;
  const Shared x = wide_values({heads, rows, features}, device),
               c = shared_zeros({heads, rows, rows}, DType::f64, device);
  cases.push_back({"gemm_batched", fmt::format("f64 {} x {}x{}x{} NT", heads, rows, rows, features),
                   2.0 * heads * static_cast<double>(rows * rows * features),
                   static_cast<double>(x->bytes() + c->bytes()),
                   [=] { kernels::gemm_batched(device, Transpose::no, Transpose::yes, 1.0, *x, *x, 0.0, *c); }});
}

void add_path(const Device& device, KernelCases& cases) {
  constexpr std::int64_t n = 2048, p = 1000, outputs = 10, kept = 14, penalties = 100;
  for (const DType dtype : {DType::f32, DType::f64}) {
    const auto values = [&](const Shape& shape) {
      return dtype == DType::f32 ? shared_values(shape, device) : wide_values(shape, device);
    };
    const Shared basis = values({1, p, n}), targets = values({1, outputs, n}), rotated = values({1, p, outputs});
    const Shared filters = shared_zeros({1, kept, p}, dtype, device), mixing = values({1, penalties, kept});
    const Shared left_out = shared_zeros({1, penalties, outputs}, DType::f64, device);
    const Shared residual = shared_zeros({1, penalties, outputs}, DType::f64, device);
    kernels::fill(device, 1e-5, *filters);
    const double flop =
        2.0 * n * (static_cast<double>(p) * kept + static_cast<double>(kept) * penalties) * (outputs + 1);
    cases.push_back(
        {"ridge_path_errors",
         fmt::format("{} n={} r={} k={} s={} L={}", std::string(name_of(dtype)), n, p, outputs, kept, penalties), flop,
         static_cast<double>(basis->bytes() + targets->bytes()), [=] {
           kernels::RidgePathRows rows;
           rows.basis = *basis;
           rows.targets = *targets;
           rows.rotated = *rotated;
           rows.filters = *filters;
           rows.mixing = *mixing;
           kernels::ridge_path_errors(device, rows, *left_out, *residual);
         }});
  }
  const Shared x = wide_values({n, p}, device), out = shared_zeros({n, p}, DType::f64, device);
  const Shared sums = shared_zeros({p}, DType::f64, device), weights = wide_values({n}, device);
  const auto bytes = static_cast<double>(x->bytes());
  cases.push_back({"weighted_column_sums", fmt::format("f64 {}x{}", n, p), 2.0 * n * p, bytes,
                   [=] { kernels::weighted_column_sums(device, *x, *weights, *sums); }});
  cases.push_back({"center_rows", fmt::format("f64 {}x{}", n, p), 2.0 * n * p, 2 * bytes,
                   [=] { kernels::center_rows(device, *x, *sums, *weights, *out); }});
}

}  // namespace

void add_linear_algebra_kernels(const Device& device, KernelCases& cases) {
  add_factorisations(device, cases);
  add_products(device, cases);
  add_path(device, cases);
}

}  // namespace rtl::bench
