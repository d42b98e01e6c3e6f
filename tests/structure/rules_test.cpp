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

#include "support/documents.hpp"
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

/// Lines [first, last] of a file, numbered from 0.
struct Function {
  std::size_t first, last;
};

/// Formatted code: a function at namespace level, or within a class, ends with a brace in the column where it begins;
/// the lines of its signature behind the first are indented.
std::vector<Function> functions_of(const std::vector<std::string>& lines) {
  static const std::regex other(
      "\\s*(namespace|class|struct|enum|union|switch|for|if|while|else|do|try)\\b.*|.*= *\\{|\\s*[#/}].*");
  std::vector<Function> functions;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::size_t column = lines[i].find_first_not_of(' ');
    if (column > 2 || column == 1 || std::regex_match(lines[i], other)) continue;
    std::size_t opening = i;
    const auto open = [&] { return std::string("{;}").find(lines[opening].back()) == std::string::npos; };
    while (opening + 1 < lines.size() && open() && lines[opening + 1].starts_with(std::string(column + 1, ' '))) {
      ++opening;
    }
    if (!lines[opening].ends_with("{") || std::regex_match(lines[opening], std::regex(".*= *\\{"))) continue;
    const std::string end = std::string(column, ' ') + "}";
    std::size_t last = opening + 1;
    while (last < lines.size() && !lines[last].starts_with(end)) ++last;
    functions.push_back({i, last});
  }
  return functions;
}

TEST(Rules, FunctionsAreShort) {
  std::size_t functions = 0;
  for (const auto& file : source_files({"include", "src"})) {
    const auto lines = lines_of(file);
    for (const Function& function : functions_of(lines)) {
      ++functions;
      EXPECT_LE(function.last - function.first + 1, 60u)
          << name_of(file) << ":" << function.first + 1 << ": " << lines[function.first];
    }
  }
  EXPECT_GT(functions, 4000u);
}

TEST(Rules, FunctionsAreFoundWhateverTheirSignatures) {
  const std::vector<std::string> lines = {"int one(int a) {",
                                          "  return a;",
                                          "}",
                                          "int two(int a,",
                                          "        int b) {",
                                          "  return a + b;",
                                          "}",
                                          "Three::Three(int a)",
                                          "    : a_(a),",
                                          "      b_(a) {",
                                          "  run();",
                                          "}",
                                          "struct Four {",
                                          "  int five(",
                                          "      int a) const {",
                                          "    return a;",
                                          "  }",
                                          "};",
                                          "int declared(int a,",
                                          "             int b);",
                                          "const int table[] = {",
                                          "    1, 2};"};
  std::vector<std::size_t> first, last;
  for (const Function& function : functions_of(lines)) {
    first.push_back(function.first);
    last.push_back(function.last);
  }
  EXPECT_EQ(first, (std::vector<std::size_t>{0, 3, 7, 13}));
  EXPECT_EQ(last, (std::vector<std::size_t>{2, 6, 11, 16}));
}

/// What a function compares with literals of strings three times or more.
std::set<std::string> chains_over_names(const std::vector<std::string>& lines, const Function& function) {
  static const std::regex comparison(R"re(([A-Za-z_][\w.:]*(?:->[\w.]+|\(\)|\[[^\]]*\])*) [!=]= ")re");
  std::map<std::string, int> counts;
  for (std::size_t i = function.first; i <= function.last && i < lines.size(); ++i) {
    for (std::sregex_iterator found(lines[i].begin(), lines[i].end(), comparison), end; found != end; ++found) {
      ++counts[(*found)[1].str()];
    }
  }
  std::set<std::string> chains;
  for (const auto& [name, count] : counts) {
    if (count >= 3) chains.insert(name);
  }
  return chains;
}

/// What is chosen by name stands in a table or a list that is made from files.
TEST(Rules, NoChainsOverNames) {
  for (const auto& file : source_files({"include", "src"})) {
    const auto lines = lines_of(file);
    for (const Function& function : functions_of(lines)) {
      for (const std::string& name : chains_over_names(lines, function)) {
        ADD_FAILURE() << name_of(file) << ":" << function.first + 1 << ": a chain over the names of " << name
                      << "; make it a table";
      }
    }
  }
}

TEST(Rules, ChainsOverNamesAreFoundInEveryForm) {
  const auto chains = [](const std::vector<std::string>& body) {
    std::vector<std::string> lines = {"int f(const Row& row) {"};
    lines.insert(lines.end(), body.begin(), body.end());
    lines.emplace_back("}");
    const std::vector<Function> functions = functions_of(lines);
    return functions.size() == 1 ? chains_over_names(lines, functions[0]) : std::set<std::string>{"no function"};
  };
  using Names = std::set<std::string>;
  EXPECT_EQ(chains({R"(  if (row.name == "a") return 1;)", R"(  if (row.name == "b") return 2;)",
                    R"(  if (row.name != "c") return 3;)"}),
            (Names{"row.name"}));
  EXPECT_EQ(chains({R"(  return row.name == "a" ? 1 : row.name == "b" ? 2 : row.name == "c" ? 3 : 4;)"}),
            (Names{"row.name"}));
  EXPECT_EQ(chains({R"(  if (it->kind() == "a") {)", R"(  } else if (it->kind() == "b") {)",
                    R"(  } else if (it->kind() == "c") {)", "  }"}),
            (Names{"it->kind()"}));
  EXPECT_EQ(chains({R"(  return row.name == "a" || row.name == "b" || row.kind == "c";)"}), Names());
}

TEST(Rules, HeadersSayWhatTheyAreFor) {
  for (const auto& file : source_files({"include"})) {
    const auto lines = lines_of(file);
    ASSERT_FALSE(lines.empty()) << name_of(file);
    EXPECT_TRUE(lines.front().starts_with("//")) << name_of(file) << ": begins without a word on what it is for";
    const bool once = file.extension() == ".hpp";  // tables of rows are included several times
    EXPECT_EQ(std::find(lines.begin(), lines.end(), "#pragma once") != lines.end(), once) << name_of(file);
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
  std::string includes;
  for (const auto& file : source_files({"include/rtl"})) {
    const auto name = fs::relative(file, root / "include").generic_string();
    if (name.ends_with(".hpp") && name != "rtl/rtl.hpp") includes += fmt::format("#include \"{}\"\n", name);
  }
  rtl::test::expect_whole("include/rtl/rtl.hpp",
                          "// Everything a user of the library may call.\n#pragma once\n\n" + includes);
}

}  // namespace
