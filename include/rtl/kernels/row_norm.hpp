// Normalisation of every row over the last axis: layer norm (Ba, Kiros and Hinton 2016) and RMS norm (Zhang and
// Sennrich 2019). x is [..., C] of any rank, contiguous, f32, f64 or bf16; y, dy and dx are like it. gamma, beta and
// their gradients are [C], the saved statistics [rows], rows being the product of the leading axes; these have x's
// dtype, f32 with bf16. bf16 is calculated in f32 and rounded once.
//
// Memory is read and written once: 2 bytes-of-x forward, 3 backward; 8 and 14 FLOP an element (RMS 4 and 11). A row's
// result depends on nothing but the row. dgamma and dbeta are summed in f64 over pieces of rows that depend on the
// number of rows alone, so no result depends on the number of threads.
//
// All throw ShapeError, DTypeError, DeviceError, and ValueError for a negative epsilon. Without rows, dgamma and dbeta
// are zeros.
#pragma once

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with each row's mean and population variance. y may be x.
void layer_norm_forward(const Device& device, ConstView x, ConstView gamma, ConstView beta, double epsilon, View y,
                        View saved_mean, View saved_inverse_deviation);

/// Gradients, overwritten. dx may be dy.
void layer_norm_backward(const Device& device, ConstView x, ConstView gamma, ConstView saved_mean,
                         ConstView saved_inverse_deviation, ConstView dy, View dx, View dgamma, View dbeta);

/// y = gamma x / sqrt(mean(x^2) + epsilon). y may be x.
void rms_norm_forward(const Device& device, ConstView x, ConstView gamma, double epsilon, View y, View saved_inverse);

/// Gradients, overwritten. dx may be dy.
void rms_norm_backward(const Device& device, ConstView x, ConstView gamma, ConstView saved_inverse, ConstView dy,
                       View dx, View dgamma);

}  // namespace rtl::kernels
