// A network for repeated evaluation, as plans (rtl/graph/row_function.hpp): batch norms folded into convolutions, ReLU
// and residual sums fused.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "rtl/core/precision.hpp"
#include "rtl/core/tensor.hpp"
#include "rtl/layers/network.hpp"

namespace rtl::layers {

/// Always evaluation mode; the network it was made from is not changed and not kept. Weights are copied at
/// construction. Results agree with Network::forward in evaluation mode within float rounding. Weights and results are
/// f32; with Precision::bf16 inputs, and everything between, are bf16. Of tokens a plan is made for each length of the
/// sequences.
class FrozenNetwork {
 public:
  /// Its features are the penultimate ones or, with a name of Network::layer_names, those behind that layer. Throws
  /// DTypeError for parameters other than f32, ValueError for a layer that there is not.
  explicit FrozenNetwork(Network& network, Precision precision = Precision::f32, std::string layer = {});
  FrozenNetwork(FrozenNetwork&&) noexcept;
  FrozenNetwork& operator=(FrozenNetwork&&) noexcept;
  ~FrozenNetwork();

  std::int64_t feature_count() const;
  std::int64_t classes() const;
  const Architecture& architecture() const;
  /// x [N, ...input], normalised, f32 or, in bf16, bf16, or tokens i32 [N, T] with any T up to that of input; out f32
  /// [N, feature_count].
  void features(ConstView x, View out);
  /// out [N, classes].
  void logits(ConstView x, View out);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace rtl::layers
