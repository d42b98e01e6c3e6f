// Several fits of one strategy at once: their recipes run side by side, and the trainings that they wait for are made
// together, as replicas.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rtl/transfer/strategy.hpp"
#include "transfer/features.hpp"

namespace rtl::transfer {

/// What recipes of one strategy have in common on one data set, by the names that they give it (FitContext::shared).
using SharedValues = std::map<std::string, std::shared_ptr<const void>>;

/// What the fits of a group have in common.
struct FitContext::Shared {
  explicit Shared(Device where) : device(std::move(where)) {}
  std::vector<FrozenSource> sources;
  StrategyOptions options;
  Device device;
  Tables tables;  ///< of the sources on all rows; found where they are first asked for if empty
  bool keeps_l2sp = false;
  /// Fits on this data set, without rows of their own, share what follows.
  const data::Dataset* whole = nullptr;
  struct Scaled {
    std::vector<FrozenBlock> blocks;
    std::vector<Tensor> transforms;  ///< of what is stored of them
  };
  std::map<std::string, Scaled> scaled;  ///< by the scaling
  std::shared_ptr<SharedValues> values;
};

/// How one fit ended.
struct FitOutcome {
  std::optional<Fitted> fitted;  ///< absent where it diverged
  std::optional<TrainingDiverged> divergence = {};
};

class FitGroup {
 public:
  /// `tables` are those of the sources on all rows, or none: then they are found where a recipe asks for them. `values`
  /// are shared with groups of the same choice, sources, data set and device, one after the other.
  FitGroup(const StrategyChoice& choice, const std::vector<FrozenSource>& sources, const Tables& tables,
           std::span<const FitContext::Inputs> inputs, const StrategyOptions& options,
           std::shared_ptr<SharedValues> values = std::make_shared<SharedValues>());
  FitGroup(const FitGroup&) = delete;
  FitGroup& operator=(const FitGroup&) = delete;

  /// Runs all recipes up to their first training. Not needed before `run`.
  void start();
  /// After `start`: a training that the first recipe waits for; null if it waits for none.
  const Replica* first_training() const;
  /// Runs all to their ends. Throws what a recipe threw, except for TrainingDiverged.
  std::vector<FitOutcome> run();

 private:
  void train_waiting();

  const StrategyChoice choice_;
  std::shared_ptr<FitContext::Shared> shared_;
  std::deque<FitContext> contexts_;
  std::vector<Recipe> recipes_;
  bool started_ = false;
};

namespace detail {

/// What two trainings differ in that must agree in replicas; empty if nothing.
std::string difference_of_replicas(const Replica& first, const Replica& other);

}  // namespace detail
}  // namespace rtl::transfer
