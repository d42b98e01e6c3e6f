// What the kernels of a training step refuse.
#include <gtest/gtest.h>

#include "kernels/faults.hpp"
#include "rtl/kernels/dropout.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/optimizer_step.hpp"
#include "rtl/kernels/residual_fusion.hpp"
#include "rtl/kernels/softmax.hpp"
#include "rtl/kernels/sparse.hpp"

namespace rtl::kernels {
namespace {

OptimizerState state_of(Operands& t) { return {.counters = t({4}, DType::i64), .rates = t({5}, DType::f64)}; }

const Fault training_faults[] = {
    {"softmax", "ShapeError", "'probabilities'",
     [](Operands& t) {
       softmax(t.device, t({2, 3}), t({3, 2}));
     }},
    {"cross_entropy_forward", "ValueError", "a row",
     [](Operands& t) {
       cross_entropy_forward(t.device, t({0, 3}), {t({0}, DType::i32)}, t({0, 3}), t({1}));
     }},
    {"cross_entropy_forward", "DTypeError", "labels",
     [](Operands& t) {
       cross_entropy_forward(t.device, t({2, 3}), {t({2}, DType::i64)}, t({2, 3}), t({1}));
     }},
    {"cross_entropy_forward", "ShapeError", "one element",
     [](Operands& t) {
       cross_entropy_forward(t.device, t({2, 3}), {t({2}, DType::i32)}, t({2, 3}), t({2}));
     }},
    {"cross_entropy_backward", "ShapeError", "'labels'",
     [](Operands& t) {
       cross_entropy_backward(t.device, t({2, 3}), {t({3}, DType::i32)}, t({}), t({2, 3}));
     }},
    {"dropout", "ValueError", "[0, 1)", [](Operands& t) { dropout(t.device, t({2}), 1.0, 0, 0, t({2})); }},
    {"dropout", "ValueError", "[0, 1)", [](Operands& t) { dropout(t.device, t({2}), NAN, 0, 0, t({2})); }},
    {"uniform", "DTypeError", "i32", [](Operands& t) { uniform(t.device, 0, 1, 0, 0, t({2}, DType::i32)); }},
    {"normal", "ShapeError", "strided", [](Operands& t) { normal(t.device, 0, 1, 0, 0, t.strided(3, 2)); }},
    {"gather_rows", "DTypeError", "f32, f64 or bf16",
     [](Operands& t) {
       gather_rows(t.device, t({2, 3}), t({1}, DType::i32), t({1, 3}, DType::f16));
     }},
    {"gather_rows", "DTypeError", "'rows'",
     [](Operands& t) {
       gather_rows(t.device, t({4, 3}), t({2}), t({2, 3}));
     }},
    {"gather_rows", "ShapeError", "[2, 3]",
     [](Operands& t) {
       gather_rows(t.device, t({4, 3}), t({2}, DType::i32), t({2, 4}));
     }},
    {"gather_rows", "ValueError", "none",
     [](Operands& t) {
       gather_rows(t.device, t({0, 3}), t({2}, DType::i32), t({2, 3}));
     }},
    {"gather_features", "DTypeError", "'table' is f64, but f32, bf16, f16 or u8",
     [](Operands& t) {
       gather_features(t.device, t({4, 3}, DType::f64), t({2}, DType::i64), t({2, 3}));
     }},
    {"gather_features", "DTypeError", "'rows' is i32, but i64",
     [](Operands& t) {
       gather_features(t.device, t({4, 3}), t({2}, DType::i32), t({2, 3}));
     }},
    {"gather_features", "ShapeError", "'transform' is [2, 3], but [3, 3]",
     [](Operands& t) {
       gather_features(t.device, {t({4, 3}), {}, t({2, 3})}, t({2}, DType::i64), t({2, 3}));
     }},
    {"gather_features", "DTypeError", "'places' is i32, but i64",
     [](Operands& t) {
       gather_features(t.device, {t({4, 3}), t({5}, DType::i32)}, t({2}, DType::i64), t({2, 3}));
     }},
    {"gather_features", "ValueError", "the bound is 0, but must be positive",
     [](Operands& t) {
       gather_features(t.device, {t({4, 3}), {}, t({3, 3}), 0}, t({2}, DType::i64), t({2, 3}));
     }},
    {"gather_sparse_rows", "DTypeError", "'offsets' is i32, but i64",
     [](Operands& t) {
       gather_sparse_rows(t.device, {t({3}, DType::i32), t({4}, DType::i32), t({4})}, {}, t({2}, DType::i64),
                          t({2, 3}));
     }},
    {"gather_sparse_rows", "DTypeError", "'background' is f64, but f32",
     [](Operands& t) {
       gather_sparse_rows(t.device, {t({3}, DType::i64), t({4}, DType::i32), t({4})}, t({3}, DType::f64),
                          t({2}, DType::i64), t({2, 3}));
     }},
    {"gather_sparse_rows", "ShapeError", "'background' is [4], but [3]",
     [](Operands& t) {
       gather_sparse_rows(t.device, {t({3}, DType::i64), t({4}, DType::i32), t({4})}, t({4}), t({2}, DType::i64),
                          t({2, 3}));
     }},
    {"gather_sparse_rows", "ShapeError", "'out' is [3, 3], but [2, 3]",
     [](Operands& t) {
       gather_sparse_rows(t.device, {t({3}, DType::i64), t({4}, DType::i32), t({4})}, {}, t({2}, DType::i64),
                          t({3, 3}));
     }},
    {"gather_sparse_rows", "ValueError", "has none",
     [](Operands& t) {
       gather_sparse_rows(t.device, {t({1}, DType::i64), t({0}, DType::i32), t({0})}, {}, t({2}, DType::i64),
                          t({2, 3}));
     }},
    {"gather_sparse_rows", "DTypeError", "'out' is u8",
     [](Operands& t) {
       gather_sparse_rows(t.device, {t({3}, DType::i64), t({4}, DType::i32), t({4})}, {}, t({2}, DType::i64),
                          t({2, 3}, DType::u8));
     }},
    {"sparse_product", "DTypeError", "'columns'",
     [](Operands& t) {
       sparse_product(t.device, {t({3}, DType::i32), t({4}), t({4})}, t({5, 3}), t({2, 3}));
     }},
    {"sparse_product", "DTypeError", "f64",
     [](Operands& t) {
       sparse_product(t.device, {t({3}, DType::i32), t({4}, DType::i32), t({4}, DType::f64)}, t({5, 3}), t({2, 3}));
     }},
    {"sparse_product", "ShapeError", "[2, 3]",
     [](Operands& t) {
       sparse_product(t.device, {t({3}, DType::i32), t({4}, DType::i32), t({4})}, t({5, 3}), t({5, 3}));
     }},
    {"sparse_product", "ValueError", "m + 1",
     [](Operands& t) {
       sparse_product(t.device, {t({0}, DType::i32), t({4}, DType::i32), t({4})}, t({5, 3}), t({0, 3}));
     }},
    {"scatter_add_rows", "DTypeError", "f64",
     [](Operands& t) {
       scatter_add_rows(t.device, t({2, 3}, DType::f64), t({2}, DType::i32), t({4, 3}));
     }},
    {"sgd_step", "ShapeError", "'gradient'",
     [](Operands& t) {
       const OptimizerSlot slot{t({2}), t({3}), {}};
       sgd_step(t.device, {&slot, 1}, {}, state_of(t));
     }},
    {"sgd_step", "DeviceError", "'first' is missing",
     [](Operands& t) {
       const OptimizerSlot slot{t({2}), t({2}), {}};
       sgd_step(t.device, {&slot, 1}, {.momentum = 0.9}, state_of(t));
     }},
    {"sgd_step", "ValueError", "Nesterov",
     [](Operands& t) { sgd_step(t.device, {}, {.nesterov = true}, state_of(t)); }},
    {"sgd_step", "ShapeError", "2 replicas",
     [](Operands& t) {
       const OptimizerSlot slot{t({3}), t({3}), {}};
       OptimizerState state = state_of(t);
       state.replicas = 2;
       sgd_step(t.device, {&slot, 1}, {}, state);
     }},
    {"adam_step", "DTypeError", "'rates'",
     [](Operands& t) { adam_step(t.device, {}, {}, {.counters = t({4}, DType::i64), .rates = t({5})}); }},
    {"adam_step", "ShapeError", "'counters'",
     [](Operands& t) { adam_step(t.device, {}, {}, {.counters = t({3}, DType::i64), .rates = t({5}, DType::f64)}); }},
    {"adam_step", "DeviceError", "'average' is missing",
     [](Operands& t) {
       const OptimizerSlot slot{t({2}), t({2}), t({2}), t({2})};
       OptimizerState state = state_of(t);
       state.average_decay = 0.5;
       adam_step(t.device, {&slot, 1}, {}, state);
     }},
    {"adam_step", "ValueError", "the decay of the average is 1",
     [](Operands& t) {
       OptimizerState state = state_of(t);
       state.average_decay = 1;
       adam_step(t.device, {}, {}, state);
     }},
    {"schedule_free_step", "ValueError", "beta1 is 0",
     [](Operands& t) { schedule_free_step(t.device, {}, {.beta1 = 0}, state_of(t)); }},
    {"schedule_free_step", "ShapeError", "'second'",
     [](Operands& t) {
       const OptimizerSlot slot{t({2}), t({2}), t({2}), t({3})};
       schedule_free_step(t.device, {&slot, 1}, {}, state_of(t));
     }},
    {"advance", "ShapeError", "'loss'", [](Operands& t) { advance(t.device, t({4}, DType::i64), t({5}), t({2}), 64); }},
    {"advance", "DTypeError", "'counters'",
     [](Operands& t) { advance(t.device, t({4}, DType::i32), t({5}), t({1}), 64); }},
    {"dropout", "ShapeError", "2 replicas",
     [](Operands& t) {
       dropout(t.device, t({3}), 0.5, 1, t({2, 4}, DType::i64), t({3}));
     }},
    {"gather_rows", "ShapeError", "'rows'",
     [](Operands& t) {
       gather_rows(t.device, t({4, 3}), t({2}, DType::i32), t({3, 3}), t({4}, DType::i64));
     }},
};

const Fault fusion_faults[] = {
    {"residual_fusion_forward", "ValueError", "no feature blocks",
     [](Operands& t) {
       residual_fusion_forward(t.device, {}, t({3, 4}), {}, t({2, 3}));
     }},
    {"residual_fusion_forward", "ShapeError", "[3, 5]",
     [](Operands& t) {
       const FusionBlock block{t({2, 5})};
       residual_fusion_forward(t.device, {&block, 1}, t({3, 4}), {}, t({2, 3}));
     }},
    {"residual_fusion_forward", "ShapeError", "no columns",
     [](Operands& t) {
       const FusionBlock block{t({2, 0})};
       residual_fusion_forward(t.device, {&block, 1}, t({3, 0}), {}, t({2, 3}));
     }},
    {"residual_fusion_forward", "DTypeError", "bf16",
     [](Operands& t) {
       const FusionBlock block{t({2, 4}, DType::bf16)};
       residual_fusion_forward(t.device, {&block, 1}, t({3, 4}, DType::f64), {}, t({2, 3}, DType::f64));
     }},
    {"residual_fusion_backward", "DTypeError", "gradient of block 0",
     [](Operands& t) {
       const FusionBlock block{t({2, 4}, DType::bf16)};
       const View gradient = t({2, 4});
       residual_fusion_backward(t.device, {&block, 1}, t({3, 4}), t({2, 3}), t({3, 4}), {}, {&gradient, 1});
     }},
    {"residual_fusion_backward", "ShapeError", "mask of block 0",
     [](Operands& t) {
       const FusionBlock block{t({2, 4}), 1, t({4})};
       residual_fusion_backward(t.device, {&block, 1}, t({3, 4}), t({2, 3}), t({3, 4}), {}, {});
     }},
    {"residual_fusion_backward", "ShapeError", "2 gradients",
     [](Operands& t) {
       const FusionBlock block{t({2, 4})};
       const View gradients[2] = {};
       residual_fusion_backward(t.device, {&block, 1}, t({3, 4}), t({2, 3}), t({3, 4}), {}, gradients);
     }},
};

TEST(KernelErrors, Training) { expect_faults(training_faults); }
TEST(KernelErrors, Fusion) { expect_faults(fusion_faults); }

}  // namespace
}  // namespace rtl::kernels
