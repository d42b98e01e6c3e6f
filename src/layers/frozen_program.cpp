#include "layers/frozen_program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/norm.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/prepared_conv.hpp"

namespace rtl::layers {
namespace {

constexpr int external = -1;
constexpr int unplanned = -2;

Shape batched(std::int64_t count, const Shape& sample) {
  std::array<std::int64_t, Shape::max_rank> extents{count};
  std::copy(sample.extents().begin(), sample.extents().end(), extents.begin() + 1);
  return Shape(std::span<const std::int64_t>(extents.data(), static_cast<std::size_t>(sample.rank()) + 1));
}

ConstView optional_view(const Tensor& tensor) { return tensor.defined() ? ConstView(tensor) : ConstView(); }

struct NormTensors {
  Tensor gamma, beta, mean, variance;
};

}  // namespace

void* FrozenWorker::buffer(std::size_t index, std::int64_t elements) {
  if (buffers_.size() <= index) buffers_.resize(index + 1);
  Tensor& buffer = buffers_[index];
  if (!buffer.defined() || buffer.count() < elements) {
    buffer = Tensor();
    buffer = Tensor({elements}, DType::f32, device_);
  }
  return buffer.view().data();
}

FrozenProgram::FrozenProgram(const Device& device, const Shape& sample) : device_(device), samples_{sample} {}

const Shape& FrozenProgram::sample(Value value) const { return samples_.at(static_cast<std::size_t>(value)); }

Tensor FrozenProgram::copy_of(ConstView view) const {
  if (!view.given()) return {};
  if (view.dtype() != DType::f32) {
    throw DTypeError(fmt::format("FrozenNetwork: a parameter is {}; frozen networks are f32", name_of(view.dtype())));
  }
  Tensor copy(view.shape(), view.dtype(), device_);
  copy_bytes(view, copy);
  return copy;
}

FrozenBuilder::Value FrozenProgram::append(const Shape& sample, Value x, Value second, bool may_overwrite_second,
                                           Run run) {
  const auto y = static_cast<Value>(samples_.size());
  samples_.push_back(sample);
  steps_.push_back({std::move(run), x, second, y, may_overwrite_second && !device_.is_cuda()});
  return y;
}

FrozenBuilder::Value FrozenProgram::convolution(Value x, const Convolution& description) {
  const Shape& in = sample(x);
  const auto& options = description.options;
  const Shape out{kernels::conv2d_extent(in[0], description.weight.extent(2), options),
                  kernels::conv2d_extent(in[1], description.weight.extent(3), options), description.weight.extent(0)};
  Tensor weight = copy_of(description.weight);
  Tensor bias = copy_of(description.bias);
  if (const Norm& norm = description.norm; norm.given()) {
    Tensor folded_weight(weight.shape(), DType::f32, device_);
    Tensor folded_bias({weight.extent(0)}, DType::f32, device_);
    kernels::fold_batch_norm(device_, weight, optional_view(bias), norm.gamma, norm.beta, norm.mean, norm.variance,
                             norm.epsilon, folded_weight, folded_bias);
    weight = std::move(folded_weight);
    bias = std::move(folded_bias);
  }
  const auto prepared = std::make_shared<const kernels::PreparedConv2d>(device_, weight, optional_view(bias), options);
  return append(out, x, description.residual, true,
                [prepared, relu = description.relu](const Device& device, ConstView from, ConstView residual, View y) {
                  prepared->forward(device, from, y, relu, residual);
                });
}

FrozenBuilder::Value FrozenProgram::linear(Value x, ConstView weight, ConstView bias, bool relu) {
  const auto w = std::make_shared<const Tensor>(copy_of(weight));
  const auto b = std::make_shared<const Tensor>(copy_of(bias));
  const auto with_bias = relu ? kernels::Epilogue::bias_relu : kernels::Epilogue::bias;
  const auto without = relu ? kernels::Epilogue::relu : kernels::Epilogue::none;
  return append(
      Shape{weight.extent(0)}, x, none, false,
      [w, b, epilogue = bias.given() ? with_bias : without](const Device& device, ConstView from, ConstView, View y) {
        kernels::gemm(device, kernels::Transpose::no, kernels::Transpose::yes, 1.0, from, *w, 0.0, y, epilogue,
                      optional_view(*b));
      });
}

FrozenBuilder::Value FrozenProgram::batch_norm(Value x, const Norm& norm, Value residual, bool relu) {
  const auto tensors = std::make_shared<const NormTensors>(
      NormTensors{copy_of(norm.gamma), copy_of(norm.beta), copy_of(norm.mean), copy_of(norm.variance)});
  return append(
      sample(x), x, residual, false,
      [tensors, epsilon = norm.epsilon, relu](const Device& device, ConstView from, ConstView second, View y) {
        kernels::batch_norm_evaluation_forward(device, from, tensors->gamma, tensors->beta, tensors->mean,
                                               tensors->variance, epsilon, y, relu, second);
      });
}

FrozenBuilder::Value FrozenProgram::relu(Value x) {
  return append(sample(x), x, none, false, [](const Device& device, ConstView from, ConstView, View y) {
    kernels::unary(device, kernels::UnaryOp::relu, from, y);
  });
}

FrozenBuilder::Value FrozenProgram::add(Value a, Value b, bool relu) {
  return append(sample(a), a, b, false, [relu](const Device& device, ConstView first, ConstView second, View y) {
    if (relu) {
      kernels::add_relu(device, first, second, y);
    } else {
      kernels::binary(device, kernels::BinaryOp::add, first, second, y);
    }
  });
}

Shape FrozenProgram::pooled(Value x, const kernels::PoolOptions& options) const {
  const Shape& in = sample(x);
  return {(in[0] - options.window) / options.stride + 1, (in[1] - options.window) / options.stride + 1, in[2]};
}

FrozenBuilder::Value FrozenProgram::max_pool(Value x, const kernels::PoolOptions& options) {
  return append(pooled(x, options), x, none, false, [options](const Device& device, ConstView from, ConstView, View y) {
    Tensor winners(y.shape(), DType::i32, device);
    kernels::max_pool_forward(device, from, options, y, winners);
  });
}

FrozenBuilder::Value FrozenProgram::average_pool(Value x, const kernels::PoolOptions& options) {
  return append(pooled(x, options), x, none, false, [options](const Device& device, ConstView from, ConstView, View y) {
    kernels::average_pool_forward(device, from, options, y);
  });
}

FrozenBuilder::Value FrozenProgram::global_average_pool(Value x) {
  return append(Shape{sample(x)[2]}, x, none, false, [](const Device& device, ConstView from, ConstView, View y) {
    kernels::global_average_pool_forward(device, from, y);
  });
}

FrozenBuilder::Value FrozenProgram::flatten(Value x) {
  return append(Shape{sample(x).count()}, x, none, false, [](const Device& device, ConstView from, ConstView, View y) {
    kernels::flatten_forward(device, from, y);
  });
}

FrozenBuilder::Value FrozenProgram::shortcut_a(Value x, std::int64_t channels) {
  const Shape& in = sample(x);
  return append(
      {(in[0] + 1) / 2, (in[1] + 1) / 2, channels}, x, none, false,
      [](const Device& device, ConstView from, ConstView, View y) { kernels::shortcut_a_forward(device, from, y); });
}

std::vector<std::size_t> FrozenProgram::last_uses() const {
  std::vector<std::size_t> last(samples_.size(), 0);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    last[static_cast<std::size_t>(steps_[i].x)] = i;
    if (steps_[i].second != none) last[static_cast<std::size_t>(steps_[i].second)] = i;
  }
  last[static_cast<std::size_t>(result_)] = std::numeric_limits<std::size_t>::max();
  return last;
}

