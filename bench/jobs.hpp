// The jobs: pieces of work that users wait for, as opposed to single kernels.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "measure.hpp"

namespace rtl::bench {

/// A job that is set up and ready to run.
struct Job {
  std::string name;
  std::string unit;        ///< of the rate: "images/s"
  double units = 0;        ///< that one run does
  double flop = 0;         ///< for one unit
  double bytes = 0;        ///< to and from memory, for one unit; 0 where arithmetic is all that matters
  std::string arithmetic;  ///< how `flop` was counted
  bool bf16 = false;       ///< whether the limit is that of products in bf16
  std::function<void()> run;
  /// What the last run found, where that can be compared with what peers find.
  std::function<std::string()> result = {};
};

/// Makes a job when its turn comes, so that only one job's memory exists at a time.
struct JobMaker {
  std::string name;
  std::function<Job(const Settings&)> make;
  /// What is not there that it needs, and the remedy; empty where it can be made.
  std::function<std::string()> missing = {};
};
const std::vector<JobMaker>& all_jobs();

Job resnet20_features(const Settings& settings);
Job resnet20_train(const Settings& settings);
Job resnet20_features_bf16(const Settings& settings);
Job resnet20_train_bf16(const Settings& settings);
Job mlp_head(const Settings& settings);
Job mlp_head_20_seeds(const Settings& settings);
Job mlp_head_bf16(const Settings& settings);
Job mlp_head_20_seeds_bf16(const Settings& settings);
Job lite0_features(const Settings& settings);
Job lite0_features_bf16(const Settings& settings);
Job lite0_features_96(const Settings& settings);
Job lite0_features_96_bf16(const Settings& settings);
Job minilm_sentences(const Settings& settings);
Job minilm_sentences_bf16(const Settings& settings);
Job transformer_train(const Settings& settings);
Job transformer_train_bf16(const Settings& settings);
Job ridge_path(const Settings& settings);
Job ridge_path_f32(const Settings& settings);
Job ridge_heads(const Settings& settings);
Job ridge_heads_loop(const Settings& settings);
Job transfer_main_job(const Settings& settings);

}  // namespace rtl::bench
