// Files of precomputed features, a row a sample.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

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
