// Real data for linear transfer: families of domains that share features, read and made into matrices.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/core/device.hpp"
#include "studies/real_domains.hpp"

namespace rtl::studies::linear_transfer {

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
