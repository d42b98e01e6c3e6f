// Linear models as files for rtl predict.
#pragma once

#include <string>

#include "cli/unseen_rows.hpp"

namespace rtl::cli {

/// Throws UsageError unless the name ends in .safetensors; an empty one is none.
void check_model_file(const std::string& option, const std::string& path);

/// The model X W + b, W [p, k], b [k], both f64, of rows that were made as `fitted` says: their columns' preparation
/// and classes are kept. `command` is what fitted it. Throws IoError.
void write_linear_model(const std::string& path, const std::string& command, const FittedRows& fitted,
                        const Tensor& coefficients, const Tensor& intercept);

}  // namespace rtl::cli
