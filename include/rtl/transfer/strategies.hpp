// Every way to adapt sources to a target: scratch, probe, fine-tune, refine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rtl/transfer/feature_cache.hpp"
#include "rtl/transfer/metrics.hpp"
#include "rtl/transfer/source.hpp"
#include "rtl/transfer/training.hpp"

namespace rtl::transfer {

/// What is done to a source's features before a head sees them.
enum class FeatureScaling : std::uint8_t {
  raw,          ///< nothing: REFINE as published
  standardize,  ///< (f - mean) / deviation per feature, over the target's training samples; a constant feature gives 0
  balance       ///< standardize, then times feature_scale / sqrt(p): the block's mean squared norm is feature_scale^2
};
std::string to_string(FeatureScaling scaling);
FeatureScaling parse_feature_scaling(const std::string& text);  ///< Throws ValueError, listing the names.

/// Which head a probe or a fine-tuning starts from.
enum class HeadStart : std::uint8_t {
  fresh,       ///< newly drawn
  pretrained,  ///< the source's own; throws ValueError where the numbers of classes differ
  automatic    ///< the source's own where the numbers of classes agree, else newly drawn
};
std::string to_string(HeadStart start);               ///< "fresh", "pretrained", "auto"
HeadStart parse_head_start(const std::string& text);  ///< Throws ValueError, listing the names.

struct StrategyOptions {
  /// Residual encoder h and scratch model, "NAME" or "NAME:VARIANT" of layers::Architecture. Empty: paper_cnn for
  /// images, mlp for vectors.
  std::string model = {};
  /// Of the inputs of h and scratch, fitted to the training samples. Sources, and what is fine-tuned, keep their own.
  data::Normalization normalization = data::Normalization::automatic;
  FeatureScaling feature_scaling = FeatureScaling::raw;  ///< probe and refine
  double feature_scale = 1;                              ///< c of `balance`
  HeadStart head_start = HeadStart::fresh;               ///< probe and fine-tune
  /// Dropout on the frozen features while a probe trains. The published code leaves its source copy in training mode,
  /// which amounts to 0.5 here; a frozen source is evaluated, so the default is none.
  double probe_dropout = 0;
  /// Where to train and keep the result; absent: where the training data lies.
  std::optional<Device> device = {};
  FeatureCache* cache = nullptr;  ///< absent: features are computed for this call alone

  std::uint64_t hash() const;  ///< of everything that decides the result
};

struct StrategyInfo {
  std::string name;
  std::string summary;    ///< one line
  std::string reference;  ///< where it is from
  bool needs_source = true;
  bool several_sources = false;
};
/// All strategies, scratch first.
const std::vector<StrategyInfo>& strategies();
/// Throws ValueError for an unknown name, listing those that exist.
const StrategyInfo& strategy(const std::string& name);

/// How much one feature block contributes to the logits of a fused head.
struct BlockInfluence {
  std::string name;  ///< "h" or the source's name
  std::int64_t features = 0;
  double feature_norm = 0;     ///< root mean square over samples of the norm of the block, as the head sees it
  double logit_deviation = 0;  ///< root mean square of its centred share of the logits, s_k x_k W_k^T
  double share = 0;            ///< its part of the sum of all blocks' squared logit_deviation
};

/// A model fitted to a target: predicts, and can be saved. Moves only.
class Fitted {
 public:
  class Model;
  explicit Fitted(std::unique_ptr<Model> model);
  Fitted(Fitted&&) noexcept;
  Fitted& operator=(Fitted&&) noexcept;
  ~Fitted();

  const std::string& strategy() const;
  std::int64_t classes() const;
  /// Elements of all tensors that training changed.
  std::int64_t trainable_parameters() const;
  const TrainingRecord& training() const;
  /// The frozen sources that it looks at; none for scratch and fine-tune.
  std::vector<FrozenSource> sources() const;

  /// Logits f32 [N, classes] in evaluation mode. Features come from `cache` if given. Throws ShapeError for samples of
  /// another shape than it was fitted to.
  Tensor logits(const data::Dataset& dataset, FeatureCache* cache = nullptr) const;
  /// Contribution of h and of every source on `dataset`; one entry for probe, none for scratch and fine-tune.
  std::vector<BlockInfluence> block_influence(const data::Dataset& dataset, FeatureCache* cache = nullptr) const;
  /// Name, shape and values of everything that was trained (running statistics included).
  layers::ModuleState state() const;

  /// Writes a safetensors file that holds everything, the frozen sources' weights included. scratch and fine-tune give
  /// an ordinary checkpoint of their network. Throws IoError.
  void save(const std::string& path) const;
  /// Reads what save() wrote; logits are then bit for bit those of the saved model. Throws IoError, FormatError.
  static Fitted load(const std::string& path, const Device& device);

  /// The model inside, for the library's own use.
  Model& model() const { return *model_; }

 private:
  std::unique_ptr<Model> model_;
};

// TrainingOptions::l2sp_strength acts on what starts at weights of a source: fine_tune, and probe with the source's own
// head. scratch, refine and a probe with a fresh head start at drawn weights and are trained as if it were 0.

/// A network of the options' model, from random initialisation, on the target alone.
Fitted scratch(const data::Dataset& train, const TrainingOptions& training, const StrategyOptions& options = {});
/// A linear head on the source's frozen features.
Fitted probe(const FrozenSource& source, const data::Dataset& train, const TrainingOptions& training,
             const StrategyOptions& options = {});
/// All parameters of the source go on training. Inputs are normalised as the source's are, with its numbers where it
/// has some: its weights expect them.
Fitted fine_tune(const FrozenSource& source, const data::Dataset& train, const TrainingOptions& training,
                 const StrategyOptions& options = {});
/// REFINE (Xu, Nakada, Zhang and Li 2025, arXiv 2505.11771): logits = W [h(x); f_1(x); ...; f_K(x)] + b. h, the
/// residual encoder, has the scratch model's trunk and initial weights; dropout (the model's, 0.5 for paper_cnn) acts
/// on h(x) alone and only while training; f_k are frozen. Without sources it is `scratch`.
Fitted refine(const std::vector<FrozenSource>& sources, const data::Dataset& train, const TrainingOptions& training,
              const StrategyOptions& options = {});
/// By name. probe and fine-tune take exactly one source: throws ValueError for several.
Fitted fit(const std::string& strategy, const std::vector<FrozenSource>& sources, const data::Dataset& train,
           const TrainingOptions& training, const StrategyOptions& options = {});

/// Scores of a fitted model on labelled data.
Scores evaluate(const Fitted& fitted, const data::Dataset& test, FeatureCache* cache = nullptr);

}  // namespace rtl::transfer
