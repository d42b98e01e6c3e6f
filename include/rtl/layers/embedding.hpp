// From tokens and patches to sequences of vectors, and from these to one.
#pragma once

#include "rtl/layers/initialization.hpp"
#include "rtl/layers/sequential.hpp"

namespace rtl::layers {

/// Fills a new tensor with normal numbers of this deviation, drawn by its name.
Parameter normal_parameter(std::string_view name, const Shape& shape, double deviation,
                           const Construction& construction);

struct EmbeddingOptions {
  std::int64_t vocabulary = 0;
  std::int64_t width = 0;
  double deviation = 1;  ///< of the initial weights, normal
  double factor = 1;     ///< of the vectors: sqrt(width) in Vaswani et al. 2017
};

/// Token ids i32 [N, T] to [N, T, width] in the activations' dtype (ForwardContext::activations); zeros for padding,
/// -1. Parameter weight [vocabulary, width].
class Embedding final : public Module {
 public:
  /// Throws ValueError for extents that are not positive.
  Embedding(const EmbeddingOptions& options, const Construction& construction);
  Value forward(const Value& ids, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;
  const Parameter& weight() const noexcept { return weight_; }

 private:
  EmbeddingOptions options_;
  Parameter weight_;
};

/// x [N, T, width] + one learned vector for each position, T at most `positions`. `shape` is that of the tensor in
/// checkpoints, [positions, width] or [1, positions, width].
class LearnedPositions final : public Module {
 public:
  LearnedPositions(std::string name, const Shape& shape, double deviation, const Construction& construction);
  /// Throws ShapeError for more positions than there are vectors.
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  std::string name_;
  Parameter vectors_;
};

/// A learned vector, the same for all samples, in front of x [N, T, width]: [N, T + 1, width]. The tensor is [1, 1,
/// width].
class ClassToken final : public Module {
 public:
  ClassToken(std::string name, std::int64_t width, double deviation, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  std::string name_;
  Parameter vector_;
};

/// Images [N, H, W, C] to [N, patches, width], patches in rows: a convolution with the stride of its kernel. Parameters
/// weight [width, C, patch, patch] and bias.
class PatchEmbedding final : public Module {
 public:
  /// Throws ValueError for extents that are not positive.
  PatchEmbedding(std::int64_t channels, std::int64_t width, std::int64_t patch, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  std::int64_t patch_;
  Parameter weight_;
  Parameter bias_;
};

/// [N, T, width] to [N, width]: the mean over the sequence's real positions (ForwardContext::lengths), f32 from bf16.
class MeanPooling final : public Stateless {
 public:
  Value forward(const Value& x, const ForwardContext& context) override;
};

/// [N, T, width] to [N, width]: the first position.
class FirstPosition final : public Stateless {
 public:
  Value forward(const Value& x, const ForwardContext& context) override;
};

/// Elementwise functions that stand between linear layers.
enum class Activation : std::uint8_t { relu, gelu, gelu_tanh, silu, tanh };
Value activate(Activation activation, const Value& x);

}  // namespace rtl::layers
