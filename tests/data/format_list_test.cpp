// Formats: every file of src/data/formats is listed, and describes itself whole.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "data/format.hpp"
#include "data/format_options.hpp"
#include "rtl/core/error.hpp"
#include "support/documents.hpp"
#include "support/paths.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using Names = std::vector<std::string>;

TEST(FormatList, HasEveryFile) {
  Names files, kinds;
  for (const auto& entry : std::filesystem::directory_iterator(test::source_folder() + "/src/data/formats")) {
    files.push_back(entry.path().stem().string());
  }
  std::sort(files.begin(), files.end());
  for (const Format* format : formats::all()) kinds.push_back(format->kind.name);
  EXPECT_EQ(kinds, files) << "a format is called as its file";
  EXPECT_GE(files.size(), 7u);
  ASSERT_EQ(spec_kinds().size(), kinds.size());
  for (std::size_t i = 0; i < kinds.size(); ++i) EXPECT_EQ(spec_kinds()[i].name, kinds[i]);
}

TEST(FormatList, IsWhatTheHeaderAndTheReadmeTell) {
  Names forms;
  for (const Format* format : formats::all()) {
    const SpecKind& kind = format->kind;
    const std::string row = "/// | " + kind.form() + " | ";
    test::expect_entry("include/rtl/data/load.hpp", "/// | ", row, row + kind.help + " |\n");
    forms.push_back("`" + kind.form() + "`");
  }
  test::expect_between("README.md", "A `SPEC` names a data set:\n", test::wrapped_list(forms, 0), ".\n");
}

void check_option(const SpecOption& option) {
  EXPECT_FALSE(option.name.empty());
  EXPECT_GE(option.help.size(), 10u) << "help is a line that says what it does, and what holds without it";
  EXPECT_EQ(option.help.find('\n'), std::string::npos);
  EXPECT_FALSE(option.values().empty());
  if (option.type == SpecValue::choice) {
    EXPECT_GE(option.choices.size(), 2u);
    EXPECT_EQ(std::set<std::string>(option.choices.begin(), option.choices.end()).size(), option.choices.size());
  } else {
    EXPECT_FALSE(option.placeholder.empty());
  }
  if (option.type == SpecValue::whole || option.type == SpecValue::number) {
    EXPECT_LT(option.least, option.most);
  }
}

TEST(FormatList, DescribesEveryOption) {
  for (const Format* format : formats::all()) {
    const SpecKind& kind = format->kind;
    SCOPED_TRACE(kind.name);
    EXPECT_GE(kind.help.size(), 10u);
    EXPECT_EQ(kind.path.empty(), kind.files == 0);
    EXPECT_NE(format->load, nullptr);
    std::set<std::string> names;
    for (const SpecOption& option : kind.options) {
      SCOPED_TRACE(option.name);
      check_option(option);
      EXPECT_TRUE(names.insert(option.name).second) << "described twice";
    }
    for (const SpecOption& shared : options::parts()) EXPECT_NE(kind.option(shared.name), nullptr) << shared.name;
    EXPECT_EQ(names.contains("test_fraction"), names.contains("seed") && names.contains("test") && kind.files > 0)
        << "the options of a test part come together";
    EXPECT_NE(spec_help().find("  " + kind.form()), std::string::npos);
  }
}

std::string value_of(const SpecOption& option) {
  switch (option.type) {
    case SpecValue::choice:
      return option.choices.back();
    case SpecValue::whole:
    case SpecValue::number:
      return fmt::format("{}", static_cast<std::int64_t>(option.least));
    case SpecValue::text:
    case SpecValue::list:
      return option.name == "prepare" ? "log1p" : option.name == "fields" ? "1-2,name:3" : "name";
    case SpecValue::files:
      return option.name == "weights" ? "file" : "other,file";
  }
  return {};
}

