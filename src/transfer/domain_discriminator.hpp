// Tells source from target samples by their logits and labels.
#pragma once

#include <string>
#include <vector>

#include "rtl/transfer/trainable.hpp"

namespace rtl::transfer::detail {

/// What a reversed gradient is multiplied by: 2 / (1 + exp(-10 s)) - 1 with s = epoch / (epochs - 1), from 0 in the
/// first epoch almost to 1 in the last (Ganin et al. 2016); 0 of a single epoch.
double gradient_reversal(std::int64_t epoch, std::int64_t epochs);

/// [logits, embedding of the label (8 numbers)] -> linear 64, ReLU, dropout 0.2 -> linear 1: the network of DANN-Gate
/// (Xu, Nakada, Zhang and Li 2025). A sample whose label is not given has an embedding of its own. Weights of the
/// linear layers are uniform in +-1/sqrt(inputs), their biases zero, embeddings standard normal.
class DomainDiscriminator {
 public:
  DomainDiscriminator(std::int64_t classes, const Device& device, std::uint64_t seed);

  /// Of "target", before the sigmoid: [m, 1]. `labels` one-hot f32 [m, classes], or not defined. Calls with different
  /// names drop different units.
  graph::Value logits(const graph::Value& logits, const graph::Value& labels, const std::string& name,
                      const layers::ForwardContext& context) const;
  /// d / (1 - d) of each sample, d being the probability of "target", kept within 1e-4 of 0 and 1: [m], without
  /// gradient.
  graph::Value gate(const graph::Value& logits, const graph::Value& labels,
                    const layers::ForwardContext& context) const;

  std::vector<optim::NamedStorage> trained() const;
  void append_to(layers::ModuleState& state);

 private:
  std::int64_t classes_;
  layers::Parameter embedding_, hidden_weight_, hidden_bias_, output_weight_, output_bias_;
};

}  // namespace rtl::transfer::detail
