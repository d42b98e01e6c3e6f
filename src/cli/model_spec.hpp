// What `--source` and `--model` take: [ARCHITECTURE:]FILE[?normalize=..&layer=..], and `--source` also
// features:FILE[?test=FILE&source=FILE&x=NAME].
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rtl/data/dataset.hpp"
#include "rtl/data/load.hpp"
#include "rtl/transfer/source.hpp"

namespace rtl::cli {

/// What may stand behind normalize=, for help and errors.
inline constexpr const char* model_normalizations = "auto|half|imagenet|lite|cifar|none|standardize";

struct ModelSpec {
  std::optional<std::string> architecture;  ///< "resnet_cifar:20"
  std::string file;
  std::optional<data::Normalization> normalization;
  std::string layer;      ///< whose outputs are the features; empty for the penultimate ones
  bool features = false;  ///< the file holds features of the target's samples, and no model
  std::string test;       ///< file of those of the test part
  std::string source;     ///< file of those of the source's own samples
  std::string array;      ///< in a .npz

  /// What a file's name cannot hold, a '?' or in lists a comma, is written as in a URL; a file that is there under the
  /// very text is taken. Throws UsageError for an unknown or repeated option, an unknown normalisation, and for no
  /// file.
  static ModelSpec parse(const std::string& text);
};

/// Those with commas between, or the one file that is called so. Throws UsageError, naming the option, for an empty
/// part.
std::vector<ModelSpec> parse_model_list(const std::string& option, const std::string& text);

/// The file's name without folders and ending.
std::string stem(const std::string& path);

/// Loads a network and freezes it; its name has the layer, if there is one. Its input normalisation is
/// the spec's, else the file's, else what published checkpoints of its architecture expect.
/// A network of images whose file does not say how large they are gets those of `sample`, the shape of the data's.
/// Throws UsageError for features.
transfer::FrozenSource load_source(const ModelSpec& spec, const Device& device, Precision precision = Precision::f32,
                                   const std::optional<Shape>& sample = {});

/// How the inputs of samples that these sources are to see are made: columns are prepared as for the training rows of
/// those that are networks, and where nothing is, found by the names that all of these agree on; texts encoded as those
/// of the first that says how. Throws UsageError for two whose columns were prepared differently.
data::FittedInputs fitted_inputs_of(const std::vector<ModelSpec>& sources);

/// Comma-separated parts, blanks around them removed; none of an empty text. Throws UsageError, naming the option, for
/// an empty part.
std::vector<std::string> split_list(const std::string& option, const std::string& text);

}  // namespace rtl::cli
