// The multi-view problem of `rtl reproduce ensemble`: every class shows itself in several views, each of which is
// enough; networks that are trained on all views keep few of them.
#pragma once

#include <cstdint>
#include <vector>

#include "rtl/core/random.hpp"
#include "rtl/core/tensor.hpp"

namespace rtl::studies::ensemble {

constexpr int class_count = 4, view_count = 4, noise_patches = 4, patch_count = view_count + noise_patches;
constexpr std::int64_t patch_size = 128;

/// A sample of class c: patch p of the view patches is s_p e_(c views + p), s_p ~ U(0.7, 1.3), plus N(0, 0.02^2); the
/// noise patches are N(0, 1.5^2 / size). f32 [N, patches size].
struct ViewSamples {
  Tensor patches;
  std::vector<int> labels;
  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
};

struct ViewLaw {
  int only = -1;            ///< the view that is there; -1: all
  double single_share = 0;  ///< of the samples that show one view alone, drawn at random
};

/// A function of (seed, stream).
ViewSamples draw_views(const ViewLaw& law, std::int64_t count, std::uint64_t seed, std::uint64_t stream,
                       const Device& device);

/// Output c is the sum of `per_class` neurons; a neuron is the sum over patches of a(<w, x_p>), a(z) = z^3 / 3 up to 1,
/// z - 2/3 above, 0 below 0. Neurons c per_class .. are those of class c.
class ViewNetwork {
 public:
  /// Weights N(0, scale^2).
  ViewNetwork(int per_class, double scale, std::uint64_t seed, const Device& device);

  /// The neurons: f32 [N, classes per_class].
  Tensor features(const ViewSamples& samples) const;
  /// Share of samples whose greatest output is their class.
  double accuracy(const ViewSamples& samples) const;
  /// So many steps more of stochastic gradient descent on the mean cross-entropy: batches of 32 drawn with replacement,
  /// rate 0.2.
  void train(const ViewSamples& samples, int steps);
  ViewNetwork clone() const;

  /// Mean cross-entropy of some samples, and its gradient by the weights.
  double loss(const ViewSamples& samples) const;
  Tensor gradient(const ViewSamples& samples) const;
  Tensor& weights() { return weights_; }

 private:
  explicit ViewNetwork(const RandomSequence& order) : order_(order) {}

  /// <w, x_p>: [N patches, neurons].
  Tensor products(const Tensor& patches) const;
  std::vector<double> outputs(const Tensor& products) const;

  Tensor weights_;
  int per_class_ = 0;
  RandomSequence order_;
};

/// Features standardised (with batch norm's 1e-5 beside the variance), a linear classifier by Nesterov's SGD (momentum
/// 0.9, rate 0.05 times 0.1 after epochs 8, 16 and 24 of 28, batches of 32), the best of the weight decays 5e-4, 5e-3
/// and 5e-2 on the test rows, as in the reference. Features f32 [N, p], side by side. The test accuracy.
double probe(const std::vector<Tensor>& training, const std::vector<int>& training_labels,
             const std::vector<Tensor>& test, const std::vector<int>& test_labels, std::uint64_t seed);

}  // namespace rtl::studies::ensemble
