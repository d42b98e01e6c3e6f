// Published networks as sources of the table: of images, and of texts.
#pragma once

#include <string>

#include "studies/transfer_table/material.hpp"

namespace rtl::studies::transfer_table {

/// Settings whose source is a file of weights, and not trained here.
bool is_published(const Setting& setting);
/// Its file: ResNet-20 and ResNet-56 of CIFAR-10, EfficientNet-Lite0, MiniLM, stories260K.
std::string checkpoint_of(const Folders& folders, const Setting& setting);
/// A target's rows as such a network sees them, and as h does: of images 64 principal components of the pixels, of
/// texts the mean of their words' GloVe vectors.
Table published_target(const Folders& folders, const Setting& setting);

}  // namespace rtl::studies::transfer_table
