// What is told of a training.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rtl::transfer {

/// How a training went; of several stages, all of them.
struct TrainingRecord {
  std::vector<double> losses;  ///< mean training loss of each epoch, those before a resume included
  std::int64_t steps = 0;
  std::int64_t parameters = 0;  ///< elements of the parameters that were trained
  double seconds = 0;           ///< of this call
  bool complete = false;        ///< false if `stop` ended it
  /// Of a complete training: a model that gives all training samples one class, or has no smaller loss on them than the
  /// classes' shares alone give; weights that have run away; features that were constant. A sentence each.
  std::vector<std::string> warnings = {};
};

}  // namespace rtl::transfer
