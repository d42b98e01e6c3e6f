// Tables as other programs write them: numbered headers, index columns, names that repeat, words for what is missing.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rtl/core/error.hpp"
#include "rtl/data/csv.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using test::TemporaryFolder;
using Names = std::vector<std::string>;

CsvTable read(const std::string& text, const CsvOptions& options = {}) {
  const TemporaryFolder folder;
  return read_csv(folder.write("t.csv", text), options);
}

std::string fault_of(const std::string& text, const CsvOptions& options = {}) {
  try {
    read(text, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct HeaderCase {
  const char* text;
  bool header;
  bool noted;
};

TEST(CsvHeader, IsFoundByWhatStandsBelow) {
  const HeaderCase cases[] = {
      // Names that no value could be.
      {"a,b\n1,2\n", true, false},
      {"kind,x\na,1\n", true, false},
      {"kind\na\nb\na\n", true, false},
      {"x,2019,2020\n1,2,3\n", true, true},
      {"0,1,2,label\n0.1,0.2,0.9,ash\n0.3,0.4,0.8,elm\n", true, true},
      {"0,1,2,3\n0.1,0.2,0.3,ash\n0.1,0.2,0.4,elm\n", true, true},
      {",0,1\n0,0.5,0.6\n1,0.7,0.8\n", true, true},
      // pandas' 0, 1, 2, ..
      {"0,1,2\n0.5,1.5,2.5\n", true, true},
      {"0,1\n0.5,1.5\n", true, true},
      {"0\n0.5\n1.5\n", true, true},
      {"0,1,2,3\n0,1,1,0\n1,0,1,1\n", true, true},
      {"0,1,2\n5,7,9\n6,8,3\n", true, true},
      // Years, wavelengths.
      {"2019,2020,2021\n0.5,1.5,2.5\n-0.5,0.25,1.0\n", true, true},
      {"1990,1991\n1,2\n", true, true},
      // Rows, for certain.
      {"5.1,3.5,setosa\n4.9,3.0,setosa\n", false, false},
      {"39,77516,State\n50,83311,State\n", false, false},
      {"63.0,1.0,145.0\n67.0,1.0,160.0\n", false, false},
      {"5,3,1\n4,2,8\n", false, false},
      {"1,1,2\n0.5,0.5,0.5\n0.1,0.2,0.3\n", false, false},
      {"30,64,1,1\n30,62,3,1\n", false, false},
      {"?,1\n2,3\n", false, false},
      {"007,1.0\n5,2.5\n6,1.5\n", false, false},
      // Rows, as was assumed.
      {"0,1\n1,0\n1,1\n0,0\n", false, true},
      {"0\n1\n1\n0\n", false, true},
      {"5\n0.5\n2.5\n", false, true},
      {"1,2,3\n4,5,6\n7,8,9\n", false, true},
      {"a\nb\na\n", false, true},
  };
  for (const HeaderCase& c : cases) {
    SCOPED_TRACE(c.text);
    CsvOptions options;
    if (contains(c.text, "ash") || contains(c.text, "elm")) options.label = "4";
    if (contains(c.text, "setosa") || contains(c.text, "State")) options.label = "3";
    if (contains(c.text, "a\nb\na")) options.label = "1";
    if (contains(c.text, "kind,x")) options.label = "kind";
    if (std::string(c.text).starts_with(",0,1")) options.drop = {"1"};
    const CsvTable table = read(c.text, options);
    EXPECT_EQ(table.header, c.header);
    EXPECT_EQ(table.notes.size(), c.noted ? 1u : 0u);
    if (c.noted) {
      EXPECT_TRUE(contains(table.notes[0], c.header ? "header=no" : "header=yes")) << table.notes[0];
    }
    const auto lines = static_cast<std::int64_t>(std::count(c.text, c.text + std::string(c.text).size(), '\n'));
    EXPECT_EQ(table.rows(), lines - (c.header ? 1 : 0));
    options.header = c.header ? CsvHeader::present : CsvHeader::absent;
    EXPECT_TRUE(read(c.text, options).notes.empty()) << "nothing is assumed then";
  }
}

TEST(CsvHeader, OptionDecides) {
  const std::string text = "0,1\n0.5,1.5\n2.5,3.5\n";
  EXPECT_EQ(read(text, {.header = CsvHeader::present}).columns, (Names{"0", "1"}));
  EXPECT_EQ(read(text, {.header = CsvHeader::absent}).rows(), 3);
  EXPECT_EQ(read("5\n0.5\n2.5\n", {.header = CsvHeader::present}).columns, (Names{"5"}));
}

TEST(CsvColumns, AnIndexIsTold) {
  const std::string pandas = ",0,1,label\n0,0.1,0.2,ash\n1,0.3,0.4,elm\n2,0.5,0.6,ash\n";
  const std::string fault = fault_of(pandas, {.label = "label"});
  EXPECT_TRUE(contains(fault, "the first column has no name and counts the rows (0, 1, ..)")) << fault;
  EXPECT_TRUE(contains(fault, "drop=1 takes it out")) << fault;
  const CsvTable without = read(pandas, {.label = "label", .drop = {"1"}});
  EXPECT_EQ(without.columns, (Names{"0", "1"})) << "the column without a name is number 1, not the one called 1";
  EXPECT_EQ(without.classes, (Names{"ash", "elm"}));
  EXPECT_EQ(read(pandas, {.label = "label", .drop = {"1", "#3"}}).columns, (Names{"0"}));
  EXPECT_EQ(read(pandas, {.columns = {"1", "#2"}}).columns, (Names{"#1", "0"})) << "asked for, it is a feature";
  EXPECT_TRUE(contains(fault_of(",x\n17,0.1\n4,0.3\n9,0.5\n"), "another whole number in each row"));
  EXPECT_TRUE(contains(fault_of("Unnamed: 0,x\n0,0.1\n1,0.3\n"), "has no name and counts the rows"));
  EXPECT_TRUE(contains(fault_of("\"\",\"x\"\n\"1\",0.1\n\"2\",0.3\n"), "counts the rows")) << "as R writes it";
  EXPECT_EQ(read(",x\n1,0.1\n1,0.3\n").columns.size(), 2u) << "values that repeat are no index";
  EXPECT_EQ(read("0,1\n2,3\n", {.header = CsvHeader::absent}).columns.size(), 2u);
}

TEST(CsvColumns, NamesGoBeforeNumbers) {
  const std::string text = "3,1,label\n0.5,1.5,a\n2.5,3.5,b\n";
  const CsvOptions present{.header = CsvHeader::present, .label = "label", .columns = {"1"}};
  const CsvTable table = read(text, present);
  EXPECT_EQ(table.columns, (Names{"1"}));
  EXPECT_EQ(table.values.to_vector<double>(), (std::vector<double>{1.5, 3.5}));
  ASSERT_EQ(table.notes.size(), 1u);
  EXPECT_TRUE(contains(table.notes[0], "'1' was taken for the column of that name, number 2; number 1 is #1"));
  EXPECT_EQ(read(text, {.header = CsvHeader::present, .columns = {"#1"}}).columns, (Names{"3"}));
  EXPECT_EQ(read(text, {.header = CsvHeader::present, .label = "label", .columns = {"2"}}).columns, (Names{"1"}))
      << "the number where no column has that name";
  EXPECT_TRUE(contains(fault_of(text, {.header = CsvHeader::present, .label = "#4"}),
                       "there is no column '#4'; there are 3, 1, label"));
}

TEST(CsvColumns, OfOneNameAreTakenByNumber) {
  const std::string text = "x,x,kind\n1,2,ash\n3,4,elm\n";
  EXPECT_TRUE(contains(fault_of(text, {.label = "kind"}), "two columns are called 'x', numbers 1 and 2"));
  EXPECT_TRUE(contains(fault_of(text, {.label = "x"}), "2 columns are called 'x'; give its number, one of 1, 2"));
  EXPECT_EQ(read(text, {.label = "kind", .drop = {"2"}}).values.to_vector<double>(), (std::vector<double>{1, 3}));
  const CsvTable both = read(text, {.label = "kind", .columns = {"1", "2"}});
  EXPECT_EQ(both.columns, (Names{"x", "x.1"}));
  EXPECT_EQ(both.values.to_vector<double>(), (std::vector<double>{1, 2, 3, 4}));
  EXPECT_EQ(read("kind,x,kind\n1,2,a\n3,4,b\n", {.label = "3"}).columns, (Names{"kind", "x"}));
}

TEST(CsvMissing, RowsLeftOutAreCounted) {
  const std::string text = "a,b,kind\n1,2,ash\n3,,elm\n5,6,\n7,NA,elm\n9,1,ash\n?,2,elm\n3,3,ash\n";
  const CsvTable table = read(text, {.label = "kind", .missing = CsvMissing::drop});
  EXPECT_EQ(table.rows(), 3);
  EXPECT_EQ(table.lines, (std::vector<std::int64_t>{2, 6, 8}));
  ASSERT_EQ(table.notes.size(), 1u);
  EXPECT_EQ(table.notes[0],
            "4 of 7 rows were left out: line 3, b is empty; line 4, kind is empty; line 5, b is NA; and 1 "
            "more");
  ASSERT_EQ(table.left_out.size(), 4u);
  EXPECT_EQ(table.left_out[3].line, 7);
  EXPECT_EQ(read(text, {.label = "kind", .drop = {"b"}, .missing = CsvMissing::drop}).notes[0],
            "2 of 7 rows were left out: line 4, kind is empty; line 7, a is ?");
  EXPECT_EQ(describe_left_out({{4, "kind", ""}}, 7), "1 of 7 rows was left out: line 4, kind is empty");
  EXPECT_TRUE(
      contains(fault_of(text, {.label = "kind", .missing = CsvMissing::error}), "line 3: column 'b' has no value"));
  EXPECT_TRUE(contains(fault_of(text, {.label = "kind", .drop = {"a", "b"}, .missing = CsvMissing::error}),
                       "line 4: the label (column 'kind') is missing; missing=drop leaves such rows out"));
  EXPECT_TRUE(contains(fault_of("a,k\n,x\n,y\n", {.label = "k", .missing = CsvMissing::drop}),
                       "has no row without a missing value (2 of 2 rows were left out"));
}

TEST(CsvMissing, ARowOfEmptyFieldsIsNoBlankLine) {
  for (const char* text : {"a,b,kind\n1,2,ash\n\n,,\n3,4,elm\n", "a\tb\tkind\n1\t2\tash\n \n\t\t\n3\t4\telm\n"}) {
    const std::string fault = fault_of(text, {.label = "kind", .missing = CsvMissing::error});
    EXPECT_TRUE(contains(fault, "line 4: column 'a' has no value")) << fault;
    const CsvTable table = read(text, {.label = "kind", .missing = CsvMissing::drop});
    EXPECT_EQ(table.rows(), 2) << text;
    ASSERT_EQ(table.left_out.size(), 1u) << text;
    EXPECT_EQ(table.left_out[0].line, 4) << text;
  }
}

TEST(CsvMissing, WordsCanBeClasses) {
  const std::string text = "a,b,kind\n1,2,NA\n3,NA,EU\n5,6,NA\n7,8,EU\n";
  const std::string fault = fault_of(text, {.label = "kind"});
  EXPECT_TRUE(contains(fault, "line 2: the label (column 'kind') is 'NA', which counts as missing")) << fault;
  EXPECT_TRUE(contains(fault, "na=")) << fault;
  EXPECT_EQ(read(text, {.label = "kind", .classes = {"EU", "NA"}}).labels, (std::vector<std::int32_t>{1, 0, 1, 0}));
  const CsvTable kept = read(text, {.label = "kind", .drop = {"b"}, .missing_words = {}});
  EXPECT_EQ(kept.classes, (Names{"EU", "NA"}));
  EXPECT_TRUE(contains(fault_of("a\n1\n-\n"), "'-' is no number"));
  EXPECT_EQ(read("a\n1\n-\nNone\n", {.missing = CsvMissing::drop, .missing_words = {"-", "none"}}).rows(), 1);
}

TEST(CsvLabels, AreTexts) {
  const std::string codes = "a,code\n1,1e3\n3,1000\n5,007\n7,7\n";
  const CsvTable four = read(codes, {.label = "code"});
  EXPECT_EQ(four.classes, (Names{"007", "7", "1000", "1e3"}));
  ASSERT_EQ(four.notes.size(), 1u);
  EXPECT_TRUE(contains(four.notes[0], "two classes, though one number; labels=number")) << four.notes[0];
  EXPECT_EQ(read(codes, {.label = "code", .labels = CsvLabels::number}).classes, (Names{"7", "1000"}));
  const std::string ids = "a,id\n1,9007199254740993\n3,9007199254740992\n5,9007199254740993\n7,-10\n8,-9\n";
  EXPECT_EQ(read(ids, {.label = "id"}).classes, (Names{"-10", "-9", "9007199254740992", "9007199254740993"}));
  EXPECT_TRUE(read(ids, {.label = "id"}).notes.empty());
  EXPECT_TRUE(contains(fault_of(ids, {.label = "id", .labels = CsvLabels::number}), "too large to be told"));
  EXPECT_TRUE(contains(fault_of("a,k\n1,x\n", {.label = "k", .labels = CsvLabels::number}), "'x' is no number"));
}

TEST(CsvLabels, OfAnotherFileAreTold) {
  const std::string fault = fault_of("a,k\n1,3.0\n", {.label = "k", .classes = {"3", "4"}});
  EXPECT_TRUE(contains(fault, "line 2: the label '3.0' is none of the classes 3, 4; it is the same number as '3'"));
  EXPECT_TRUE(contains(fault, "labels=number")) << fault;
  EXPECT_EQ(read("a,k\n1,3.0\n", {.label = "k", .classes = {"3", "4"}, .labels = CsvLabels::number}).labels[0], 0);
  EXPECT_TRUE(
      contains(fault_of("a,k\n1,elm\n", {.label = "k", .classes = {"ash", "a,b"}}),
               "'elm' is none of the classes ash, a,b; classes= names all that there are: classes=ash,a%2Cb,elm"));
}

TEST(CsvLabels, FractionsAreNoClasses) {
  const std::string text = "a,price\n1,3\n2,3.75\n3,4\n";
  EXPECT_TRUE(contains(fault_of(text, {.label = "price"}), "line 3: the label '3.75' is a number with a fraction"));
  EXPECT_EQ(read(text, {.label = "price", .labels = CsvLabels::text}).classes, (Names{"3", "3.75", "4"}));
  EXPECT_EQ(read(text, {.label = "price", .classes = {"3", "3.75", "4"}}).labels, (std::vector<std::int32_t>{0, 1, 2}));
  std::string many = "a,id\n";
  for (int i = 0; i < 30; ++i) many += fmt::format("0.5,{}\n", i);
  ASSERT_EQ(read(many, {.label = "id"}).notes.size(), 1u);
  EXPECT_TRUE(contains(read(many, {.label = "id"}).notes[0], "30 classes in 30 rows"));
}

}  // namespace
}  // namespace rtl::data
