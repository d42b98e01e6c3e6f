// Running statistics of batch norms, from samples instead of from the last steps of a training.
#pragma once

#include "rtl/transfer/predictors.hpp"

namespace rtl::transfer::detail {

/// Replaces the running means and variances of all batch norms by the means, weighted by their samples, of the
/// statistics of batches of `batch_size` of the data set's samples in their order; a last batch of one joins the one
/// before. Each batch goes through the network as in training, so a norm sees what those before it make of the batch
/// (Izmailov et al. 2018). Nothing happens in networks without buffers.
void recompute_statistics(NetworkPredictor& model, const data::Dataset& dataset, std::int64_t batch_size);

}  // namespace rtl::transfer::detail
