// How much each feature block moves the outputs of heads, alone or in a weighted mean.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/transfer/predictor.hpp"

namespace rtl::transfer::detail {

/// Of outputs that are sum over r of weight_r temperature_r (sum over k of shares_rk), the read-outs r having blocks k.
class InfluenceSum {
 public:
  /// Outputs of classes move a softmax, so what all of a sample's outputs have in common does not count; real targets
  /// have no such common part.
  explicit InfluenceSum(bool regression) : regression_(regression) {}

  /// The number of a new block.
  std::size_t add_block(std::string name);
  /// A read-out's block f32 [N, p] as its head sees it, and its share f32 [N, outputs].
  void add(std::size_t block, const Tensor& seen, const Tensor& share, double weight, double temperature);
  std::vector<BlockInfluence> result() const;

 private:
  struct Block {
    std::string name;
    std::int64_t features = 0;
    double weight = 0, squared_norm = 0;  ///< of all its read-outs; the latter times their weights
    std::vector<double> share = {};       ///< [N, outputs]
    std::size_t outputs = 1;
  };
  bool regression_;
  std::vector<Block> blocks_;
};

}  // namespace rtl::transfer::detail
