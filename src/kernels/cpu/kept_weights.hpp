// What is computed from the weights of a convolution once, for many calls.
#pragma once

#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <utility>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels::cpu {

/// For several threads at once.
class KeptWeights {
 public:
  explicit KeptWeights(const Device& device) : device_(device) {}

  /// Their Winograd transform, those of a depthwise convolution by taps, panels of bf16, or nothing.
  Tensor transformed;

  /// The weights in one of oneDNN's layouts. pack(memory) writes them at the first request for this layout.
  template <typename Pack>
  void* packed(const dnnl::memory::desc& layout, Pack&& pack) {
    const std::lock_guard lock(mutex_);
    for (auto& [known, memory] : packed_) {
      if (known == layout) return memory.view().data();
    }
    Tensor memory({static_cast<std::int64_t>(layout.get_size())}, DType::u8, device_);
    pack(memory.view().data());
    return packed_.emplace_back(layout, std::move(memory)).second.view().data();
  }

 private:
  Device device_;
  std::mutex mutex_;
  std::vector<std::pair<dnnl::memory::desc, Tensor>> packed_;
};

}  // namespace rtl::kernels::cpu
