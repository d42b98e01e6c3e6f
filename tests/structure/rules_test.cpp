// Rules that a compiler does not check: which level may include which, how long a file may be, and that rtl.hpp has
// everything.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "support/paths.hpp"

namespace {

namespace fs = std::filesystem;

const fs::path root = rtl::test::source_folder();

/// Level of each module, as in docs/architecture.md. Modules of one level do not include each other.
const std::map<std::string, int> levels = {{"core", 1},     {"kernels", 2}, {"io", 2},     {"dist", 2},  {"graph", 3},
                                           {"solvers", 3},  {"data", 3},    {"layers", 4}, {"optim", 4}, {"theory", 4},
                                           {"transfer", 5}, {"studies", 6}, {"cli", 7}};

std::vector<fs::path> source_files(const std::vector<std::string>& folders) {
  const std::set<std::string> endings = {".hpp", ".cpp", ".cu", ".cuh", ".h", ".inc"};
  std::vector<fs::path> files;
  for (const auto& folder : folders) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (entry.is_regular_file() && endings.contains(entry.path().extension().string())) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream stream(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string name_of(const fs::path& file) { return fs::relative(file, root).generic_string(); }

/// The module that owns include/rtl/<module>/.. or src/<module>/..; none for include/rtl/rtl.hpp.
std::optional<std::string> module_of(const std::string& name) {
  static const std::regex pattern("(?:include/rtl|src)/([a-z]+)/.*");
  std::smatch match;
  if (!std::regex_match(name, match, pattern)) return {};
  return match[1].str();
}

/// The module whose header an #include line names: "rtl/core/error.hpp" or a private "kernels/check.hpp".
std::optional<std::string> included_module(const std::string& line) {
  static const std::regex pattern(R"(\s*#\s*include\s*["<](?:rtl/)?([a-z]+)/[^">]*[">].*)");
  std::smatch match;
  if (!std::regex_match(line, match, pattern) || !levels.contains(match[1].str())) return {};
  return match[1].str();
}

bool may_include(const std::string& from, const std::string& to) {
  return from == to || levels.at(to) < levels.at(from);
}

TEST(Rules, LevelsUseOnlyLevelsBelow) {
  int includes = 0;
  for (const auto& file : source_files({"include", "src"})) {
    const auto name = name_of(file);
    const auto module = module_of(name);
    if (!module) continue;
    ASSERT_TRUE(levels.contains(*module))
        << name << ": unknown module; give it a level in docs/architecture.md and here";
    for (const auto& line : lines_of(file)) {
      const auto included = included_module(line);
      if (!included) continue;
      ++includes;
      EXPECT_TRUE(may_include(*module, *included)) << name << " (level " << levels.at(*module) << "): " << line;
    }
  }
  EXPECT_GT(includes, 50) << "the #include lines were not read";
}

TEST(Rules, LevelsRejectWhatTheyShould) {
  EXPECT_TRUE(may_include("transfer", "layers"));
  EXPECT_TRUE(may_include("data", "io"));
  EXPECT_FALSE(may_include("io", "data"));
  EXPECT_FALSE(may_include("core", "kernels"));
  EXPECT_FALSE(may_include("layers", "optim"));
  EXPECT_FALSE(may_include("studies", "cli"));
  EXPECT_FALSE(may_include("transfer", "studies"));
  EXPECT_EQ(included_module("#include \"rtl/layers/module.hpp\"").value_or(""), "layers");
  EXPECT_EQ(included_module("  #  include \"kernels/cpu/threads.hpp\"  // why").value_or(""), "kernels");
  EXPECT_FALSE(included_module("#include <sys/mman.h>").has_value());
}

TEST(Rules, TheLibraryKnowsNoCommandLine) {
  static const std::regex forbidden(R"(\s*#\s*include\s*[<"](CLI/|cli/|iostream|spdlog).*)");
  for (const auto& file : source_files({"include", "src"})) {
    const auto name = name_of(file);
    if (name.starts_with("src/cli/")) continue;
    for (const auto& line : lines_of(file)) EXPECT_FALSE(std::regex_match(line, forbidden)) << name << ": " << line;
  }
}

/// A study is a folder with an entry file, and knows nothing of the others.
TEST(Rules, StudiesStandAlone) {
  std::set<std::string> studies;
  for (const auto& entry : fs::directory_iterator(root / "src/studies")) {
    if (!entry.is_directory()) continue;
    studies.insert(entry.path().filename().string());
    EXPECT_TRUE(fs::exists(entry.path() / "study.cpp")) << entry.path() << ": nothing makes this study known";
  }
  EXPECT_FALSE(studies.empty());
  static const std::regex pattern(R"re(\s*#\s*include\s*"studies/([a-z_0-9]+)/.*)re");
  for (const auto& file : source_files({"src/studies"})) {
    const auto folder = file.parent_path().filename().string();
    for (const auto& line : lines_of(file)) {
      std::smatch match;
      if (!std::regex_match(line, match, pattern)) continue;
      EXPECT_EQ(match[1].str(), folder) << name_of(file) << ": " << line;
    }
  }
}

/// Scratch memory and results belong on the device that a call was given. `theory` is given none, nor are its studies.
TEST(Rules, TheLibraryTakesNoDefaultDevice) {
  static const std::regex forbidden(R"(.*\bDevice::(cpu\((0)?\)|preferred\(\)).*)");
  static const std::regex exempt("src/(cli|core|studies|theory)/.*");
  for (const auto& file : source_files({"src"})) {
    const auto name = name_of(file);
    if (std::regex_match(name, exempt)) continue;
    for (const auto& line : lines_of(file)) EXPECT_FALSE(std::regex_match(line, forbidden)) << name << ": " << line;
  }
}

TEST(Rules, FilesAreShort) {
  const auto files = source_files({"include", "src", "tests", "bench", "examples"});
  EXPECT_GT(files.size(), 50u);
  for (const auto& file : files) {
    const auto count = lines_of(file).size();
    EXPECT_LT(count, 500u) << name_of(file) << ": if a file needs a table of contents, it is two files";
  }
}

/// Formatted code: a function at namespace level, or within a class, ends with a brace in the column where it begins.
TEST(Rules, FunctionsAreShort) {
  static const std::regex other(
      "\\s*(namespace|class|struct|enum|union|switch|for|if|while|else|do|try)\\b.*|.*= *\\{");
  std::size_t functions = 0;
  for (const auto& file : source_files({"include", "src"})) {
    const auto lines = lines_of(file);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::size_t column = lines[i].find_first_not_of(' ');
      if (column > 2 || column == 1 || !lines[i].ends_with("{") || std::regex_match(lines[i], other)) continue;
      const std::string end = std::string(column, ' ') + "}";
      std::size_t last = i + 1;
      while (last < lines.size() && !lines[last].starts_with(end)) ++last;
      ++functions;
      EXPECT_LE(last - i + 1, 60u) << name_of(file) << ":" << i + 1 << ": " << lines[i];
    }
  }
  EXPECT_GT(functions, 1000u);
}

