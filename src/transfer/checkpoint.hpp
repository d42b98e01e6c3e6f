// The state of an unfinished training in a file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/optim/optimizer.hpp"
#include "rtl/transfer/training.hpp"

namespace rtl::transfer::detail {

/// Hash of everything that decides how a training goes on: options, data, features and the present weights. Computed
/// before the first step, it names the training.
std::uint64_t training_fingerprint(Trainable& model, const TrainingData& data, const TrainingOptions& options);

/// Written beside and renamed. Throws IoError.
void save_checkpoint(const std::string& path, std::uint64_t fingerprint, Trainable& model,
                     const optim::Optimizer& optimizer, const std::vector<double>& losses);

/// Puts the state of a checkpoint into model and optimizer and returns the losses of the epochs done. A file that is
/// missing, damaged or of another training changes nothing and returns no losses.
std::vector<double> load_checkpoint(const std::string& path, std::uint64_t fingerprint, Trainable& model,
                                    optim::Optimizer& optimizer);

}  // namespace rtl::transfer::detail
