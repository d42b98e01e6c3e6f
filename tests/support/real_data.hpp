// Where tests find real data: RTL_DATA, or the folder shared/data beside the sources.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "support/paths.hpp"

namespace rtl::test {

/// The path of a file or folder of the real data, whether it exists or not.
inline std::string real_data(const std::string& name) {
  const char* given = std::getenv("RTL_DATA");
  return (given != nullptr ? given : source_folder() + "/../shared/data") + "/" + name;
}

}  // namespace rtl::test

/// For suites with "RealData" in their name, which run as one test a module (tests/CMakeLists.txt): ends the test as
/// skipped, saying why, if the real data lacks `name`.
#define RTL_NEEDS_REAL_DATA(name)                              \
  if (!std::filesystem::exists(rtl::test::real_data(name)))    \
  GTEST_SKIP() << "NOT TESTED: " << rtl::test::real_data(name) \
               << " is not there; set RTL_DATA to a folder that has it (docs/testing.md, Real data)"
