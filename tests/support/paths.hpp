// Folders of this build. Compiled apart, so that the other test files do not depend on where the sources lie.
#pragma once

#include <string>

namespace rtl::test {

std::string source_folder();
std::string binary_folder();

}  // namespace rtl::test
