// One training step, from the rows of a batch to the updated weights, recorded and planned once for each size of batch,
// for one model or for several as replicas.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/graph/step_state.hpp"
#include "rtl/transfer/training.hpp"
#include "transfer/mixup.hpp"
#include "transfer/optimizer_set.hpp"
#include "transfer/place.hpp"

namespace rtl::transfer::detail {

/// What one replica trains, on what.
struct StepReplica {
  Trainable* model = nullptr;
  const TrainingData* data = nullptr;
  const InputGather* inputs = nullptr;         ///< null if the model wants none
  const InputGather* source_inputs = nullptr;  ///< of TrainingData::source
  const OptimizerSet* optimizers = nullptr;
  std::size_t numbers = 0;  ///< of Trainable::epoch_numbers
  double clip_norm = 0;     ///< as TrainingOptions has it
  double label_smoothing = 0;
  Loss loss = {};
  bool mixed = false;                            ///< by mixup
  kernels::ImageAugmentation augmentation = {};  ///< as TrainingOptions has it
  ConstView weights = {};  ///< f32 [n, 1] of all samples, of mean 1; not defined where all count alike
};

/// What one replica's epoch begins with.
struct EpochStart {
  std::uint64_t seed = 0;
  std::int64_t step = 0;                 ///< steps made before
  std::vector<optim::Rates> rates = {};  ///< of each parameter group
  std::vector<double> numbers = {};      ///< Trainable::epoch_numbers
};

/// Gathers a batch, runs forward and backward, updates the weights, notes the loss and moves on to the next batch:
/// what an epoch visits, and at which rates, is memory of the device. Features that a CUDA device reads from the host
/// are fetched a step ahead: a captured step takes the rows that the step before has fetched, and has those of the next
/// batch fetched beside its own work. Several replicas are one plan, with the weights,
/// running statistics, moments and start points of all side by side; tables that they share stay one. On a host each
/// goes through the step in turn, unless the step waits for launches (replica_rule.hpp).
class TrainingStep {
 public:
  /// At most `batches` steps an epoch, of at most `largest` samples. `activations` is the dtype in which the models
  /// compute. The replicas record the same graph and have equally many samples. Throws ValueError for tables of other
  /// shapes than the first replica's.
  TrainingStep(std::vector<StepReplica> replicas, std::int64_t batches, std::int64_t largest, const Device& device,
               DType activations);

  /// Of several replicas: takes over what models and optimizers hold, before the first step ..
  void load();
  /// .. and gives one model and optimizer what its steps have made of it.
  void store(std::size_t replica);

  /// The order of the samples, one replica's behind the other's, in all epochs to come.
  void set_order(const std::vector<std::int64_t>& orders) { write(order_, orders); }
  /// Whom the samples of that order are mixed with, one replica's behind the other's.
  void set_mixture(const Mixture& mixtures) {
    write(partners_, mixtures.partners);
    write(shares_, mixtures.shares);
  }
  /// Of all samples, in the data set's order, replica by replica.
  void set_labels(const std::vector<std::int32_t>& labels) { write(targets_, labels); }
  void set_targets(const std::vector<float>& targets) { write(targets_, targets); }
  /// The same of TrainingData::source: the samples that stand beside those of `orders`, and the labels of all.
  void set_source_order(const std::vector<std::int64_t>& orders) { write(source_order_, orders); }
  void set_source_labels(const std::vector<std::int32_t>& labels) { write(source_labels_, labels); }
  /// Before the first step of an epoch, behind its orders; an entry a replica.
  void start_epoch(std::span<const EpochStart> starts);
  /// The next `count` samples of each order. Allocates nothing but for the first batch of a size; waits for nothing.
  void run(std::int64_t count) { execution(count).run(); }
  /// The plan of a step of `count` samples.
  const graph::Plan& plan(std::int64_t count) { return execution(count).plan(); }
  /// Mean loss of each step of the epoch, replica by replica; waits for the device.
  std::vector<double> losses() const;

