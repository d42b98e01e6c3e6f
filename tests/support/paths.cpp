#include "support/paths.hpp"

namespace rtl::test {

std::string source_folder() { return RTL_SOURCE_DIR; }
std::string binary_folder() { return RTL_BINARY_DIR; }

}  // namespace rtl::test
