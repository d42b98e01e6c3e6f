#include "rtl/kernels/linear_algebra.hpp"

#include <algorithm>

#include "kernels/backend/linear_algebra.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {
namespace {

/// A matrix as a batch of one.
template <typename V>
V as_batch(const V& view) {
  if (view.rank() == 3) return view;
  return {view.data(), view.dtype(), Shape{1, view.extent(0), view.extent(1)},
          Strides{view.extent(0) * view.strides()[0], view.strides()[0], 1}, view.context()};
}

void matrix_or_batch(const char* call, const check::Named& named) {
  if (named.view.rank() == 2 || named.view.rank() == 3) return;
  throw ShapeError(fmt::format("{}: '{}' is {}, but a matrix (rank 2) or a batch of them (rank 3) is needed", call,
                               named.name, named.view.shape().to_string()));
}

void square(const char* call, const check::Named& named) {
  if (named.view.extent(-1) == named.view.extent(-2)) return;
  throw ShapeError(fmt::format("{}: '{}' {} is not square", call, named.name, named.view.shape().to_string()));
}

Shape with_batch(const ConstView& like, std::initializer_list<std::int64_t> matrix) {
  std::vector<std::int64_t> extents(matrix);
  if (like.rank() == 3) extents.insert(extents.begin(), like.extent(0));
  return Shape(std::span<const std::int64_t>(extents));
}

std::int64_t eigen_dispatch(const Device& device, View a, View values) {
  RTL_DISPATCH(device, symmetric_eigen(device, a, values));
}
std::int64_t cholesky_dispatch(const Device& device, View a) { RTL_DISPATCH(device, cholesky_factor(device, a)); }
bool svd_dispatch(const Device& device, View a, View u, View values, View vt) {
  RTL_DISPATCH(device, svd(device, a, u, values, vt));
}

}  // namespace

void gram(const Device& device, GramOf of, double alpha, ConstView x, double beta, View g) {
  check::operands("gram", device, {{"g", g}, {"x", x}});
  matrix_or_batch("gram", {"x", x});
  check::contiguous("gram", {{"g", g}});
  if (x.rank() == 3) {
    check::contiguous("gram", {{"x", x}});
  } else if (x.count() > 0 &&
             ((x.extent(1) > 1 && x.strides()[1] != 1) || (x.extent(0) > 1 && x.strides()[0] < x.extent(1)))) {
    throw ShapeError(fmt::format("gram: the rows of 'x' {} (strides {}, {}) are not contiguous; copy it first",
                                 x.shape().to_string(), x.strides()[0], x.strides()[1]));
  }
  const std::int64_t order = x.extent(of == GramOf::columns ? -1 : -2);
  check::shape("gram", {"g", g}, with_batch(x, {order, order}));
  if (g.count() == 0) return;
  RTL_DISPATCH(device, gram(device, of, alpha, as_batch(x), beta, as_batch(g)));
}

void symmetric_eigen(const Device& device, View a, View values) {
  check::dense_operands("symmetric_eigen", device, {{"a", a}, {"values", values}});
  matrix_or_batch("symmetric_eigen", {"a", a});
  square("symmetric_eigen", {"a", a});
  check::shape("symmetric_eigen", {"values", values}, with_batch(a, {a.extent(-1)}));
  if (a.count() == 0) return;
  const View batch = as_batch(a);
  const std::int64_t failed = eigen_dispatch(device, batch, values.reshaped({batch.extent(0), batch.extent(2)}));
  if (failed == 0) return;
  throw Error(fmt::format("symmetric_eigen: no convergence in {} of {} matrices of order {}; are all elements finite?",
                          failed, batch.extent(0), batch.extent(2)));
}

void queued_symmetric_eigen(const Device& device, View a, View values, View work) {
  constexpr std::int64_t largest = 1024;
  check::dense_operands("queued_symmetric_eigen", device, {{"a", a}, {"values", values}, {"work", work}});
  check::rank("queued_symmetric_eigen", {"a", a}, 2);
  square("queued_symmetric_eigen", {"a", a});
  check::shape("queued_symmetric_eigen", {"values", values}, {a.extent(0)});
  check::shape("queued_symmetric_eigen", {"work", work}, a.shape());
  if (a.extent(0) > largest) {
    throw ValueError(fmt::format("queued_symmetric_eigen: the order is {}; {} is the largest, use symmetric_eigen",
                                 a.extent(0), largest));
  }
  if (a.count() == 0) return;
  RTL_DISPATCH(device, queued_symmetric_eigen(device, a, values, work));
}

void cholesky_factor(const Device& device, View a) {
  check::dense_operands("cholesky_factor", device, {{"a", a}});
  check::rank("cholesky_factor", {"a", a}, 2);
  square("cholesky_factor", {"a", a});
  if (a.count() == 0) return;
  const std::int64_t minor = cholesky_dispatch(device, a);
  if (minor == 0) return;
  throw ValueError(
      fmt::format("cholesky_factor: 'a' {} is not positive definite: its leading minor of order {} is not positive",
                  a.shape().to_string(), minor));
}

void cholesky_solve(const Device& device, ConstView factor, View b) {
  check::dense_operands("cholesky_solve", device, {{"factor", factor}, {"b", b}});
  check::rank("cholesky_solve", {"factor", factor}, 2);
  check::rank("cholesky_solve", {"b", b}, 2);
  square("cholesky_solve", {"factor", factor});
  check::shape("cholesky_solve", {"b", b}, {factor.extent(0), b.extent(1)});
  if (b.count() == 0) return;
  RTL_DISPATCH(device, cholesky_solve(device, factor, b));
}

void qr(const Device& device, View a, View r) {
  check::dense_operands("qr", device, {{"a", a}, {"r", r}});
  check::rank("qr", {"a", a}, 2);
  if (a.extent(0) < a.extent(1)) {
    throw ShapeError(
        fmt::format("qr: 'a' {} has fewer rows than columns; factorise its transpose", a.shape().to_string()));
  }
  check::shape("qr", {"r", r}, {a.extent(1), a.extent(1)});
  if (a.count() == 0) return;
  RTL_DISPATCH(device, qr(device, a, r));
}

void svd(const Device& device, View a, View u, View values, View vt) {
  check::dense_operands("svd", device, {{"a", a}, {"u", u}, {"values", values}, {"vt", vt}});
  check::rank("svd", {"a", a}, 2);
  const std::int64_t q = std::min(a.extent(0), a.extent(1));
  check::shape("svd", {"u", u}, {a.extent(0), q});
  check::shape("svd", {"values", values}, {q});
  check::shape("svd", {"vt", vt}, {q, a.extent(1)});
  if (q == 0) return;
  if (svd_dispatch(device, a, u, values, vt)) return;
  throw Error(fmt::format("svd: no convergence for 'a' {}; are all elements finite?", a.shape().to_string()));
}

}  // namespace rtl::kernels
