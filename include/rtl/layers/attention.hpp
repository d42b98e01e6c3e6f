// Multi-head attention and the blocks of transformers around it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rtl/kernels/sequence.hpp"
#include "rtl/layers/embedding.hpp"
#include "rtl/layers/linear.hpp"
#include "rtl/layers/module.hpp"

namespace rtl::layers {

/// Rotary positions: pair i of a head turns by theta^(-2 i / head_size) a position.
struct RotaryOptions {
  kernels::RotaryPairs pairs = kernels::RotaryPairs::interleaved;
  double theta = 10000;
};

/// What the tensors of attention are called within it.
struct AttentionNames {
  /// One tensor, queries above keys above values, or three: "qkv.weight", or "q.weight", "k.weight", "v.weight".
  std::vector<std::string> weights = {"qkv.weight"};
  std::vector<std::string> biases = {"qkv.bias"};  ///< as many, or none: without biases
  std::string output = "proj";                     ///< "proj.weight", "proj.bias"
};

struct AttentionLayerOptions {
  std::int64_t width = 0;
  std::int64_t heads = 0;
  std::int64_t key_heads = 0;  ///< 0: as many as heads; else a divisor of them
  bool causal = false;
  double dropout = 0;  ///< of the weights, while training
  bool output_bias = true;
  bool sees_padding = false;  ///< keys behind a sequence's length are not hidden
  std::optional<RotaryOptions> rotary = {};
  AttentionNames names = {};
  Initialization initialization = Initialization::uniform_fan_in;
};

/// Self-attention of x [N, T, width]: projections, softmax(q k^T / sqrt(head_size)) v in each head, projection. Heads
/// have width / heads elements; keys behind a sequence's length are not seen (ForwardContext::lengths). The products
/// with queries, keys and values are one, whatever the tensors are, and attention reads its result where it lies.
class MultiHeadAttention final : public Module {
 public:
  /// Throws ValueError for extents that do not fit.
  MultiHeadAttention(const AttentionLayerOptions& options, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;
  const Parameter& last_weight() const noexcept { return output_->weight(); }

 private:
  Value projected(const Value& x, const ForwardContext& context) const;
  Value rotated(const Value& heads) const;

  AttentionLayerOptions options_;
  std::int64_t head_size_ = 0;
  std::vector<Parameter> weights_, biases_;
  std::unique_ptr<Linear> output_;
  std::uint64_t stream_;
  double scale_;
};

enum class NormKind : std::uint8_t { layer, rms };

/// What the parts of a block are called.
struct BlockNames {
  std::string attention = "attn", attention_norm = "norm1", feed_forward_norm = "norm2";
  std::string up = "mlp.fc1", down = "mlp.fc2";
  std::string gate = "";  ///< of SwiGLU; empty: none
};

struct TransformerBlockOptions {
  AttentionLayerOptions attention = {};
  std::int64_t hidden = 0;
  Activation activation = Activation::gelu;  ///< without a gate
  NormKind norm = NormKind::layer;
  double epsilon = 1e-5;
  bool norm_first = true;  ///< in front of each branch, else behind each sum
  bool bias = true;        ///< of the feed-forward layers
  double dropout = 0;      ///< behind attention, inside the feed-forward part and behind it, while training
  BlockNames names = {};
};

/// x + attention(norm(x)), then x + feed_forward(norm(x)), or norm(x + attention(x)) and so on (Vaswani et al. 2017).
/// feed_forward is down(activation(up(x))), or down(silu(gate(x)) up(x)). Strategies may add to both branches
/// (Hooks::branch).
class TransformerBlock final : public Module {
 public:
  TransformerBlock(const TransformerBlockOptions& options, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  Value dropped(const Value& x, const std::string& name, const ForwardContext& context) const;
  Value feed_forward(const Value& x, const ForwardContext& context);
  Value branch(const Value& x, const ForwardContext& context, bool attention);

  TransformerBlockOptions options_;
  std::string prefix_;  ///< of the network, which dropout's streams are named by
  MultiHeadAttention attention_;
  Linear up_, down_;
  std::unique_ptr<Linear> gate_;
  std::unique_ptr<Module> attention_norm_, feed_forward_norm_;
};

/// Makes a norm of either kind.
std::unique_ptr<Module> make_norm(NormKind kind, std::int64_t features, double epsilon,
                                  const Construction& construction);

}  // namespace rtl::layers