 private:
  /// A constant or variable of the graph, and its memory for all replicas.
  struct Leaf {
    graph::Storage storage;              ///< as the graph knows it: the first replica's
    std::vector<graph::Storage> owners;  ///< whose contents `all` takes over
    Tensor all;                          ///< [replicas, ...]; not defined for one replica
    const Tensor& memory() const { return all.defined() ? all : storage.tensor(); }
  };
  /// What batches are gathered from.
  struct Table {
    std::string name;
    bool source = false;  ///< of TrainingData::source
    ConstView one;        ///< as the graph knows it
    ConstView memory;     ///< the same, or `all`
    Tensor all;           ///< [replicas, ...]; not defined where all replicas have the same memory
  };
  /// Frozen features, and the first of the tables that they are gathered from.
  struct Features {
    const kernels::StoredFeatures* stored;
    std::size_t table;
    bool source;
  };
  /// Rows of features in an order of samples that a step fetches for the next.
  struct Ahead {
    std::size_t features;
    graph::Storage order;
    Leaf rows;
  };

  Leaf leaf(std::vector<graph::Storage> owners) const;
  Leaf targets_leaf(const data::Dataset& dataset) const;
  std::vector<Leaf*> leaves();
  Table table(bool source, const std::vector<GatherTable>& each) const;
  template <typename T>
  void write(Leaf& leaf, const std::vector<T>& values) {
    Tensor& memory = leaf.all.defined() ? leaf.all : leaf.storage.tensor();
    copy_bytes(Tensor::from(values, memory.shape(), device_.host()), memory);
  }
  void find_tables();
  void find_ahead(std::int64_t largest);
  graph::FeatureTable feature_table(const Features& features, const std::vector<graph::Value>& tables) const;
  graph::Value gather_features(std::size_t features, const std::vector<graph::Value>& tables, const graph::Value& order,
                               const graph::Value& counters, std::int64_t count) const;
  graph::Execution& execution(std::int64_t count);
  std::vector<graph::Value> record(graph::Graph& graph, std::int64_t count) const;
  std::vector<graph::Value> record_tables(graph::Graph& graph) const;
  std::vector<graph::Value> record_first_fetch(graph::Graph& graph) const;
  LabelledBatch gather(const std::vector<graph::Value>& tables, bool source, const graph::Value& order,
                       const graph::Value& counters, std::int64_t count) const;
  /// `augmentation` names what is drawn for the images.
  Batch gather_inputs(const std::vector<graph::Value>& tables, bool source, const graph::Value& order,
                      const graph::Value& counters, std::int64_t count, const std::string& augmentation) const;
  void record_updates(const graph::Value& counters, std::span<const graph::Value> objectives) const;
  std::unique_ptr<graph::Execution> make_execution(const std::shared_ptr<graph::Graph>& graph,
                                                   const std::vector<graph::Value>& tables);

  std::vector<StepReplica> replicas_;
  Device device_;
  DType activations_;
  std::shared_ptr<graph::Arena> arena_;
  graph::StepState state_;
  Leaf counters_, order_, targets_, losses_;
  Leaf source_order_, source_labels_, numbers_, partners_, shares_;  ///< without memory where there are none
  std::vector<Leaf> rates_;                                          ///< of each parameter group
  std::vector<Leaf> kept_;  ///< of models and optimizers, where there are several
  std::vector<Table> tables_;
  std::vector<Features> features_;
  std::vector<Ahead> ahead_;
  std::unique_ptr<graph::Execution> first_fetch_;  ///< of an epoch; null where nothing is fetched ahead
  bool weighted_ = false;                          ///< the last table is the samples' weights
  std::map<std::int64_t, std::unique_ptr<graph::Execution>> executions_;  ///< by samples
};

/// Of a step with a whole batch.
graph::PlanFacts step_facts(const Replica& replica);

}  // namespace rtl::transfer::detail
