// The language in which a network describes its evaluation pass, so that it can be compiled into something faster than
// the modules themselves (rtl/layers/frozen_network.hpp).
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/conv.hpp"
#include "rtl/kernels/pool.hpp"

namespace rtl::layers {

/// Receives the operations of one evaluation pass in order. Values are numbered by the builder; tensors are only
/// borrowed for the call, so an implementation copies (or folds and reorders) what it keeps. Dropout is the identity
/// here and is not shown.
class FrozenBuilder {
 public:
  using Value = std::int32_t;
  static constexpr Value none = -1;

  /// Evaluation batch norm behind an operation: (x - mean) / sqrt(variance + epsilon) * gamma + beta, all [channels].
  struct Norm {
    ConstView gamma;
    ConstView beta;
    ConstView mean;
    ConstView variance;
    double epsilon = 1e-5;
    bool given() const noexcept { return gamma.given(); }
  };
  /// y = [relu](norm(conv(x, weight) + bias) + residual).
  struct Convolution {
    ConstView weight;  ///< [out, in, height, width]
    ConstView bias;    ///< [out] or absent
    kernels::Conv2dOptions options;
    Norm norm;
    Value residual = none;  ///< a value of y's shape
    bool relu = false;
  };

  FrozenBuilder() = default;
  FrozenBuilder(const FrozenBuilder&) = delete;
  FrozenBuilder& operator=(const FrozenBuilder&) = delete;
  virtual ~FrozenBuilder() = default;

  virtual Value convolution(Value x, const Convolution& convolution) = 0;
  /// y = [relu](x weight^T + bias); weight [out, in], bias [out] or absent.
  virtual Value linear(Value x, ConstView weight, ConstView bias, bool relu) = 0;
  /// y = [relu](norm(x) + residual), where no convolution precedes the norm.
  virtual Value batch_norm(Value x, const Norm& norm, Value residual, bool relu) = 0;
  virtual Value relu(Value x) = 0;
  /// y = [relu](a + b).
  virtual Value add(Value a, Value b, bool relu) = 0;
  virtual Value max_pool(Value x, const kernels::PoolOptions& options) = 0;
  virtual Value average_pool(Value x, const kernels::PoolOptions& options) = 0;
  virtual Value global_average_pool(Value x) = 0;
  /// [N, H, W, C] to [N, C * H * W] in channel, row, column order.
  virtual Value flatten(Value x) = 0;
  virtual Value shortcut_a(Value x, std::int64_t channels) = 0;
};

}  // namespace rtl::layers
