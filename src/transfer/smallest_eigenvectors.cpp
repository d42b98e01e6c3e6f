#include "transfer/smallest_eigenvectors.hpp"

#include <fmt/format.h>

#include <cmath>

#include "rtl/core/error.hpp"
#include "rtl/graph/operation.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"

namespace rtl::transfer::detail {
namespace {

constexpr std::int64_t largest = 1024;

/// All vectors, ascending by their values; values; and room that the kernel needs.
class SymmetricEigen final : public graph::Operation {
 public:
  std::string_view name() const noexcept override { return "symmetric_eigen"; }
  std::vector<graph::Type> infer(std::span<const graph::Value> operands) const override {
    const graph::Value& matrix = operands[0];
    if (matrix.rank() != 2 || matrix.extent(0) != matrix.extent(1)) {
      throw ShapeError(fmt::format("{}: the matrix is {}; it must be square", name(), matrix.shape().to_string()));
    }
    if (matrix.extent(0) > largest) {
      throw ValueError(fmt::format("{}: the order is {}, and {} is the largest", name(), matrix.extent(0), largest));
    }
    if (matrix.dtype() != DType::f32 && matrix.dtype() != DType::f64) {
      throw DTypeError(fmt::format("{}: the matrix is {}; f32 or f64 is needed", name(), name_of(matrix.dtype())));
    }
    return {matrix.type(), {Shape{matrix.extent(0)}, matrix.dtype()}, matrix.type()};
  }
  void run(const graph::Call& call) const override {
    kernels::unary(call.device(), kernels::UnaryOp::copy, call.in(0), call.out(0));
    // LAPACK refuses what is not finite; the loss shall be so, too, and say that the training diverged.
    if (!call.device().is_cuda() && !kernels::all_finite(call.device(), call.in(0))) {
      kernels::fill(call.device(), NAN, call.out(0));
      return;
    }
    kernels::queued_symmetric_eigen(call.device(), call.out(0), call.out(1), call.out(2));
  }
  void gradient(graph::GradientCall&) const override {}
  double flops(std::span<const graph::Value> operands) const override {
    const auto n = static_cast<double>(operands[0].extent(0));
    return 9 * n * n * n;
  }
  int launches(std::span<const graph::Value>) const override { return 2; }
};

}  // namespace

graph::Value smallest_eigenvectors(const graph::Value& matrix, std::int64_t count) {
  const graph::Value operands[] = {matrix};
  const graph::Value vectors = matrix.graph().add(std::make_shared<const SymmetricEigen>(), operands).front();
  if (count < 1 || count > matrix.extent(0)) {
    throw ValueError(fmt::format("symmetric_eigen: {} of {} eigenvectors are asked for", count, matrix.extent(0)));
  }
  return graph::slice(vectors, 0, 0, count);
}

}  // namespace rtl::transfer::detail