void FrozenProgram::finish(Value result) {
  result_ = result;
  const std::vector<std::size_t> last = last_uses();
  buffer_of_.assign(samples_.size(), unplanned);
  buffer_of_[input] = external;
  std::vector<int> free;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const auto y = static_cast<std::size_t>(step.y);
    const auto second = static_cast<std::size_t>(std::max(step.second, input));
    const auto x = static_cast<std::size_t>(step.x);
    const bool overwrite = step.may_overwrite_second && step.second > input && step.second != step.x &&
                           last[second] == i && buffer_of_[second] >= 0;
    if (step.y == result_) {
      buffer_of_[y] = external;
    } else if (overwrite) {
      buffer_of_[y] = buffer_of_[second];
    } else if (!free.empty()) {
      buffer_of_[y] = free.back();
      free.pop_back();
    } else {
      buffer_of_[y] = static_cast<int>(buffer_size_.size());
      buffer_size_.push_back(0);
    }
    if (const int buffer = buffer_of_[y]; buffer >= 0) {
      auto& size = buffer_size_[static_cast<std::size_t>(buffer)];
      size = std::max(size, samples_[y].count());
    }
    if (last[x] == i && buffer_of_[x] >= 0) free.push_back(buffer_of_[x]);
    const bool second_ends = step.second > input && step.second != step.x && last[second] == i;
    if (second_ends && buffer_of_[second] >= 0 && buffer_of_[second] != buffer_of_[y]) {
      free.push_back(buffer_of_[second]);
    }
  }
}

std::int64_t FrozenProgram::largest_sample() const noexcept {
  std::int64_t largest = 1;
  for (const Shape& shape : samples_) largest = std::max(largest, shape.count());
  return largest;
}

void FrozenProgram::run(FrozenWorker& worker, ConstView x, View out) const {
  const std::int64_t count = x.extent(0);
  if (result_ == input) {
    copy_bytes(x, out);
    return;
  }
  std::vector<View> values(samples_.size());
  const auto writable = [&](Value value) -> View {
    const auto index = static_cast<std::size_t>(value);
    if (value == result_) return out;
    const auto buffer = static_cast<std::size_t>(buffer_of_[index]);
    return {worker.buffer(buffer, buffer_size_[buffer] * count), DType::f32, batched(count, samples_[index]),
            worker.device()};
  };
  const auto readable = [&](Value value) -> ConstView {
    if (value == none) return {};
    return value == input ? x : ConstView(values[static_cast<std::size_t>(value)]);
  };
  for (const Step& step : steps_) {
    const View y = values[static_cast<std::size_t>(step.y)] = writable(step.y);
    step.run(worker.device(), readable(step.x), readable(step.second), y);
  }
}

}  // namespace rtl::layers
