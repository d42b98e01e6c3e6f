// Execution plans of cuDNN's graphs: a convolution or one of its gradients, with what follows it in the same kernel,
// and the engine that does it. Only engines that give the same bits every time, that sum the products themselves (no
// Winograd or FFT, which lose digits), in f32, and that multiply f32 in full precision unless TF32 is allowed. A plan
// is made without knowing addresses, and on a machine without a GPU for one that is only described.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/cuda/vendor/cudnn_descriptor.hpp"
#include "rtl/core/dtype.hpp"

namespace rtl::kernels::cuda::vendor {

enum class Direction : std::uint8_t { forward, backward_data, backward_weights };

/// Everything that the choice of an engine depends on. All are the names of the forward pass: the result is y, or in
/// place of x or w the gradient.
struct Problem {
  Direction direction;
  DType dtype;  ///< of images and weights: f32 or bf16; a bias is f32
  bool tf32;
  std::array<std::int64_t, 4> x, w, y;  ///< [N, H, W, C], [out, height, width, in / groups], [N, H, W, out]
  std::int64_t stride, dilation;
  std::array<std::int64_t, 2> padding;  ///< rows, columns; the same on both sides
  bool bias = false, relu = false;      ///< forward: y = max(0, conv(x, w) + bias), rounded once
  bool accumulate = false;              ///< backward_data: is added to what is there
  auto operator<=>(const Problem&) const = default;
};

/// The problem whose sums of products `problem` must have to the bit: without a ReLU behind a bias, and without
/// what is added to a gradient; or the problem itself.
Problem with_the_same_sums(Problem problem);

/// Addresses on the device, aligned to dnn_alignment.
struct Operands {
  void *x = nullptr, *w = nullptr, *y = nullptr, *bias = nullptr;
};

/// For what the library makes plans: the GPU of a handle, or one of which there are the properties alone
/// (CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR).
struct Target {
  cudnnHandle_t handle = nullptr;
  const Descriptor* properties = nullptr;
};

class Plan {
 public:
  /// What computes: one of the library's engines, and how it is set.
  struct Engine {
    std::int64_t index = 0;
    std::vector<std::pair<cudnnBackendKnobType_t, std::int64_t>> knobs;
    auto operator<=>(const Engine&) const = default;
  };

  /// By the first suitable engine of those that the library expects to be fastest, the fallbacks behind them; null if
  /// there is none. Throws CudaError.
  static std::unique_ptr<Plan> make(const Target& target, const Problem& problem);
  /// By this engine; null if it does not do it.
  static std::unique_ptr<Plan> make(const Target& target, const Problem& problem, const Engine& engine);

  std::int64_t workspace_bytes() const { return workspace_bytes_; }
  const Engine& engine() const { return engine_; }
  /// What the library says of the engine's arithmetic.
  const std::vector<cudnnBackendNumericalNote_t>& notes() const { return notes_; }

  /// The addresses, as run hands them to the library.
  Descriptor bind(const Operands& operands, void* workspace) const;
  /// Queues the work in the handle's stream. False if the library refuses it only now, having done nothing.
  bool run(cudnnHandle_t handle, const Operands& operands, void* workspace) const;

 private:
  struct Graph;

  Plan(const Problem& problem, std::shared_ptr<const Graph> graph, Descriptor config, Descriptor plan);
  static std::unique_ptr<Plan> finish(const Target& target, const Problem& problem,
                                      const std::shared_ptr<const Graph>& graph, Descriptor config);

  Problem problem_;
  std::shared_ptr<const Graph> graph_;
  Descriptor config_, plan_;
  std::int64_t workspace_bytes_ = 0;
  Engine engine_;
  std::vector<cudnnBackendNumericalNote_t> notes_;
};

}  // namespace rtl::kernels::cuda::vendor
