// Arguments that name a data set or an architecture.
#pragma once

#include <string>

#include "rtl/data/load.hpp"

namespace rtl::cli {

/// Throws UsageError, naming the option, if `spec` is not a SPEC.
void check_data_spec(const std::string& option, const std::string& spec);

/// The architectures there are, for --help.
std::string model_help();

}  // namespace rtl::cli
