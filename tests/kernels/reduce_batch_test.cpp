// Reductions of the members of a batch: each has the bits of its own reduction.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/kernels/reduce.hpp"
#include "support/devices.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::ReduceOp;

/// Sums over the middle axis of x [members, rows, columns], as the bias gradients of several heads.
KernelCase sums_case(const Shape& x, Random& random) {
  KernelCase c;
  c.label = fmt::format("{}_{}_{}", x[0], x[1], x[2]);
  const Shape y{x[0], 1, x[2]};
  c.inputs = {{"x", x, random.normal(x, 0.5)}};
  c.outputs = {{"y", y, 2.0, 2.0 + std::sqrt(static_cast<double>(x[1]))}};
  c.run = [](const Device& device, auto& in, auto& out) {
    kernels::reduce_batch(device, ReduceOp::sum, in[0], out[0]);
  };
  c.reference = [x, y](auto& in, auto&) {
    Expected sums{Reals(static_cast<std::size_t>(y.count())), Reals(static_cast<std::size_t>(y.count()))};
    for (std::size_t i = 0; i < in[0].size(); ++i) {
      const auto columns = static_cast<std::size_t>(x[2]), rows = static_cast<std::size_t>(x[1]);
      const std::size_t at = i / (rows * columns) * columns + i % columns;
      sums.value[at] += in[0][i];
      sums.scale[at] += std::fabs(in[0][i]);
    }
    return std::vector<Expected>{sums};
  };
  return c;
}

const bool registered = register_cases("reduce_batch", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Shape& x :
       std::vector<Shape>{{3, 31, 10}, {20, 512, 10}, {2, 1025, 33}, {1, 7, 1}, {4, 0, 3}, {0, 5, 2}}) {
    cases.push_back(sums_case(x, random));
  }
  return cases;
});

TEST(ReduceBatch, EachMemberHasTheBitsOfItsOwnReduction) {
  for (const Device& device : devices()) {
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::mean, ReduceOp::maximum, ReduceOp::minimum}) {
      for (const Shape& to : std::vector<Shape>{{5, 1, 10}, {5, 300, 1}, {5, 1, 1}, {5, 300, 10}}) {
        Random random(7);
        const Reals values = random.normal({5, 300, 10}, 0.5);
        const Tensor x = Tensor::from(std::vector<float>(values.begin(), values.end()), {5, 300, 10}, device);
        Tensor together(to, DType::f32, device), alone(to, DType::f32, device);
        kernels::reduce_batch(device, op, x, together);
        for (std::int64_t i = 0; i < 5; ++i) {
          kernels::reduce(device, op, x.view().slice(0, i, i + 1), alone.view().slice(0, i, i + 1));
        }
        EXPECT_EQ(together.to_vector<float>(), alone.to_vector<float>()) << name_of(device) << " " << to.to_string();
      }
    }
  }
}

TEST(ReduceBatch, RefusesToReduceTheBatch) {
  const Device device = Device::cpu(1);
  const Tensor x = Tensor::zeros({3, 4}, DType::f32, device);
  Tensor y({1, 4}, DType::f32, device);
  EXPECT_THROW(kernels::reduce_batch(device, ReduceOp::sum, x, y), ShapeError);
}

}  // namespace
}  // namespace rtl::test
