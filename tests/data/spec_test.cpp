// SPECs: what is parsed, what is refused, escapes, and that the documents list every kind and option.
#include "rtl/data/spec.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/data/csv.hpp"
#include "support/documents.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using test::TemporaryFolder;
using Names = std::vector<std::string>;

std::string fault_of(const std::string& text) {
  try {
    check_data_set(Spec::parse(text));
  } catch (const ValueError& error) {
    return error.what();
  }
  return {};
}

TEST(Spec, IsParsedIntoItsParts) {
  const Spec spec = Spec::parse("cifar100:some/folder?labels=coarse&limit=4");
  EXPECT_EQ(spec.kind, "cifar100");
  EXPECT_EQ(spec.path, "some/folder");
  EXPECT_EQ(spec.options, (std::map<std::string, std::string>{{"labels", "coarse"}, {"limit", "4"}}));
  EXPECT_EQ(spec.to_string(), "cifar100:some/folder?labels=coarse&limit=4");
  EXPECT_EQ(spec.whole("limit", 7), 4);
  EXPECT_EQ(spec.whole("offset", 7), 7);
  EXPECT_EQ(Spec::parse("glyphs:").path, "");
  EXPECT_EQ(Spec::parse("idx:a:b").path, "a:b");
  EXPECT_EQ(Spec::parse("npy:a,b?test_fraction=0.25").number("test_fraction", 0), 0.25);
}

TEST(Spec, ErrorsListWhatThereIs) {
  for (const char* wrong : {"", "cifar10", "cifar11:x", "cifar10:", "CIFAR10:x", "glyphs:path"}) {
    EXPECT_NE(fault_of(wrong).find("one of cells:DIR, cifar10:DIR, cifar100:DIR, csv:FILE, "), std::string::npos)
        << wrong;
  }
  struct Wrong {
    const char* spec;
    const char* fault;
  };
  const Wrong wrongs[] = {
      {"glyphs:?limit", "not option=value"},
      {"glyphs:?=4", "not option=value"},
      {"glyphs:?seed=1&seed=2", "twice"},
      {"cifar10:x?labels=fine", "has no option 'labels'; it has resize, crop, color, split, limit, offset"},
      {"cifar100:x?labels=medium", "labels=medium: choose one of fine, coarse"},
      {"glyphs:?split=both", "train, test"},
      {"glyphs:?limit=0", "limit=0: give a whole number from 1"},
      {"glyphs:?limit=5x", "whole number"},
      {"glyphs:?limit=99999999999999999999", "whole number"},
      {"glyphs:?domain=source&shift=none", "domain=source has none"},
      {"csv:t.csv?label=a&test_fraction=2", "give a number from 0 to 1"},
      {"csv:t.csv?label=a&test_fraction=nan", "give a number from 0 to 1"},
      {"csv:t.csv?label=a&test=u.csv&seed=1", "do not go with it"},
      {"csv:t.csv?drop=a", "which column holds the classes or targets"},
      {"csv:t.csv?label=a,,b", "has an empty name"},
      {"csv:t.csv?label=&target=real", "there are no labels for target="},
      {"csv:t.csv?label=&classes=a", "there are no labels for classes="},
      {"csv:t.csv?label=a&target=real&classes=b", "classes= is for classes"},
      {"csv:t.csv?label=a&target=number", "choose one of class, real"},
      {"svmlight:t?target=real&classes=1,2", "classes= is for classes"},
      {"npy:x.npy?target=real", "there are no labels for target="},
      {"npy:x.npy?label=a", "there is no second file for label="},
      {"npy:x.npy,y.csv?label=", "give X.npy alone for no labels"},
      {"npy:x.npy,y.npy?test=xt.npy", "the training part has labels and the other has none"},
      {"npy:x.npy?test=xt.npz", "the test part has labels and the other has none"},
      {"npy:x.npz,y.npy?y=", "a second file holds them"},
      {"npy:x.npy,", "give two files, X.npy,Y.npy"},
      {"csv:t.csv?label=a&drop=b,,c", "has an empty name"},
      {"csv:t.csv?label=a&header=maybe", "choose one of detect, yes, no"},
      {"csv:t.csv?label=a&decimal=comma&delimiter=comma", "cannot part both"},
      {"csv:t.csv?lable=a", "has no option 'lable'; it has label, "},
      {"svmlight:t?first_index=2", "choose one of 1, 0"},
      {"svmlight:t?dense_mib=0", "whole number"},
  };
  for (const Wrong& wrong : wrongs) {
    EXPECT_NE(fault_of(wrong.spec).find(wrong.fault), std::string::npos) << wrong.spec << "\n" << fault_of(wrong.spec);
  }
  EXPECT_EQ(fault_of("csv:t.csv?label=a&na="), "");
}

