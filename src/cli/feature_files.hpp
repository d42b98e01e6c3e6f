// Files of precomputed features, a row a sample.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/model_spec.hpp"
#include "rtl/data/dataset.hpp"
#include "rtl/transfer/predictor.hpp"

namespace rtl::cli {

/// Numbers of any type in a .npy file, [N, p] or [N], as f32 [N, p] on the host; of a .npz the array `array`, or its
/// only one. Throws FormatError naming file and row for NaN, infinity and what f32 cannot hold; UsageError for an
/// array of a file that is no .npz.
Tensor read_features(const std::string& file, const std::string& array = {});

/// A row for each sample of a part of the data set `spec`: `features` themselves where there are as many, or those of
/// the part where it is cut from a file with as many rows. Throws ValueError that says how many there are and how many
/// are needed, beginning with `what`.
Tensor rows_of_part(const std::string& what, Tensor features, const std::string& spec, const data::TrainTest& parts,
                    bool test);

/// Precomputed features of both parts of a target.
struct FeatureMatrices {
  std::string name;    ///< the file's, without ending
  Tensor train, test;  ///< f32 [samples, p] on the host

  /// Of target parts whose training part has lost its first `offset` samples.
  transfer::FrozenSource source(const data::TrainTest& target, std::int64_t offset) const;
};

/// Of features:FILE[?test=FILE]: rows as rows_of_part takes them, or without test= a row for each row of the file that
/// both parts are cut from. Throws ValueError that says how many rows there are and how many are needed.
FeatureMatrices read_feature_matrices(const ModelSpec& source, const std::string& spec, const data::TrainTest& parts);

/// Features that a source which is a network makes of other inputs than the target's: `seen` has as many samples in
/// each part, or both of its parts are the rows of the file that the target's are cut from. Throws ValueError for
/// others.
FeatureMatrices features_elsewhere(const transfer::FrozenSource& source, const data::TrainTest& seen,
                                   const std::string& spec, const data::TrainTest& parts);

/// Features that predict is given, by the names of the sources whose they are.
class GivenFeatures {
 public:
  /// Each NAME=FILE. Throws UsageError, also for a name given twice.
  explicit GivenFeatures(const std::vector<std::string>& arguments);

  std::vector<std::string> files() const;
  /// Reads them for the test part of the data. Throws UsageError for a name that none of the model's sources without a
  /// network has, and for sources that are missing, ValueError for other numbers of rows or columns.
  void read(const std::string& model, const std::vector<transfer::FrozenSource>& sources, const std::string& spec,
            const data::TrainTest& parts);
  /// Those read, and what `cache` finds for the others, on the test part, which must outlive it.
  transfer::FeatureLookup lookup(const data::Dataset& test, transfer::FeatureCache& cache) const;

 private:
  std::map<std::string, std::string> files_;
  std::map<std::string, std::shared_ptr<const transfer::FeatureTable>> tables_;
};

}  // namespace rtl::cli
