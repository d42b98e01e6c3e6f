// The neural experiment of the L2-SP paper: a source network per weight decay, fine-tuned in two ways on other classes
// of the same data set.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/data/dataset.hpp"

namespace rtl::studies::l2sp {

enum class NetworkKind : std::uint8_t {
  mlp,  ///< 784-128-64-5
  cnn,  ///< 3x3 convolution to 32, pool, 3x3 to 64, pool, 4096-128, dropout 0.25, 5
};

/// Source and target task of five classes each, and how networks are trained on them (Adam, rate 1e-3).
struct NetworkProblem {
  std::string name;
  NetworkKind kind = NetworkKind::mlp;
  data::TrainTest source;
  data::TrainTest target;
  std::int64_t target_samples = 0;  ///< of target.train, drawn by the seed
  std::int64_t batch_size = 0;
  std::int64_t source_epochs = 0;
  std::int64_t transfer_epochs = 0;
  std::vector<double> target_fractions;  ///< of target.train, on which the source is fine-tuned plainly, too
  /// Decides the results, with decay and seed: for state files.
  std::string fingerprint() const;
};

/// MNIST digits 0 3 6 8 9 to 1 2 4 5 7; `folder` holds images/mnist. Throws IoError, FormatError.
NetworkProblem mnist_problem(const std::string& folder);
/// CIFAR-10 animals (2 to 6) to the rest; `folder` holds images/cifar10. At most `source_limit` source images (0: all)
/// and `target_samples` target images.
NetworkProblem cifar_problem(const std::string& folder, std::int64_t source_limit, std::int64_t target_samples);

/// {0} and 18 values from 1e-6 to 0.1.
std::vector<double> source_decays();

/// Accuracies are fractions of the test samples of the task.
struct FineTuning {
  double accuracy = 0;
  std::vector<double> distances;  ///< of all parameters from the source's, after every epoch
};
struct NetworkRun {
  double source_accuracy = 0;
  FineTuning standard;              ///< weight decay 1e-4
  FineTuning l2sp;                  ///< (1e-4 / 2) ||w - source||^2 instead
  std::vector<double> by_fraction;  ///< accuracies of plain fine-tuning on each of the problem's target_fractions
};

/// One source and its fine-tunings on target samples drawn by the seed, on one thread. May be called by several threads
/// at a time; deterministic.
NetworkRun run_networks(const NetworkProblem& problem, double source_decay, std::uint64_t seed);
/// Accuracy of a fresh network with the same target samples, epochs and decay.
double run_scratch(const NetworkProblem& problem, std::uint64_t seed);

}  // namespace rtl::studies::l2sp