TEST(Spec, EscapesStandForCharacters) {
  EXPECT_EQ(decode_percent("a%3Fb%2cc%25%26"), "a?b,c%&");
  for (const char* literal : {"", "%", "100%", "%3", "%zz", "%-1", "a%+3b", "% 3"}) {
    EXPECT_EQ(decode_percent(literal), literal);
  }
  const Spec spec = Spec::parse("csv:a%3Fb.csv?label=x%26y&drop=p%2Cq,r");
  EXPECT_EQ(spec.file(), "a?b.csv");
  EXPECT_EQ(spec.text("label"), "x&y");
  EXPECT_EQ(spec.list("drop"), (Names{"p,q", "r"}));
  EXPECT_EQ(spec.to_string(), "csv:a%3Fb.csv?drop=p%2Cq,r&label=x%26y");
  RandomSequence random(811);
  for (int trial = 0; trial < 200; ++trial) {
    std::string name, written;
    for (std::uint64_t i = random.below(12); i > 0; --i) {
      name += static_cast<char>(1 + random.below(255));
      written += fmt::format("%{:02X}", static_cast<unsigned char>(name.back()));
    }
    EXPECT_EQ(decode_percent(written), name);
  }
}

TEST(Spec, FilesAreTakenAsTheyAreWritten) {
  const TemporaryFolder folder;
  EXPECT_EQ(decode_path(folder / "a%20b.csv"), folder / "a b.csv");
  folder.write("a%20b.csv", "");
  EXPECT_EQ(decode_path(folder / "a%20b.csv"), folder / "a%20b.csv");
  folder.write("a?b.csv", "");
  EXPECT_NE(fault_of("csv:" + (folder / "a?b.csv") + "?label=a").find("is written %3F"), std::string::npos);
  EXPECT_NE(fault_of("csv:" + (folder / "a?b.csv")).find("a%3Fb.csv"), std::string::npos);
}

TEST(Spec, TableOptionsAreRead) {
  const CsvOptions options = csv_options(
      Spec::parse("csv:t.csv?label=kind&columns=a,b&drop=c&classes=x,y&labels=number&missing=drop&na=none,-&header=no&"
                  "delimiter=blank&decimal=comma"));
  EXPECT_EQ(options.label, "kind");
  EXPECT_EQ(options.columns, (Names{"a", "b"}));
  EXPECT_EQ(options.drop, (Names{"c"}));
  EXPECT_EQ(options.classes, (Names{"x", "y"}));
  EXPECT_EQ(options.labels, CsvLabels::number);
  EXPECT_EQ(options.missing, CsvMissing::drop);
  EXPECT_EQ(options.missing_words, (Names{"none", "-"}));
  EXPECT_EQ(options.header, CsvHeader::absent);
  EXPECT_EQ(options.delimiter, ' ');
  EXPECT_EQ(options.decimal, ',');
  const CsvOptions plain = csv_options(Spec::parse("csv:t.csv"));
  EXPECT_EQ(plain.missing, CsvMissing::error);
  EXPECT_EQ(plain.missing_words, CsvOptions().missing_words);
  EXPECT_TRUE(csv_options(Spec::parse("csv:t.csv?na=")).missing_words.empty());
}

std::string in_table(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, 1, '\\');
  return text;
}

TEST(Spec, DocumentsListEveryKindAndOption) {
  const std::string help = spec_help();
  std::string kinds = "| SPEC | what it reads |\n|---|---|\n", options = "| option | of | |\n|---|---|---|\n";
  struct Row {
    std::string option, help;
    Names kinds;
  };
  std::vector<Row> rows;
  for (const SpecKind& kind : spec_kinds()) {
    kinds += fmt::format("| `{}` | {} |\n", kind.form(), kind.help);
    EXPECT_NE(help.find(kind.form()), std::string::npos);
    for (const SpecOption& option : kind.options) {
      const std::string form = option.name + "=" + option.values();
      EXPECT_NE(help.find("    " + form), std::string::npos) << form;
      const auto same = std::find_if(rows.begin(), rows.end(),
                                     [&](const Row& r) { return r.option == form && r.help == option.help; });
      if (same != rows.end()) {
        same->kinds.push_back(kind.name);
      } else {
        rows.push_back({form, option.help, {kind.name}});
      }
    }
  }
  for (const Row& row : rows) {
    const bool all = row.kinds.size() == spec_kinds().size();
    options += fmt::format("| `{}` | {} | {} |\n", in_table(row.option),
                           all ? "every kind" : fmt::format("{}", fmt::join(row.kinds, ", ")), in_table(row.help));
  }
  test::expect_table("docs/cli.md", kinds);
  test::expect_table("docs/cli.md", options);
}

}  // namespace
}  // namespace rtl::data
