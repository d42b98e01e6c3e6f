// Tables whose columns stand at fixed places: what is read, what is refused, and data sets of them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/data/csv.hpp"
#include "rtl/data/load.hpp"
#include "support/devices.hpp"
#include "support/gzip.hpp"
#include "support/random.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using test::TemporaryFolder;
using Names = std::vector<std::string>;
using Fields = std::vector<CsvField>;

std::vector<double> values_of(const CsvTable& table) { return table.values.to_vector<double>(); }

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Fixed, ReadsWhatStandsInItsFields) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.txt", "12345 ash-6.5e1\n  1 2 elm   +.5\n\n99999   x    7\n");
  const CsvTable table = read_csv(
      file, {.fields = {{"", 1, 3}, {"", 5, 5}, {"kind", 7, 9}, {"", 10, 15}}, .label = "kind", .drop = {"2"}});
  EXPECT_EQ(table.columns, (Names{"1", "4"}));
  EXPECT_EQ(values_of(table), (std::vector<double>{123, -65, 1, 0.5, 999, 7}));
  EXPECT_EQ(table.classes, (Names{"ash", "elm", "x"}));
  EXPECT_EQ(table.lines, (std::vector<std::int64_t>{1, 2, 4}));
  EXPECT_EQ(table.delimiter, '\0');
  EXPECT_FALSE(table.header);
}

TEST(Fixed, NamesAreGivenOrThoseOfTheFirstLine) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.txt", "size mass\n   1   2\n   3   4\n");
  const CsvTable own = read_csv(file, {.fields = {{"", 1, 4}, {"", 6, 9}}});
  EXPECT_TRUE(own.header);
  EXPECT_EQ(own.columns, (Names{"size", "mass"}));
  const CsvTable given = read_csv(file, {.fields = {{"weight", 1, 4}, {"", 6, 9}}});
  EXPECT_EQ(given.columns, (Names{"weight", "mass"}));
  EXPECT_EQ(values_of(given), (std::vector<double>{1, 2, 3, 4}));
  EXPECT_THROW(read_csv(file, {.fields = {{"weight", 1, 4}, {"", 6, 9}}, .label = "size"}), ValueError);
  const std::string bare = folder.write("bare.txt", "12\n34\n");
  const Fields fields = {{"2", 1, 1}, {"", 2, 2}};
  EXPECT_EQ(read_csv(bare, {.fields = fields}).columns, (Names{"2", "#2"})) << "a number that another is called";
  EXPECT_EQ(values_of(read_csv(bare, {.fields = fields, .columns = {"#2"}})), (std::vector<double>{2, 4}));
  EXPECT_EQ(values_of(read_csv(bare, {.fields = fields, .columns = {"#1"}})), (std::vector<double>{1, 3}));
}

TEST(Fixed, ReadsWhatWasWritten) {
  RandomSequence random(test::seed());
  for (const std::size_t columns : {std::size_t{1}, std::size_t{31}, std::size_t{1025}}) {
    Fields fields;
    std::vector<std::size_t> gaps;
    for (std::size_t c = 0; c < columns; ++c) {
      gaps.push_back(random.below(3));
      const std::int64_t first = (fields.empty() ? 0 : fields.back().last) + static_cast<std::int64_t>(gaps[c]) + 1;
      fields.push_back({fmt::format("c{}", c), first, first + 24 + static_cast<std::int64_t>(random.below(3))});
    }
    std::vector<double> values;
    std::string text;
    for (int row = 0; row < 33; ++row) {
      for (std::size_t c = 0; c < columns; ++c) {
        values.push_back(std::ldexp(random.normal(), static_cast<int>(random.below(80)) - 40));
        const std::string shown = fmt::format("{}", values.back());
        const auto width = static_cast<std::size_t>(fields[c].last - fields[c].first + 1);
        text += std::string(gaps[c], '#');
        text += random.below(2) == 0 ? fmt::format("{:<{}}", shown, width) : fmt::format("{:>{}}", shown, width);
      }
      text += row % 2 == 0 ? "\r\n" : "\n";
    }
    const TemporaryFolder folder;
    EXPECT_EQ(values_of(read_csv(folder.write("t.txt.gz", test::gzip(text)), {.fields = fields})), values);
  }
}

