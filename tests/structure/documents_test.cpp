// Documents do not rot: their links lead somewhere, and the programs and scripts that they name exist.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "support/paths.hpp"

namespace {

namespace fs = std::filesystem;

const fs::path root = rtl::test::source_folder();

std::vector<fs::path> documents() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.path().extension() == ".md") files.push_back(entry.path());
  }
  for (const char* folder : {"docs", "examples", "bench", "tests"}) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (entry.path().extension() == ".md") files.push_back(entry.path());
    }
  }
  return files;
}

std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  std::vector<std::string> found;
  for (auto at = std::sregex_iterator(text.begin(), text.end(), expression); at != std::sregex_iterator(); ++at) {
    found.push_back((*at)[1].str());
  }
  return found;
}

TEST(Documents, LinksLeadSomewhere) {
  const auto files = documents();
  ASSERT_FALSE(files.empty());
  for (const auto& file : files) {
    for (const auto& link : matches(text_of(file), R"(\]\(([^)#\s]+)[^)]*\))")) {
      if (link.find("://") != std::string::npos || link.starts_with("mailto:")) continue;
      EXPECT_TRUE(fs::exists(file.parent_path() / link)) << fs::relative(file, root) << ": dead link " << link;
    }
  }
}

TEST(Documents, ScriptsThatAreNamedExist) {
  for (const auto& file : documents()) {
    for (const auto& script :
         matches(text_of(file), R"((?:^|[\s`(])((?:scripts|\.ci|bench)/[a-z][a-z_-]*)(?=[\s`).,;:]))")) {
      EXPECT_TRUE(fs::exists(root / script)) << fs::relative(file, root) << " names " << script;
    }
  }
}

}  // namespace
