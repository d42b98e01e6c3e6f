// Files of precomputed features, a row a sample.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/model_spec.hpp"
#include "rtl/data/dataset.hpp"
#include "rtl/transfer/predictor.hpp"

namespace rtl::cli {

/// Numbers of any type in a .npy file, [N, p] or [N], or a table (.csv, .tsv, plain or .gz), as f32 [N, p] on the host;
/// of a .npz the array `array`, or its only one. Throws FormatError naming file and row for NaN, infinity and what f32
/// cannot hold; UsageError for an array of a file that is no .npz.
Tensor read_features(const std::string& file, const std::string& array = {});

/// A row for each sample of a part of the data set `spec`: `features` themselves where there are as many, or those of
/// the part where it is cut from a file with as many rows. Throws ValueError that says how many there are and how many
/// are needed, beginning with `what`.
Tensor rows_of_part(const std::string& what, Tensor features, const std::string& spec, const data::TrainTest& parts,
                    bool test);

/// Precomputed features of both parts of a target.
struct FeatureMatrices {
  std::string name;                                  ///< the file's, without ending
  Tensor train, test;                                ///< f32 [samples, p] on the host
  Tensor source_data = {};                           ///< of the source's own samples, if they are given
  std::optional<transfer::FrozenSource> maker = {};  ///< which made them of other inputs
  data::FittedInputs maker_inputs = {};

  /// Of target parts whose training part has lost its first `offset` samples, and of the source's own samples.
  transfer::FrozenSource source(const data::TrainTest& target, std::int64_t offset, const data::Dataset& own) const;
};

/// Where the source's own samples are from, and what they are: --source-data, if it is given.
struct SourceSamples {
  std::string spec;
  const data::TrainTest* parts = nullptr;
};

/// Of features:FILE[?test=FILE&source=FILE]: rows as rows_of_part takes them, or without test= a row for each row of
/// the file that both parts are cut from; those of source= likewise for the training part of the source's own samples.
/// Throws ValueError that says how many rows there are and how many are needed, UsageError for source= without such
/// samples.
FeatureMatrices read_feature_matrices(const ModelSpec& source, const std::string& spec, const data::TrainTest& parts,
                                      const SourceSamples& own);

/// Features that a source which is a network makes of other inputs than the target's: `seen` has as many samples in
/// each part, or both of its parts are the rows of the file that the target's are cut from. The source's own samples,
/// if they are given, are such inputs. The source is kept as the maker. Throws ValueError for others.
FeatureMatrices features_elsewhere(const transfer::FrozenSource& source, const data::TrainTest& seen,
                                   const std::string& spec, const data::TrainTest& parts, const SourceSamples& own);

/// Features that predict is given, or makes of the sources' own inputs, by the names of the sources whose they are.
class GivenFeatures {
 public:
  /// Each NAME=FILE; `source_inputs` is a SPEC or empty. Throws UsageError, also for a name given twice.
  GivenFeatures(const std::vector<std::string>& arguments, std::string source_inputs);

  std::vector<std::string> files() const;
  /// Reads or makes them for the test part of the data. Throws UsageError for a name that none of the model's sources
  /// without a network has, for sources that are missing, and for source inputs that no source looks at; ValueError for
  /// other numbers of rows or columns.
  void read(const std::string& model, const std::vector<transfer::FrozenSource>& sources, const std::string& spec,
            const data::TrainTest& parts, const Device& device);
  /// Those read, and what `cache` finds for the others, on the test part, which must outlive it.
  transfer::FeatureLookup lookup(const data::Dataset& test, transfer::FeatureCache& cache) const;

 private:
  transfer::FeatureTable from_file(const std::string& name, const std::string& file, std::int64_t columns,
                                   const std::string& spec, const data::TrainTest& parts) const;
  /// Of the sources that have no file.
  void make(const std::string& model, const std::map<std::string, transfer::FrozenSource>& wanted,
            const std::string& spec, const data::TrainTest& parts, const Device& device);

  std::string source_inputs_;
  std::map<std::string, std::string> files_;
  std::map<std::string, std::shared_ptr<const transfer::FeatureTable>> tables_;
};

}  // namespace rtl::cli
