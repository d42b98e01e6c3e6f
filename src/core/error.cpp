#include "rtl/core/error.hpp"

namespace rtl {

FormatError::FormatError(const std::string& file, const std::string& fault) : Error(file + ": " + fault), file_(file) {}
IoError::IoError(const std::string& file, const std::string& fault) : Error(file + ": " + fault), file_(file) {}

}  // namespace rtl