/// A SPEC of a kind with a value for one of its options, and those that it must have.
std::string spec_with(const SpecKind& kind, const SpecOption& option, const std::string& value) {
  const std::string file = kind.files == 0 ? "" : kind.files == 2 ? "x.npy,y.npy" : "file";
  std::string text = kind.name + ":" + file + "?" + option.name + "=" + value;
  for (const SpecOption& other : kind.options) {
    if (!other.required.empty() && other.name != option.name) text += "&" + other.name + "=" + value_of(other);
  }
  return text;
}

TEST(FormatList, ParsesWhatItDescribes) {
  for (const Format* format : formats::all()) {
    for (const SpecOption& option : format->kind.options) {
      const std::string text = spec_with(format->kind, option, value_of(option));
      SCOPED_TRACE(text);
      const Spec spec = Spec::parse(text);
      EXPECT_NO_THROW(check_data_set(spec));
      EXPECT_EQ(&format_of(spec), format);
      EXPECT_EQ(spec.files(option.name).empty(), option.type != SpecValue::files);
      if (option.type == SpecValue::choice || option.type == SpecValue::whole || option.type == SpecValue::number) {
        EXPECT_THROW((void)Spec::parse(spec_with(format->kind, option, "neither")), ValueError);
      }
    }
    EXPECT_THROW((void)Spec::parse(spec_with(format->kind, {.name = "nothing"}, "1")), ValueError);
    const std::string file = format->kind.files == 0 ? "" : "file";
    for (const SpecOption& option : format->kind.options) {
      if (option.required.empty()) continue;
      EXPECT_THROW(check_data_set(Spec::parse(format->kind.name + ":" + file)), ValueError) << option.name;
    }
  }
  EXPECT_THROW((void)format_of(Spec{.kind = "nothing", .path = {}, .options = {}}), ValueError);
}

TEST(StepList, HasEveryFileAndIsWhatTheHeaderTells) {
  const std::string header = test::content_of(test::source_folder() + "/include/rtl/data/preprocessing.hpp");
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::source_folder() + "/src/data/steps")) {
    files += entry.path().extension() == ".cpp" ? 1 : 0;
  }
  EXPECT_EQ(step_kinds().size(), files);
  std::string table = "| step | what becomes of the columns |\n|---|---|\n";
  for (const StepKind* kind : step_kinds()) {
    std::string begin = "/// - " + kind->name;
    begin += header.find("\n" + begin + "[:") != std::string::npos   ? "[:"
             : header.find("\n" + begin + ":K") != std::string::npos ? ":K"
                                                                     : ": ";
    test::expect_entry("include/rtl/data/preprocessing.hpp", "/// - ", begin, begin + kind->help + ".\n");
    table += fmt::format("| `{}` | {} |\n", kind->name, kind->help);
    EXPECT_GE(kind->help.size(), 10u);
    EXPECT_EQ(kind->help.find('|'), std::string::npos) << "it stands in a table";
    EXPECT_NO_THROW(check_step(kind->name));
  }
  test::expect_table("docs/cli.md", table);
  EXPECT_THROW(check_step("nothing"), ValueError);
}

TEST(FormatList, DescribesSharedOptionsOnce) {
  // The same option means the same wherever it has the same values, unless its help is the format's own.
  std::map<std::string, std::set<std::string>> helps;
  for (const Format* format : formats::all()) {
    for (const SpecOption& option : format->kind.options) {
      helps[option.name + "=" + option.values()].insert(option.help);
    }
  }
  for (const auto& group : {options::parts(), options::test_part(), options::target(), options::label_columns(),
                            options::table(), options::delimiter(), options::preparation()}) {
    for (const SpecOption& shared : group) {
      const std::string form = shared.name + "=" + shared.values();
      if (form == "seed=N") continue;  // of glyphs it draws the images
      EXPECT_EQ(helps[form], std::set<std::string>{shared.help}) << form;
    }
  }
}

}  // namespace
}  // namespace rtl::data
