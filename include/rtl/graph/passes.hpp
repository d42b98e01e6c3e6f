// Passes: rewriting of a recorded graph into one that gives the same results with fewer nodes and less memory traffic.
// They run between recording (differentiation included) and planning; values keep their handles.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "rtl/graph/graph.hpp"
#include "rtl/kernels/conv.hpp"

namespace rtl::kernels {
class PreparedConv2d;
class PreparedLinear;
}  // namespace rtl::kernels

namespace rtl::graph {

/// What was computed from constants once, for all graphs that use the same ones: convolutions with folded norms, and
/// weights in the form that the device is fastest with. May be used by several threads. Keeps the constants alive.
class FrozenWeights {
 public:
  struct Folded {
    Storage weight, bias;
  };
  /// The convolution (w, bias or none) with the batch norm (gamma, beta, mean, variance) behind it folded in.
  Folded folded(const std::vector<Storage>& operands, double epsilon);
  /// The prepared form of a convolution of w and bias (or none), for images of a dtype.
  std::shared_ptr<const kernels::PreparedConv2d> prepared(const Storage& w, const Storage& bias,
                                                          const kernels::Conv2dOptions& options, DType images);
  /// Constants one below the other.
  Storage stacked(const std::vector<Storage>& parts);
  /// The prepared form of a linear layer of w and bias (or none), for inputs of a dtype.
  std::shared_ptr<const kernels::PreparedLinear> prepared(const Storage& w, const Storage& bias, DType inputs);

 private:
  std::mutex mutex_;
  using FoldedKey = std::pair<std::vector<const Tensor*>, double>;                              ///< operands, epsilon
  using PreparedKey = std::tuple<const Tensor*, const Tensor*, kernels::Conv2dOptions, DType>;  ///< w, bias, .., images
  std::map<FoldedKey, std::pair<std::vector<Storage>, Folded>> folded_;
  std::map<PreparedKey, std::pair<std::vector<Storage>, std::shared_ptr<const kernels::PreparedConv2d>>> prepared_;
  std::map<std::vector<const Tensor*>, std::pair<std::vector<Storage>, Storage>> stacked_;
  using LinearKey = std::tuple<const Tensor*, const Tensor*, DType>;
  std::map<LinearKey, std::pair<std::vector<Storage>, std::shared_ptr<const kernels::PreparedLinear>>> linear_;
};

struct PassOptions {
  /// Bias, ReLU and residual sums go into the convolution, product or norm before them; their gradients into the
  /// gradient behind, or in the linear layer before; a cross-entropy and its gradient become one operation; an
  /// optimizer step takes the end of the training step; on CUDA weights of convolutions are packed together, their
  /// gradients of images take residual sums, and a loss the gradients of a small layer. No bit of a result changes, but
  /// that in bf16 a residual sum is rounded once instead of twice.
  bool fuse = true;
  /// Where given: norms of constant statistics are folded into constant convolutions before them (results change by a
  /// few roundoffs), constant convolutions are prepared (no bit changes), and on the host constant linear layers with
  /// the activation behind them (sums are of another order: a few roundoffs, but no other ones for other neighbours).
  std::shared_ptr<FrozenWeights> frozen = {};
};

/// Runs the passes on what `results` and the changes of variables depend on. `results` keep their values.
void run_passes(Graph& graph, const std::vector<Value>& results, const PassOptions& options = {});

}  // namespace rtl::graph