/// What is chosen by name stands in a table or a list that is made from files.
TEST(Rules, NoChainsOverNames) {
  static const std::regex branch(R"re(.*\belse if \(.*== ".*)re");
  for (const auto& file : source_files({"include", "src"})) {
    const auto lines = lines_of(file);
    const auto count =
        std::count_if(lines.begin(), lines.end(), [](const auto& line) { return std::regex_match(line, branch); });
    EXPECT_LT(count, 3) << name_of(file) << ": a chain of ifs over names; make it a table";
  }
}

TEST(Rules, HeadersSayWhatTheyAreFor) {
  for (const auto& file : source_files({"include"})) {
    const auto lines = lines_of(file);
    ASSERT_FALSE(lines.empty()) << name_of(file);
    EXPECT_TRUE(lines.front().starts_with("//")) << name_of(file) << ": begins without a word on what it is for";
    EXPECT_NE(std::find(lines.begin(), lines.end(), "#pragma once"), lines.end()) << name_of(file);
  }
}

/// A formatter that fills comments breaks the rows of a table that are too long for a line.
TEST(Rules, TablesInHeadersAreWhole) {
  static const std::regex row("\\s*//[/!]?\\s*\\|([^|].*|$)");  // a norm begins with two bars
  for (const auto& file : source_files({"include"})) {
    std::size_t columns = 0;
    for (const std::string& line : lines_of(file)) {
      if (!std::regex_match(line, row)) {
        columns = 0;
        continue;
      }
      const std::string text = line.substr(line.find('|'));
      // A bar without blanks beside it belongs to a list of values.
      static const std::regex edge("(^|\\s)\\|(?=\\s|$)");
      const bool ends = text.ends_with(" |") || text.ends_with("-|");
      EXPECT_TRUE(ends) << name_of(file) << ": " << line;
      if (text.starts_with("|--")) continue;
      const auto count = static_cast<std::size_t>(
          std::distance(std::sregex_iterator(text.begin(), text.end(), edge), std::sregex_iterator()));
      EXPECT_TRUE(columns == 0 || count == columns) << name_of(file) << ": " << line;
      columns = count;
    }
  }
}

TEST(Rules, TheUmbrellaHeaderHasEveryPublicHeader) {
  const auto lines = lines_of(root / "include/rtl/rtl.hpp");
  for (const auto& file : source_files({"include/rtl"})) {
    const auto name = fs::relative(file, root / "include").generic_string();
    if (name == "rtl/rtl.hpp") continue;
    EXPECT_NE(std::find(lines.begin(), lines.end(), fmt::format("#include \"{}\"", name)), lines.end())
        << name << " is missing in rtl/rtl.hpp";
  }
}

}  // namespace
