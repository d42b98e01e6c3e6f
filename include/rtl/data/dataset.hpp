// A data set on one device, in memory or in files: samples with class labels, with real targets, or with neither.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/data/fitted_inputs.hpp"
#include "rtl/data/normalization.hpp"
#include "rtl/data/sparse_rows.hpp"

namespace rtl::data {

/// Samples and, where there are any, what is to be predicted from them. Inputs are u8 images [N, H, W, C], f32 vectors
/// [N, p], or i32 tokens [N, T] in [0, vocabulary), sequences that are filled up at their ends with -1. Vectors of
/// which most elements are zero may be `sparse` in place of `inputs`: memory goes with what is not zero, batches are
/// made dense as they are taken, and everything gives the same as for the dense vectors. For classification `labels`
/// are i32 [N] in [0, classes); for regression `targets` are f32 [N, outputs], `classes` is 0, and there are no labels.
/// A data set without either serves whatever needs none (features, logits, predictions); the rest throws ValueError.
/// On hosts inputs may lie in files (Tensor::in_file), and need no memory then; what is made of them does so from
/// in_memory_limit() on.
struct Dataset {
  Tensor inputs;
  Tensor labels;
  std::int64_t classes = 0;
  std::vector<std::string> class_names;  ///< empty if the source has none
  std::string name;                      ///< the spec or file it came from
  Tensor targets = {};
  std::vector<std::string> target_names = {};  ///< one for each output; empty if the source has none
  /// How the inputs were made of what was read; models that are fitted keep it.
  FittedInputs fitted = {};
  /// f32 [N], none negative and not all 0: how much each sample counts in training (the usual loss, ridge heads); only
  /// their ratios matter. Not defined where all count alike. Scores count every sample alike.
  Tensor weights = {};
  std::int64_t vocabulary = 0;  ///< of tokens; 0 of other inputs
  SparseRows sparse = {};       ///< vectors [N, p], `inputs` being undefined then

  std::int64_t size() const { return is_sparse() ? sparse.rows() : inputs.rank() > 0 ? inputs.extent(0) : 0; }
  bool is_sparse() const { return sparse.defined(); }
  /// Where the inputs are. Throws DeviceError if there are none.
  const Device& device() const { return is_sparse() ? sparse.device() : inputs.device(); }
  std::size_t input_bytes() const { return is_sparse() ? sparse.bytes() : inputs.bytes(); }
  bool has_labels() const { return labels.defined(); }
  bool is_regression() const { return targets.defined(); }
  /// Whether there is something to be predicted: labels or real targets.
  bool has_targets() const { return has_labels() || is_regression(); }
  /// How many numbers a network gives for a sample: the classes, or the columns of `targets`.
  std::int64_t outputs() const { return targets.rank() == 2 ? targets.extent(1) : classes; }
  bool has_images() const { return inputs.rank() == 4; }
  bool has_tokens() const { return inputs.dtype() == DType::i32; }
  /// Shape of one sample.
  Shape sample_shape() const;
  /// The rows in the given order (they may repeat). Throws ValueError for a row outside.
  Dataset subset(std::span<const std::int64_t> rows) const;
  Dataset clone() const;
  /// A copy on another device.
  Dataset to(const Device& device) const;
  /// All but inputs, labels, targets and weights.
  Dataset without_tensors() const;
  /// The weights, of mean 1; empty where all samples count alike. Throws ValueError for weights below 0, that are not
  /// finite, or all 0.
  std::vector<float> mean_one_weights() const;
  /// Throws ValueError unless there are samples in one of the forms, with i32 labels, one for each, or f32
  /// targets, a row for each, or neither, and with f32 weights, one for each, or none. Looks at shapes and dtypes
  /// alone; every call that takes a data set begins with it.
  void check() const;
  /// Throws ValueError unless check() passes, there are labels or targets, every label is in range, f32 inputs and
  /// targets are finite, tokens are in the vocabulary with -1 behind them alone; and, if `for_training`, of classes at
  /// least two occur and there are at least as many samples as classes, of targets there are two samples and no output
  /// that is the same in all of them.
  void validate(bool for_training) const;
  /// Hash of the inputs' bytes and shape (not of labels or targets): the data part of a feature cache's key. Sparse
  /// rows have another than the same vectors that are dense.
  std::uint64_t input_hash() const;

 private:
  void check_inputs() const;
  void validate_tokens() const;
  void validate_labels(bool for_training) const;
  void validate_targets(bool for_training) const;
  [[noreturn]] void fail(const std::string& fault) const;
};

struct TrainTest {
  Dataset train;
  Dataset test;
  std::vector<std::string> columns = {};  ///< names of a table's columns, which are the features; empty elsewhere
  /// What a user should know of how the files were read, a sentence each that begins with the file: rows that were left
  /// out, and what was assumed where a file can be read in two ways.
  std::vector<std::string> notes = {};
  /// Where a part is some rows of its file, which row of the file each sample was, 0 being the first; rows that
  /// missing=drop leaves out do not count. Empty where the part is its file in whole. So rows of another file, of the
  /// same samples, are matched with these.
  std::vector<std::int64_t> train_rows = {}, test_rows = {};
};

/// Writes the network inputs of `rows` (i64 [m], in range) to out [m, ...sample], f32 or f64, on the data set's device:
/// gathers and normalises in one pass. For u8 images `scaling` has out's dtype (DTypeError otherwise); f32 vectors,
/// sparse ones too, and i32 tokens, for which out is i32, are gathered as they are.
void gather_inputs(const Dataset& dataset, ConstView rows, const ChannelScaling& scaling, View out);

}  // namespace rtl::data