TEST(Fixed, LinesMayEndAnyhow) {
  const TemporaryFolder folder;
  const std::vector<double> values = {1, 2, 3, 4};
  int number = 0;
  for (const std::string text : {"1 2\n3 4\n", "1 2\r\n3 4\r\n", "1 2\n3 4", "1 2\r\n3 4\r", "\n  \n1 2\n \r\n3 4\n\n",
                                 "\xef\xbb\xbf"
                                 "1 2  \n3 4 behind all fields\n"}) {
    const std::string file = folder.write(fmt::format("{}.txt", number++), text);
    EXPECT_EQ(values_of(read_csv(file, {.fields = {{"", 1, 1}, {"", 3, 3}}})), values) << text;
  }
}

TEST(Fixed, WhatAShortLineLacksIsMissing) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.txt", "11 22 a\n33 4\n55\n66 77 b\n");
  CsvOptions options{
      .fields = {{"x", 1, 2}, {"y", 4, 5}, {"kind", 7, 8}}, .label = "kind", .missing = CsvMissing::drop};
  const CsvTable table = read_csv(file, options);
  EXPECT_EQ(values_of(table), (std::vector<double>{11, 22, 66, 77}));
  ASSERT_EQ(table.left_out.size(), 2U);
  EXPECT_EQ(table.left_out[0].line, 2);
  EXPECT_EQ(table.left_out[0].column, "kind");
  EXPECT_EQ(table.left_out[1].column, "y");
  options.label.clear();
  options.columns = {"x", "y"};
  options.missing = CsvMissing::keep;
  const std::vector<double> kept = values_of(read_csv(file, options));
  EXPECT_EQ(kept[3], 4) << "a field that the line ends in";
  EXPECT_TRUE(std::isnan(kept[5]));
}

TEST(Fixed, CountsCharactersAndTakesQuotesForSuch) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.txt", "\xc3\xa9t\xc3\xa9 1\n\xe2\x82\xac\xf0\x9f\x98\x80\" 2\nabc 3\n");
  const CsvTable table = read_csv(file, {.fields = {{"", 1, 3}, {"", 5, 5}}, .label = "1"});
  EXPECT_EQ(table.classes, (Names{"abc", "\xc3\xa9t\xc3\xa9", "\xe2\x82\xac\xf0\x9f\x98\x80\""}));
  EXPECT_EQ(values_of(table), (std::vector<double>{1, 2, 3}));
}

TEST(Fixed, RefusesWithFileLineAndFault) {
  struct Bad {
    std::string content;
    const char* fault;
  };
  const std::vector<Bad> files = {
      {"", "is empty"},
      {"\n \r\n", "is empty"},
      {"\xef\xbb\xbf", "is empty"},
      {"a  b\n", "has no row"},
      {"1  2\n\n3  x\n", "line 3, column '2' (characters 4 to 6): 'x' is no number"},
      {"1  2\n3  4 5\n", "line 2, column '2' (characters 4 to 6): '4 5' is no number; look whether the field begins"},
      {"1  inf\n", "line 1, column '2' (characters 4 to 6): 'inf' is no finite number"},
      {"1  2\n3\n", "line 2: column '2' has no value (characters 4 to 6); say missing=drop"},
      {"1  2\n3  ?\n", "line 2: column '2' has no value (characters 4 to 6) ('?' counts as missing)"},
      {"1  2\n3\t4\n", "line 2: holds a tab"},
      {"1  2\r3  4\r", "line 1: holds the control character 0x0D; lines end in LF or CRLF"},
      {"1  2\n\x1a", "line 2: holds the control character 0x1A"},
      {std::string("1  2\n3  4\0", 10), "line 2: holds a zero byte"},
      {"1  2\n3  \xff\n", "line 2, byte 4: 0xFF is no UTF-8"},
      {"1  2\n3  4   caf\xe9\n", "line 2, byte 11: 0xE9 is no UTF-8"},
      {"1  2\n3 \xe2\x82", "line 2, byte 3: 0xE2 is no UTF-8"},
      {"\xff\xfe", "UTF-16"},
      {"1  2\n" + std::string(200, ' ') + "\n", "line 2: is longer than the 100 bytes"},
      {"1  2\n" + std::string(101, '7'), "line 2: is longer than the 100 bytes"},
  };
  for (const Bad& bad : files) {
    SCOPED_TRACE(bad.content);
    const TemporaryFolder folder;
    const std::string file = folder.write("bad.txt", bad.content);
    try {
      read_csv(file, {.fields = {{"", 1, 2}, {"", 4, 6}}, .missing = CsvMissing::error, .longest_line = 100});
      ADD_FAILURE() << "no error";
    } catch (const FormatError& error) {
      EXPECT_EQ(error.file(), file);
      EXPECT_TRUE(contains(error.what(), bad.fault)) << error.what();
    }
  }
}

