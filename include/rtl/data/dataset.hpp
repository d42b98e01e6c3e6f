// A labelled data set in memory, on one device.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/data/normalization.hpp"

namespace rtl::data {

/// Samples and, where there are any, their labels. Inputs are u8 images [N, H, W, C] or f32 vectors [N, p]; labels are
/// i32 [N] in [0, classes), or not defined: then whatever needs none (features, logits, predictions) works all the
/// same, and the rest throws ValueError.
struct Dataset {
  Tensor inputs;
  Tensor labels;
  std::int64_t classes = 0;
  std::vector<std::string> class_names;  ///< empty if the source has none
  std::string name;                      ///< the spec or file it came from

  std::int64_t size() const { return inputs.rank() > 0 ? inputs.extent(0) : 0; }
  bool has_labels() const { return labels.defined(); }
  bool has_images() const { return inputs.rank() == 4; }
  /// Shape of one sample.
  Shape sample_shape() const;
  /// The rows in the given order (they may repeat). Throws ValueError for a row outside.
  Dataset subset(std::span<const std::int64_t> rows) const;
  Dataset clone() const;
  /// Throws ValueError unless there are samples in one of the two forms and labels, if any, are i32, one for each.
  /// Looks at shapes and dtypes alone; every call that takes a data set begins with it.
  void check() const;
  /// Throws ValueError unless check() passes, there are labels, every label is in range, f32 inputs are finite; and, if
  /// `for_training`, at least two classes occur and there are at least as many samples as classes.
  void validate(bool for_training) const;
  /// Hash of the inputs' bytes and shape (not of the labels): the data part of a feature cache's key.
  std::uint64_t input_hash() const;

 private:
  [[noreturn]] void fail(const std::string& fault) const;
};

struct TrainTest {
  Dataset train;
  Dataset test;
  std::vector<std::string> columns = {};  ///< names of a table's columns, which are the features; empty elsewhere
  /// What a user should know of how the files were read, a sentence each that begins with the file: rows that were left
  /// out, and what was assumed where a file can be read in two ways.
  std::vector<std::string> notes = {};
};

/// Writes the network inputs of `rows` (i64 [m], in range) to out [m, ...sample], f32 or f64, on the data set's device:
/// gathers and normalises in one pass. For u8 images `scaling` has out's dtype (DTypeError otherwise); f32 vectors are
/// gathered as they are.
void gather_inputs(const Dataset& dataset, ConstView rows, const ChannelScaling& scaling, View out);

}  // namespace rtl::data
