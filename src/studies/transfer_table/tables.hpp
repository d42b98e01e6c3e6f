// The table's data sets beside those that studies share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "studies/transfer_table/material.hpp"

namespace rtl::studies::transfer_table {

/// wine, wine-classes, heart, amazon, sentences, office, digits and housing: a domain by its name. amazon and office
/// have 64 principal components of all the domain's rows for h.
Table read_table(const std::string& folder, const std::string& family, const std::string& domain);

/// One half of the cells, cell types from the genes that the source of `target` sees; the other half, regions.
Table cortex_source(const std::string& folder, const std::string& target);
Table cortex_target(const std::string& folder, const std::string& target);

/// A part of CIFAR-100: 2000 of its training images and 700 test images at most, test images last, with the labels of
/// the target: coarse, fine, vehicles or people (fine labels of two and of one of the coarse classes). Columns are
/// pixels, from 0 to 255, height by width by channels; h has 64 principal components of them.
Table cifar_table(const std::string& folder, const std::string& target);

/// Of all rows of a domain, [rows, count], centred, divided by one number so that their mean variance is 1.
std::vector<float> principal_components(const Domain& domain, std::int64_t count);

}  // namespace rtl::studies::transfer_table