TEST(Fixed, RefusesFieldsThatAreNone) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.txt", "1 2\n");
  const std::vector<Fields> wrong = {{{"", 0, 1}},
                                     {{"", 2, 1}},
                                     {{"", 1, 2}, {"", 2, 3}},
                                     {{"", 3, 3}, {"", 1, 1}},
                                     {{"a", 1, 1}, {"a", 3, 3}},
                                     {{"", 1, (1 << 24) + 1}}};
  for (const Fields& fields : wrong) EXPECT_THROW(read_csv(file, {.fields = fields}), ValueError);
  EXPECT_THROW(read_csv(file, {.delimiter = ',', .fields = {{"", 1, 1}}}), ValueError);
  EXPECT_EQ(values_of(read_csv(file, {.fields = {{"", 1, 1}, {"", 2, 1 << 24}}})), (std::vector<double>{1, 2}));
}

std::string fault_of(const std::string& fields) {
  try {
    check_data_set(Spec::parse("fixed:nowhere.txt?label=" + fields));
  } catch (const ValueError& error) {
    return error.what();
  }
  return {};
}

TEST(Fixed, SpecsSayWhatIsWrongBeforeAFileIsRead) {
  const std::vector<std::pair<const char*, const char*>> wrongs = {
      {"", "say where the columns stand: fields=1-8,9-16"},
      {"&fields=", "fields=: has an empty name; give [NAME:]FIRST-LAST"},
      {"&fields=1-8,,", "has an empty name"},
      {"&fields=a", "fields=a: 'a' is no field; it is FIRST-LAST, such as 1-8"},
      {"&fields=1-8,9-", "'9-' is no field"},
      {"&fields=-8", "'-8' is no field"},
      {"&fields=1-2-3", "'1-2-3' is no field"},
      {"&fields=1 - 2", "'1 - 2' is no field"},
      {"&fields=:1-2", "':1-2' is no field"},
      {"&fields=a:", "'a:' is no field"},
      {"&fields=1:a", "'1:a' is no field"},
      {"&fields=0-8", "the field 0-8 is not within the characters 1 to 16777216"},
      {"&fields=1-16777217", "the field 1-16777217 is not within"},
      {"&fields=1-99999999999999999999", "is no field"},
      {"&fields=8-1", "the field 8-1 ends before it begins"},
      {"&fields=1-8,8-16", "the field 8-16 overlaps 1-8; give them in the order of the line"},
      {"&fields=9-16,1-8", "the field 1-8 stands before 9-16"},
      {"&fields=3,3", "the field 3 overlaps 3"},
      {"&fields=a:1,a:2", "two fields are called 'a'"},
      {"&fields=1&delimiter=tab", "has no option 'delimiter'"},
      {"&fields=1&target=real", "there are no labels for target="},
  };
  for (const auto& [fields, fault] : wrongs) {
    EXPECT_TRUE(contains(fault_of(fields), fault)) << fields << "\n" << fault_of(fields);
  }
  EXPECT_EQ(fault_of("&fields=1-8,x:9,a%2Cb:c:10-16777216"), "");
  const CsvOptions options = csv_options(Spec::parse("fixed:t?label=&fields=1-8,x:9,a%2Cb:c:10-11"));
  ASSERT_EQ(options.fields.size(), 3U);
  EXPECT_EQ(options.fields[1].name, "x");
  EXPECT_EQ(options.fields[1].last, 9);
  EXPECT_EQ(options.fields[2].name, "a,b:c");
  EXPECT_EQ(options.fields[2].first, 10);
  try {
    check_data_set(Spec::parse("fixed:t?fields=1"));
    ADD_FAILURE() << "no error";
  } catch (const ValueError& error) {
    EXPECT_TRUE(contains(error.what(), "say which column holds the classes or targets: label=NAME")) << error.what();
  }
}

