// What a network's description (rtl/layers/frozen_builder.hpp) is compiled to: a list of kernel calls on a few buffers
// that are used again as soon as their contents are not needed any more.
#pragma once

#include <functional>
#include <vector>

#include "rtl/layers/frozen_builder.hpp"

namespace rtl::layers {

/// The buffers of one thread that runs programs.
class FrozenWorker {
 public:
  explicit FrozenWorker(const Device& device) : device_(device) {}
  const Device& device() const noexcept { return device_; }
  /// Buffer number `index` with room for `elements` floats.
  void* buffer(std::size_t index, std::int64_t elements);

 private:
  Device device_;
  std::vector<Tensor> buffers_;
};

class FrozenProgram final : public FrozenBuilder {
 public:
  /// `sample` is the shape of one input sample.
  FrozenProgram(const Device& device, const Shape& sample);

  static constexpr Value input = 0;
  /// Ends the description: `result` is what `run` computes.
  void finish(Value result);
  const Shape& result_sample() const { return samples_[static_cast<std::size_t>(result_)]; }
  /// Elements of the largest value, for one sample.
  std::int64_t largest_sample() const noexcept;

  /// x [N, ...input sample], out [N, ...result sample].
  void run(FrozenWorker& worker, ConstView x, View out) const;

  Value convolution(Value x, const Convolution& convolution) override;
  Value linear(Value x, ConstView weight, ConstView bias, bool relu) override;
  Value batch_norm(Value x, const Norm& norm, Value residual, bool relu) override;
  Value relu(Value x) override;
  Value add(Value a, Value b, bool relu) override;
  Value max_pool(Value x, const kernels::PoolOptions& options) override;
  Value average_pool(Value x, const kernels::PoolOptions& options) override;
  Value global_average_pool(Value x) override;
  Value flatten(Value x) override;
  Value shortcut_a(Value x, std::int64_t channels) override;

 private:
  using Run = std::function<void(const Device&, ConstView x, ConstView second, View y)>;
  struct Step {
    Run run;
    Value x, second, y;
    bool may_overwrite_second;
  };

  Value append(const Shape& sample, Value x, Value second, bool may_overwrite_second, Run run);
  const Shape& sample(Value value) const;
  Tensor copy_of(ConstView view) const;
  Shape pooled(Value x, const kernels::PoolOptions& options) const;
  std::vector<std::size_t> last_uses() const;

  Device device_;
  std::vector<Shape> samples_;  ///< of each value
  std::vector<Step> steps_;
  std::vector<int> buffer_of_;             ///< of each value; external where it is the input or the result
  std::vector<std::int64_t> buffer_size_;  ///< elements for one sample
  Value result_ = none;
};

}  // namespace rtl::layers
