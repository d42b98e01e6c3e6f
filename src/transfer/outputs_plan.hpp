// A model's evaluation pass as plans, one for each size of batch.
#pragma once

#include <map>
#include <memory>
#include <span>

#include "rtl/graph/plan.hpp"
#include "rtl/transfer/training.hpp"

namespace rtl::transfer::detail {

/// Reads the model's present weights at each call. Belongs to one thread at a time; the model must outlive it.
class OutputsPlan {
 public:
  OutputsPlan(Trainable& model, const Device& device, DType dtype)
      : model_(model), arena_(std::make_shared<graph::Arena>(device)), dtype_(dtype) {}

  /// inputs [m, ...sample] (not given if the model wants none) and features [m, p_k], contiguous, of the plan's dtype.
  /// The logits [m, classes] stay valid until the next call.
  ConstView operator()(ConstView inputs, std::span<const ConstView> features);

 private:
  struct Recorded {
    Batch batch;
    graph::Value outputs;
    std::unique_ptr<graph::Execution> execution;
  };
  Recorded record(ConstView inputs, std::span<const ConstView> features) const;

  Trainable& model_;
  std::shared_ptr<graph::Arena> arena_;
  DType dtype_;
  std::map<std::int64_t, Recorded> recorded_;  ///< by rows
};

/// Outputs f32 [N, outputs] of a model in evaluation mode, some samples at a time: of inputs that are normalised so,
/// where the model wants them, and of features of the samples.
Tensor outputs_of(Trainable& model, const data::Dataset& samples, const data::InputNormalization& normalization,
                  const std::vector<kernels::StoredFeatures>& features, std::int64_t outputs, const Device& device);

}  // namespace rtl::transfer::detail