/// The same table with delimiters and at fixed places: 40 rows of two numbers, a category, a class and a weight.
struct Pair {
  TemporaryFolder folder;
  std::string delimited = "csv:" + folder.write("t.csv", text(false, 40)) + "?";
  std::string fixed =
      "fixed:" + folder.write("t.txt", text(true, 40)) + "?fields=x:1-6,y:7-12,place:15-19,kind:20-22,w:24&";

  static std::string text(bool fixed, int rows) {
    std::string all = fixed ? "" : "x,y,place,kind,w\n";
    for (int i = 0; i < rows; ++i) {
      const double y = 0.25 * i - 3;
      const std::string x = i % 7 == 3 ? "" : fmt::format("{}", i);
      const char* place = i % 3 == 0 ? "coast" : "hill";
      const char* kind = i % 2 == 0 ? "ash" : "elm";
      all += fixed ? fmt::format("{:>6}{:<6}//{:>5}{}:{}\n", x, y, place, kind, 1 + i % 2)
                   : fmt::format("{},{},{},{},{}\n", x, y, place, kind, 1 + i % 2);
    }
    return all;
  }
};

void expect_equal(const Dataset& a, const Dataset& b) {
  EXPECT_EQ(a.inputs.to_vector<float>(), b.inputs.to_vector<float>());
  EXPECT_EQ(a.class_names, b.class_names);
  if (a.labels.defined()) {
    EXPECT_EQ(a.labels.to_vector<std::int32_t>(), b.labels.to_vector<std::int32_t>());
  }
  if (a.targets.defined()) {
    EXPECT_EQ(a.targets.to_vector<float>(), b.targets.to_vector<float>());
  }
  if (a.weights.defined()) {
    EXPECT_EQ(a.weights.to_vector<float>(), b.weights.to_vector<float>());
  }
}

TEST(Fixed, DataSetsAreThoseOfTheSameTableWithDelimiters) {
  const Pair pair;
  for (const Device& device : test::devices()) {
    for (const char* options :
         {"label=kind&missing=impute&weights=w&prepare=standardize", "label=y,w&target=real&missing=drop&drop=kind",
          "label=kind&columns=y,place&seed=3&limit=9", "label=&missing=impute&indicators=yes",
          "label=y&above=0&missing=drop&test_fraction=0&split=train"}) {
      SCOPED_TRACE(options);
      const TrainTest wanted = load(pair.delimited + options, device), found = load(pair.fixed + options, device);
      EXPECT_EQ(found.columns, wanted.columns);
      expect_equal(found.train, wanted.train);
      expect_equal(found.test, wanted.test);
      EXPECT_TRUE(found.train.inputs.device() == device);
    }
  }
}

TEST(Fixed, ModelsPrepareOtherFilesAsTheirOwn) {
  const Pair pair;
  const Device host = Device::cpu();
  const TrainTest parts = load(pair.fixed + "label=kind&missing=impute&drop=w", host);
  // The columns elsewhere, in another order.
  const std::string other = pair.folder.write("new.txt", "coast  1.5     4\n hill         5\n");
  const TrainTest found = load("fixed:" + other + "?label=&fields=place:1-5,y:7-12,x:13-16", host, parts.train.fitted);
  const std::string table = pair.folder.write("new.csv", "place,y,x\ncoast,1.5,4\nhill,,5\n");
  expect_equal(found.train, load("csv:" + table + "?label=", host, parts.train.fitted).train);
  EXPECT_EQ(found.train.size(), 2);
}

TEST(Fixed, ATestFileHasTheFieldsOfTheTrainingFile) {
  const Pair pair;
  const std::string test = pair.folder.write("test.txt", Pair::text(true, 5));
  const TrainTest parts = load(pair.fixed + "label=kind&missing=drop&test=" + test, Device::cpu());
  EXPECT_EQ(parts.train.size(), 34);
  EXPECT_EQ(parts.test.size(), 4);
  EXPECT_EQ(parts.test.class_names, (Names{"ash", "elm"}));
  const std::string ragged = pair.folder.write("ragged.txt", "     1 2.5\n");
  EXPECT_THROW(load(pair.fixed + "label=kind&test=" + ragged, Device::cpu()), FormatError);
  EXPECT_THROW(load("fixed:" + (pair.folder / "nowhere") + "?fields=1&label=", Device::cpu()), IoError);
}

}  // namespace
}  // namespace rtl::data
