// What the public kernels refuse: every fault is a typed error whose text names the call, before anything is written.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/faults.hpp"
#include "rtl/kernels/conv.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/norm.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/pool.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/kernels/softmax.hpp"
#include "support/devices.hpp"

namespace rtl::kernels {
namespace {

constexpr auto no = Transpose::no;

const Fault pointwise_faults[] = {
    {"unary", "DeviceError", "missing", [](Operands& t) { unary(t.device, UnaryOp::relu, {}, t({2})); }},
    {"unary", "DTypeError", "i32", [](Operands& t) { unary(t.device, UnaryOp::relu, t({2}, DType::i32), t({2})); }},
    {"unary", "ShapeError", "broadcast", [](Operands& t) { unary(t.device, UnaryOp::relu, t({3}), t({2})); }},
    {"unary", "ShapeError", "cannot be written",
     [](Operands& t) {
       const View one = t({1});
       unary(t.device, UnaryOp::relu, t({3}), one.broadcast_to({3}));
     }},
    {"binary", "DTypeError", "f64",
     [](Operands& t) { binary(t.device, BinaryOp::add, t({2}), t({2}, DType::f64), t({2})); }},
    {"binary", "ShapeError", "broadcast",
     [](Operands& t) {
       binary(t.device, BinaryOp::add, t({2, 2}), t({2}), t({2}));
     }},
    {"scale_add", "DTypeError", "bf16", [](Operands& t) { scale_add(t.device, 1, t({2}, DType::bf16), 0, t({2})); }},
    {"fill", "DeviceError", "missing", [](Operands& t) { fill(t.device, 1, {}); }},
    {"cast", "ShapeError", "broadcast",
     [](Operands& t) {
       cast(t.device, t({2, 3}), t({3, 2}, DType::f64));
     }},
    {"add_relu", "ShapeError", "[3]", [](Operands& t) { add_relu(t.device, t({3}), t({2}), t({2})); }},
    {"add_relu", "ShapeError", "strided",
     [](Operands& t) {
       add_relu(t.device, t.strided(2, 2), t({2, 2}), t({2, 2}));
     }},
    {"relu_backward", "ShapeError", "'dy'", [](Operands& t) { relu_backward(t.device, t({2}), t({3}), t({2})); }},
};

const Fault reduce_faults[] = {
    {"reduce", "ShapeError", "rank",
     [](Operands& t) {
       reduce(t.device, ReduceOp::sum, t({2, 3}), t({2}));
     }},
    {"reduce", "ShapeError", "extent 3 or 1",
     [](Operands& t) {
       reduce(t.device, ReduceOp::sum, t({2, 3}), t({2, 2}));
     }},
    {"reduce", "ShapeError", "strided",
     [](Operands& t) {
       reduce(t.device, ReduceOp::sum, t({2, 2}), t.strided(2, 2));
     }},
    {"reduce", "ValueError", "no elements", [](Operands& t) { reduce(t.device, ReduceOp::maximum, t({0}), t({1})); }},
    {"reduce", "ValueError", "no elements",
     [](Operands& t) {
       reduce(t.device, ReduceOp::mean, t({0, 3}), t({1, 3}));
     }},
    {"reduce", "DTypeError", "f64, but bf16 is needed",
     [](Operands& t) { reduce(t.device, ReduceOp::sum, t({3}, DType::bf16), t({1}, DType::f64)); }},
    {"reduce", "DTypeError", "f32, f64 or bf16",
     [](Operands& t) { reduce(t.device, ReduceOp::sum, t({3}, DType::f16), t({1}, DType::f16)); }},
    {"argmax_rows", "ValueError", "no elements",
     [](Operands& t) {
       argmax_rows(t.device, t({2, 0}), t({2}, DType::i32));
     }},
    {"argmax_rows", "DTypeError", "i64",
     [](Operands& t) {
       argmax_rows(t.device, t({2, 3}), t({2}, DType::i64));
     }},
    {"all_finite", "DTypeError", "u8", [](Operands& t) { all_finite(t.device, t({2}, DType::u8)); }},
    {"column_moments", "ValueError", "no rows",
     [](Operands& t) {
       column_moments(t.device, t({0, 3}), t({3}, DType::f64), t({3}, DType::f64));
     }},
    {"column_moments", "DTypeError", "f64",
     [](Operands& t) {
       column_moments(t.device, t({2, 3}), t({3}), t({3}));
     }},
};

const Fault matrix_faults[] = {
    {"gemm", "ShapeError", "inner extents",
     [](Operands& t) {
       gemm(t.device, no, no, 1, t({2, 3}), t({4, 5}), 0, t({2, 5}));
     }},
    {"gemm", "ShapeError", "'c'",
     [](Operands& t) {
       gemm(t.device, no, no, 1, t({2, 3}), t({3, 5}), 0, t({5, 2}));
     }},
    {"gemm", "ShapeError", "not contiguous",
     [](Operands& t) {
       gemm(t.device, no, no, 1, t({3, 2}).permuted({1, 0}), t({3, 5}), 0, t({2, 5}));
     }},
    {"gemm", "DeviceError", "bias",
     [](Operands& t) {
       gemm(t.device, no, no, 1, t({2, 3}), t({3, 5}), 0, t({2, 5}), Epilogue::bias);
     }},
    {"gemm", "ValueError", "bias",
     [](Operands& t) {
       gemm(t.device, no, no, 1, t({2, 3}), t({3, 5}), 0, t({2, 5}), Epilogue::none, t({5}));
     }},
    {"column_sums", "ShapeError", "'out'",
     [](Operands& t) {
       column_sums(t.device, t({2, 3}), t({2}));
     }},
    {"conv2d_forward", "ShapeError", "do not fit",
     [](Operands& t) {
       conv2d_forward(t.device, t({1, 4, 4, 3}), t({2, 4, 3, 3}), {}, {}, t({1, 2, 2, 2}));
     }},
    {"conv2d_forward", "ShapeError", "'y'",
     [](Operands& t) {
       conv2d_forward(t.device, t({1, 4, 4, 3}), t({2, 3, 3, 3}), {}, {}, t({1, 4, 4, 2}));
     }},
    {"conv2d", "ShapeError", "kernel of extent 5",
     [](Operands& t) {
       conv2d_forward(t.device, t({1, 4, 4, 3}), t({2, 3, 5, 5}), {}, {}, t({1, 1, 1, 2}));
     }},
    {"conv2d_backward_data", "ShapeError", "'dy'",
     [](Operands& t) {
       conv2d_backward_data(t.device, t({1, 4, 4, 2}), t({2, 3, 3, 3}), {}, t({1, 4, 4, 3}));
     }},
    {"conv2d_backward_weights", "ShapeError", "'dbias'",
     [](Operands& t) {
       conv2d_backward_weights(t.device, t({1, 4, 4, 3}), t({1, 2, 2, 2}), {}, t({2, 3, 3, 3}), t({3}));
     }},
};

const Fault image_faults[] = {
    {"max_pool_forward", "ShapeError", "window of 5",
     [](Operands& t) {
       max_pool_forward(t.device, t({1, 4, 4, 3}), {5, 1}, t({1, 1, 1, 3}), t({1, 1, 1, 3}, DType::i32));
     }},
    {"max_pool_forward", "DTypeError", "winners",
     [](Operands& t) {
       max_pool_forward(t.device, t({1, 4, 4, 3}), {2, 2}, t({1, 2, 2, 3}), t({1, 2, 2, 3}));
     }},
    {"max_pool_gather", "ShapeError", "'winners'",
     [](Operands& t) {
       max_pool_gather(t.device, t({1, 4, 4, 3}), t({1, 2, 1, 3}, DType::i32), {2, 2}, t({1, 2, 2, 3}));
     }},
    {"average_pool_forward", "ValueError", "positive",
     [](Operands& t) {
       average_pool_forward(t.device, t({1, 4, 4, 3}), {2, 0}, t({1, 2, 2, 3}));
     }},
    {"average_pool_backward", "ShapeError", "'dy'",
     [](Operands& t) {
       average_pool_backward(t.device, t({1, 3, 2, 3}), {2, 2}, t({1, 4, 4, 3}));
     }},
    {"global_average_pool_forward", "DTypeError", "'y' is f64",
     [](Operands& t) {
       global_average_pool_forward(t.device, t({1, 4, 4, 3}, DType::bf16), t({1, 3}, DType::f64));
     }},
    {"batch_norm_evaluation_forward", "DTypeError", "'gamma' is bf16, but f32 is needed",
     [](Operands& t) {
       const View x = t({2, 3}, DType::bf16), c = t({3});
       batch_norm_evaluation_forward(t.device, x, t({3}, DType::bf16), c, c, c, 1e-5, x);
     }},
    {"global_average_pool_forward", "ValueError", "no positions",
     [](Operands& t) {
       global_average_pool_forward(t.device, t({1, 0, 4, 3}), t({1, 3}));
     }},
    {"flatten_forward", "ShapeError", "[1, 48]",
     [](Operands& t) {
       flatten_forward(t.device, t({1, 4, 4, 3}), t({1, 47}));
     }},
    {"flatten_backward", "ShapeError", "rank 4",
     [](Operands& t) {
       flatten_backward(t.device, t({1, 48}), t({1, 48}));
     }},
    {"shortcut_a_forward", "ShapeError", "fewer",
     [](Operands& t) {
       shortcut_a_forward(t.device, t({1, 4, 4, 6}), t({1, 2, 2, 3}));
     }},
    {"gather_images", "DTypeError", "u8",
     [](Operands& t) {
       gather_images(t.device, t({2, 4, 4, 3}), t({1}, DType::i64), t({3}), t({3}), t({1, 4, 4, 3}));
     }},
    {"gather_augmented_images", "DeviceError", "'counters' is missing",
     [](Operands& t) {
       gather_augmented_images(t.device, t({2, 4, 4, 3}, DType::u8), t({1}, DType::i64), t({3}), t({3}), {}, 1, {},
                               t({1, 4, 4, 3}));
     }},
    {"gather_augmented_images", "ValueError", "crop is 4, but must be below 4",
     [](Operands& t) {
       gather_augmented_images(t.device, t({2, 4, 4, 3}, DType::u8), t({1}, DType::i64), t({3}), t({3}), {.crop = 4}, 1,
                               t({4}, DType::i64), t({1, 4, 4, 3}));
     }},
};

const Fault norm_faults[] = {
    {"batch_norm_training_forward", "ValueError", "fewer than two rows",
     [](Operands& t) {
       batch_norm_training_forward(t.device, t({1, 3}), t({3}), t({3}), 1e-5, 0.1, t({3}), t({3}), t({1, 3}), t({3}),
                                   t({3}));
     }},
    {"batch_norm_training_forward", "ShapeError", "'running_mean'",
     [](Operands& t) {
       batch_norm_training_forward(t.device, t({4, 3}), t({3}), t({3}), 1e-5, 0.1, t({4}), t({3}), t({4, 3}), t({3}),
                                   t({3}));
     }},
    {"batch_norm_training_backward", "DeviceError", "'y' is missing",
     [](Operands& t) {
       batch_norm_training_backward(t.device, t({4, 3}), {}, t({3}), t({3}), t({3}), t({4, 3}), t({4, 3}), t({3}),
                                    t({3}), true);
     }},
    {"batch_norm_evaluation_forward", "ValueError", "epsilon",
     [](Operands& t) {
       batch_norm_evaluation_forward(t.device, t({4, 3}), t({3}), t({3}), t({3}), t({3}), -1, t({4, 3}));
     }},
    {"batch_norm_evaluation_forward", "ShapeError", "[rows, C]",
     [](Operands& t) {
       batch_norm_evaluation_forward(t.device, t({4}), t({3}), t({3}), t({3}), t({3}), 1e-5, t({4}));
     }},
    {"batch_norm_evaluation_backward", "ShapeError", "'dgamma'",
     [](Operands& t) {
       batch_norm_evaluation_backward(t.device, t({4, 3}), {}, t({3}), t({3}), t({3}), 1e-5, t({4, 3}), t({4, 3}),
                                      t({4}), t({3}));
     }},
    {"fold_batch_norm", "ShapeError", "'gamma'",
     [](Operands& t) {
       fold_batch_norm(t.device, t({4, 3}), {}, t({3}), t({4}), t({4}), t({4}), 1e-5, t({4, 3}), t({4}));
     }},
};

TEST(KernelErrors, Pointwise) { expect_faults(pointwise_faults); }
TEST(KernelErrors, Reduce) { expect_faults(reduce_faults); }
TEST(KernelErrors, Matrices) { expect_faults(matrix_faults); }
TEST(KernelErrors, Images) { expect_faults(image_faults); }
TEST(KernelErrors, Norm) { expect_faults(norm_faults); }

TEST(KernelErrors, WrongDevice) {
  if (Device::cuda_count() == 0) {
    EXPECT_THROW(Device::cuda(0), Error) << "no wrong device can be had";
    return;
  }
  Operands host(Device::cpu());
  const Device cuda = Device::cuda(0);
  EXPECT_THROW(unary(cuda, UnaryOp::relu, host({2}), host({2})), DeviceError);
  EXPECT_THROW(softmax(cuda, host({2, 3}), host({2, 3})), DeviceError);
}

TEST(KernelErrors, LeaveOutputsAsTheyWere) {
  for (const Device& device : test::devices()) {
    Tensor y = Tensor::from(std::vector<float>{1, 2, 3}, {3}, device);
    EXPECT_THROW(unary(device, UnaryOp::relu, Tensor({2}, DType::f32, device), y), ShapeError);
    EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{1, 2, 3}));
  }
}

}  // namespace
}  // namespace rtl::kernels
