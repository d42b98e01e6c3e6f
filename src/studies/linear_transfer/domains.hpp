// Real data for linear transfer: families of domains that share features, read and made into matrices.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/core/device.hpp"

namespace rtl::studies::linear_transfer {

enum class Task : std::uint8_t {
  regression,   ///< scored by R^2
  two_classes,  ///< targets -1 and 1, scored by accuracy
  classes,      ///< one target a class, -1 or 1, scored by accuracy
};

/// Host matrices, row-major; NaN stands for a missing value in `x`.
struct Domain {
  std::string name;
  std::int64_t rows = 0, features = 0, outputs = 0;
  std::vector<float> x;   ///< [rows, features]
  std::vector<double> y;  ///< [rows, outputs]
  /// Rows beyond this are for testing only; `rows` if any row may be either.
  std::int64_t training_rows = 0;
  /// The first so many are fitted where the domain is a source.
  std::int64_t source_rows = 0;
  Task task = Task::regression;
};

/// One transfer: from a domain to another, with so many of the target's rows.
struct Pair {
  std::size_t source = 0, target = 0;
  std::vector<std::int64_t> sizes;
};

struct Family {
  std::string name;
  std::vector<Domain> domains;
  std::vector<Pair> pairs;
  bool scale_each_feature = true;  ///< by the source's deviations; otherwise all by one number
};

/// wine, heart, amazon, office and cifar100, read from the folder of data sets (its README describes the files). With
/// `quick`, few pairs and small samples. Features of cifar100 are those of the pretrained ResNet-20 and ResNet-56.
/// Throws as the readers do.
std::vector<std::string> family_names();
Family load_family(const std::string& name, const std::string& folder, bool quick, const Device& device);

/// wine, heart, amazon, office, housing, cortex, adult, myelin, race and aldolase, with every ordered pair of domains:
/// for 12, 15, 20, 25 and 30 rows; with `quick`, without amazon, and for 12 and 25.
std::vector<std::string> few_rows_family_names();
Family load_few_rows_family(const std::string& name, const std::string& folder, bool quick);

}  // namespace rtl::studies::linear_transfer
