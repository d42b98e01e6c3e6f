// The state of an unfinished training in a file.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rtl/transfer/training.hpp"
#include "transfer/optimizer_set.hpp"
#include "transfer/protocol.hpp"

namespace rtl::transfer::detail {

/// Everything that decides how a training goes on: machine, options, data, features and the present weights. Taken
/// before the first step, it names the training.
Facts training_protocol(Trainable& model, const TrainingData& data, const TrainingOptions& options);

/// Written beside and renamed. Throws IoError.
void save_checkpoint(const std::string& path, const Facts& protocol, Trainable& model, const OptimizerSet& optimizers,
                     const std::vector<double>& losses);

/// Before a training begins anew whose checkpoints are to lie at `path`: a file of another training, or of none, is not
/// to be replaced. `notice` is told of one that is damaged, or this very training's. Throws as load_checkpoint.
void keep_other_training(const std::string& path, const Facts& protocol,
                         const std::function<void(const std::string&)>& notice);

/// Puts the state of a checkpoint into model and optimizers and returns the losses of the epochs done. A file that is
/// missing changes nothing and returns no losses; so does a damaged one, which `notice` is told. Throws ValueError for
/// an intact file of another training, saying what differs; IoError.
std::vector<double> load_checkpoint(const std::string& path, const Facts& protocol, Trainable& model,
                                    OptimizerSet& optimizers, const std::function<void(const std::string&)>& notice);

}  // namespace rtl::transfer::detail
