// The loop of evaluation: a data set's samples in order, some at a time, through something that gives rows.
#pragma once

#include <cstdint>
#include <functional>

#include "rtl/core/tensor.hpp"
#include "rtl/data/dataset.hpp"

namespace rtl::transfer::detail {

/// What an evaluation reads, and how.
struct Evaluation {
  const data::Dataset& samples;
  const data::InputNormalization& normalization;  ///< of images and vectors, fitted
  Device device;
  DType parameters = DType::f32;   ///< dtype in which inputs are normalised
  DType activations = DType::f32;  ///< dtype of the batches of images and vectors; tokens are i32
  std::int64_t batch_size = 256;
  bool reads_inputs = true;  ///< else the batches' inputs are not given
};

/// Writes the outputs of samples begin .. begin + out.extent(0) - 1 into `out` f32 [m, columns]; `inputs` [m,
/// ...sample], contiguous, is their batch.
using EvaluateRows = std::function<void(ConstView inputs, View out, std::int64_t begin)>;

/// f32 [N, columns] on the evaluation's device, by batches in the order of the samples. A set on another device is
/// copied there once. Memory: one batch of inputs beside the result.
Tensor evaluate(const Evaluation& evaluation, std::int64_t columns, const EvaluateRows& rows);

}  // namespace rtl::transfer::detail
