// What is told of a training.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rtl::transfer {

/// One of the outputs that a strategy weighs against each other on rows that were not trained on.
struct ReadOut {
  std::string name;        ///< "network with features", "network alone", "probe", "scratch", ..
  double weight = 0;       ///< its share of the prediction
  double temperature = 1;  ///< what its outputs are multiplied by
  /// Mean loss on the rows left out, as it is weighed: cross-entropy in nats, or the squared error of standardised
  /// targets. NaN where nothing was left out.
  double loss = 0;
  /// The same minus that of the one that all are compared with (the network alone, the head from scratch), whose own
  /// is 0, and the standard error of this mean over rows.
  double difference = 0, standard_error = 0;
};

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
  std::vector<ReadOut> read_outs = {};  ///< of strategies that weigh several
};

}  // namespace rtl::transfer
