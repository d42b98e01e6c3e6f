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

/// So many training images and 700 test images at most, drawn once, test images last. Columns are pixels, from 0 to
/// 255, height by width by channels, of which h has 64 principal components; a network sees the images as they are. Of
/// CIFAR-100 with the labels of the target: coarse, fine, vehicles or people (fine labels of two and of one of the
/// coarse classes).
Table cifar100_table(const std::string& folder, const std::string& target, std::int64_t training_images);
/// cifar10 or fashion.
Table image_table(const std::string& folder, const std::string& target, std::int64_t training_images);

/// Of what is drawn once for the table: which cells are the source's, which images and texts are read.
inline constexpr std::uint64_t tables_seed = 20261129;
inline constexpr std::int64_t component_count = 64;
inline constexpr std::int64_t most_test_rows = 700;

/// Of all rows of a domain, [rows, count], centred, divided by one number so that their mean variance is 1.
std::vector<float> principal_components(const Domain& domain, std::int64_t count);

}  // namespace rtl::studies::transfer_table
