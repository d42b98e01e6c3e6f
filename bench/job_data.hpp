// Files that some jobs need: published models, and texts.
#pragma once

#include <string>

#include "rtl/core/tensor.hpp"

namespace rtl::bench {

/// In the folder that RTL_DATA names.
std::string lite0_file();
std::string sentences_file();
/// That RTL_MINILM names, or where scripts/fetch-minilm puts it.
std::string minilm_folder();

/// Which of them is not there, and what would help; empty where all are.
std::string lite0_missing();
std::string minilm_missing();

/// The first of a matrix, to compare with those of peers.
std::string first_numbers(const Tensor& matrix);

}  // namespace rtl::bench
