// Tables of text: values, names, classes, and what is refused.
#include "rtl/data/csv.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "support/gzip.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using test::TemporaryFolder;
using Names = std::vector<std::string>;

std::vector<double> values_of(const CsvTable& table) { return table.values.to_vector<double>(); }

TEST(Csv, ReadsNamesAndNumbers) {
  const TemporaryFolder folder;
  const CsvTable table = read_csv(folder.write("t.csv", "a,b b,c\n1,-2.5,3e2\n\n+4, .5 ,1e-400\n"));
  EXPECT_TRUE(table.header);
  EXPECT_EQ(table.delimiter, ',');
  EXPECT_EQ(table.columns, (Names{"a", "b b", "c"}));
  EXPECT_EQ(table.values.shape(), (Shape{2, 3}));
  EXPECT_EQ(values_of(table), (std::vector<double>{1, -2.5, 300, 4, 0.5, 0}));
  EXPECT_EQ(table.lines, (std::vector<std::int64_t>{2, 4}));
  EXPECT_TRUE(table.labels.empty());
  EXPECT_EQ(table.column("c"), 2);
  EXPECT_EQ(table.column("3"), 2) << "the number where no column has that name";
  EXPECT_THROW(table.column("d"), ValueError);
}

TEST(Csv, FindsDelimiterAndHeader) {
  const TemporaryFolder folder;
  const CsvTable semicolons = read_csv(folder.write("s.csv", "\"a,1\";\"b;2\"\r\n7.4;\"0.7\"\r\n"));
  EXPECT_EQ(semicolons.columns, (Names{"a,1", "b;2"}));
  EXPECT_EQ(values_of(semicolons), (std::vector<double>{7.4, 0.7}));
  const CsvTable tabs = read_csv(folder.write("t.csv", "1\t2\n3\t\n"));
  EXPECT_EQ(tabs.delimiter, '\t');
  EXPECT_FALSE(tabs.header);
  EXPECT_EQ(tabs.columns, (Names{"1", "2"}));
  EXPECT_EQ(tabs.values.shape(), (Shape{2, 2}));
  EXPECT_EQ(read_csv(folder.write("unnamed.csv", ",a\n0.5,5\n")).columns, (Names{"1", "a"}))
      << "a column without a name";
  EXPECT_EQ(read_csv(folder.write("colon.csv", "1:2\n"), {.delimiter = ':'}).values.extent(1), 2);
  const CsvTable blanks = read_csv(folder.write("b.csv", " a  b kind \n1  -2 ash\n 3 4\telm\r\n"), {.label = "kind"});
  EXPECT_EQ(blanks.delimiter, ' ');
  EXPECT_EQ(values_of(blanks), (std::vector<double>{1, -2, 3, 4}));
  EXPECT_EQ(blanks.classes, (Names{"ash", "elm"}));
  const CsvTable bars = read_csv(folder.write("bars.csv", "a|b\n1|2\n"));
  EXPECT_EQ(bars.delimiter, '|');
  EXPECT_EQ(read_csv(folder.write("one.csv", "the mass\n1\n2\n")).columns, (Names{"the mass"})) << "one column";
  EXPECT_EQ(values_of(read_csv(folder.write("forced.csv", "1 2\n3 4\n"), {.delimiter = ' '})),
            (std::vector<double>{1, 2, 3, 4}));
  EXPECT_EQ(values_of(read_csv(folder.write("mark.csv", "\xef\xbb\xbfx\n5"))), (std::vector<double>{5}));
}

TEST(Csv, MarksWhatIsMissing) {
  const TemporaryFolder folder;
  const CsvTable table = read_csv(folder.write("t.csv", "1,?,NA,n/a\nnan,,\"\",Null\n"));
  const std::vector<double> values = values_of(table);
  EXPECT_EQ(values[0], 1);
  for (std::size_t i = 1; i < values.size(); ++i) EXPECT_TRUE(std::isnan(values[i])) << i;
}

TEST(Csv, ReadsQuotesOverSeveralLines) {
  const TemporaryFolder folder;
  const CsvTable table =
      read_csv(folder.write("t.csv", "kind,x\n\"say \"\"a\"\",\nor b\",1\nc,2\n"), {.label = "kind"});
  EXPECT_EQ(table.classes, (Names{"c", "say \"a\",\nor b"}));
  EXPECT_EQ(table.labels, (std::vector<std::int32_t>{1, 0}));
  EXPECT_EQ(table.lines, (std::vector<std::int64_t>{2, 4})) << "where each row begins";
}

TEST(Csv, OrdersClasses) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.csv", "10,a,1\n9,b,2\n9,a,3\n");
  const CsvTable numbers = read_csv(file, {.label = "1", .drop = {"2"}});
  EXPECT_EQ(numbers.classes, (Names{"9", "10"}));
  EXPECT_EQ(numbers.labels, (std::vector<std::int32_t>{1, 0, 0}));
  EXPECT_EQ(numbers.columns, (Names{"3"}));
  EXPECT_EQ(values_of(read_csv(file, {.columns = {"3", "1"}})), (std::vector<double>{10, 1, 9, 2, 9, 3}))
      << "in the file's order";
  const CsvTable given = read_csv(file, {.label = "2", .classes = {"c", "b", "a"}});
  EXPECT_EQ(given.classes, (Names{"c", "b", "a"}));
  EXPECT_EQ(given.labels, (std::vector<std::int32_t>{2, 1, 2}));
  EXPECT_EQ(values_of(given), (std::vector<double>{10, 1, 9, 2, 9, 3}));
}

TEST(Csv, ReadsDecimalCommas) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.csv", "a;b;kind\n1,5;2,5;ash\n-3,25;4,0;elm\n1e2;7;elm\n");
  const CsvTable table = read_csv(file, {.label = "kind", .decimal = ','});
  EXPECT_EQ(values_of(table), (std::vector<double>{1.5, 2.5, -3.25, 4, 100, 7}));
  const std::string blanks = folder.write("b.csv", "a b\n1,5 2,5\n3,5 4,5\n");
  EXPECT_EQ(read_csv(blanks, {.decimal = ','}).delimiter, ' ') << "a comma is no delimiter then";
  EXPECT_THROW(read_csv(blanks, {.delimiter = ',', .decimal = ','}), ValueError);
  EXPECT_THROW(read_csv(blanks, {.decimal = '\''}), ValueError);
}

TEST(Csv, ReadsWhatWasWritten) {
  const std::uint64_t seed = 20240607;
  SCOPED_TRACE(seed);
  RandomSequence random(seed);
  for (const std::size_t columns : {1, 31, 1025}) {
    std::vector<double> values;
    std::string text;
    for (std::size_t i = 0; i < 33 * columns; ++i) {
      values.push_back(std::ldexp(random.normal(), static_cast<int>(random.below(80)) - 40));
      text += fmt::format("{}{}", values.back(), (i + 1) % columns == 0 ? "\n" : ";");
    }
    const TemporaryFolder folder;
    EXPECT_EQ(values_of(read_csv(folder.write("t.csv.gz", test::gzip(text)))), values);
  }
}

struct BadTable {
  const char* content;
  const char* fault;
};

TEST(Csv, RefusesWithFileLineAndFault) {
  const BadTable tables[] = {
      {"", "is empty"},
      {"\n \n", "is empty"},
      {"a,b\n", "has no row"},
      {"a,b\n1,2\n3\n", "line 3: has 1 fields, where the first line has 2"},
      {"a,b\n1,2\n\n3,4,5\n", "line 4: has 3 fields"},
      {"a,b\n1,2\n3,x y\n", "line 3, column 'b' (number 2): 'x y' is no number"},
      {"1,2\n3,1.5.2\n", "line 2, column '2' (number 2): '1.5.2' is no number"},
      {"a;b\n1,5;2\n", "'1,5' is no number; if the comma parts its fraction say decimal=comma"},
      {"a,b\n1 2\n3 4\n", "line 2: has 1 fields"},
      {"x\n1 2\n3 4 5\n", "'1 2' is no number; if blanks part the fields say delimiter=blank"},
      {"\xff\xfe"
       "1",
       "UTF-16"},
      {"a,b\n1,2,3\n", "line 2: has 3 fields, where the first line has 2; where names of rows"},
      {"a\n0x10\n", "'0x10' is no number"},
      {"a\n-inf\n", "'-inf' is no finite number"},
      {"a\n1e400\n", "'1e400' is no finite number"},
      {"a,b\n\"1,2\n3,4\n", "line 2: a quote is not closed"},
      {"a,b\n\"1\"2,3\n", "line 2: has '2' behind a closing quote"},
      {"a,a\n1,2\n", "two columns are called 'a', numbers 1 and 2; leave one out by its number, drop=2"},
  };
  for (const BadTable& bad : tables) {
    SCOPED_TRACE(bad.content);
    const TemporaryFolder folder;
    const std::string file = folder.write("bad.csv", bad.content);
    try {
      read_csv(file);
      ADD_FAILURE() << "no error";
    } catch (const FormatError& error) {
      EXPECT_EQ(error.file(), file);
      EXPECT_NE(std::string(error.what()).find(bad.fault), std::string::npos) << error.what();
    }
  }
}

template <typename Exception>
std::string fault_of(const std::string& file, const CsvOptions& options) {
  try {
    read_csv(file, options);
  } catch (const Exception& error) {
    return error.what();
  }
  return "no such error";
}

TEST(Csv, RefusesWhatOptionsCannotMean) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.csv", "a,b\n1,x\n2,?\n");
  const auto contains = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  EXPECT_PRED2(contains, fault_of<FormatError>(file, {.label = "b"}),
               "line 3: the label (column 'b') is '?', which counts");
  EXPECT_PRED2(contains, fault_of<ValueError>(file, {.label = "c"}), "there is no column 'c'; there are a, b");
  EXPECT_PRED2(contains, fault_of<ValueError>(file, {.label = "3"}), "no column '3'");
  EXPECT_PRED2(contains, fault_of<ValueError>(file, {.drop = {"z"}}), "no column 'z'");
  EXPECT_PRED2(contains, fault_of<ValueError>(file, {.label = "b", .drop = {"b"}}), "dropped too");
  EXPECT_PRED2(contains, fault_of<ValueError>(file, {.label = "b", .columns = {"b"}}), "kept too");
  EXPECT_PRED2(contains, fault_of<ValueError>(file, {.columns = {"z"}}), "no column 'z'");
  EXPECT_PRED2(contains, fault_of<FormatError>(file, {.drop = {"a", "b"}}), "no column of numbers");
  EXPECT_PRED2(contains, fault_of<ValueError>(file, {.classes = {"x"}}), "no label column");
  EXPECT_PRED2(contains, fault_of<ValueError>(file, {.delimiter = '"'}), "cannot be the delimiter");
  const std::string whole = folder.write("w.csv", "a,b\n1,x\n2,y\n");
  EXPECT_PRED2(contains, fault_of<FormatError>(whole, {.label = "b", .classes = {"y", "z"}}),
               "line 2: the label 'x' is none of the classes y, z");
  EXPECT_PRED2(contains, fault_of<ValueError>(whole, {.label = "b", .classes = {"x", "y", "x"}}), "'x' is given twice");
  EXPECT_THROW(read_csv(folder / "nowhere.csv"), IoError);
}

TEST(Csv, RefusesHugeLinesAndOtherFiles) {
  const TemporaryFolder folder;
  const std::string wide = folder.write("wide.csv", "a\n1\n" + std::string(200, '7') + "\n");
  const std::string quoted = folder.write("quoted.csv", "a\n\"" + std::string(200, '7') + "\"\n");
  const std::string blank = folder.write("blank.csv", "a\n" + std::string(200, ' ') + "\n");
  EXPECT_NE(fault_of<FormatError>(wide, {.longest_line = 100}).find("line 3: is longer than the 100"),
            std::string::npos);
  EXPECT_NE(fault_of<FormatError>(quoted, {.longest_line = 100}).find("line 2: is longer"), std::string::npos);
  EXPECT_NE(fault_of<FormatError>(blank, {.longest_line = 100}).find("line 2: is longer"), std::string::npos);
  const std::string binary = folder.write("binary.csv", std::string("1,2\n3,\0", 7));
  EXPECT_NE(fault_of<FormatError>(binary, {}).find("line 2: holds a zero byte"), std::string::npos);
  const std::string latin = folder.write("latin.csv", "a,kind\n1,caf\xe9\n2,th\xe9\n");
  EXPECT_NE(fault_of<FormatError>(latin, {.label = "kind"}).find("line 2, byte 6: 0xE9 is no UTF-8"),
            std::string::npos);
  const std::string old = folder.write("old.csv", "a,b\r1,2\r3,4\r");
  EXPECT_NE(fault_of<FormatError>(old, {}).find("end in CR alone"), std::string::npos);
  EXPECT_EQ(read_csv(folder.write("line.csv", "1,2\r"), {}).rows(), 1);
  const std::string cut = folder.write("cut.csv.gz", test::gzip("a,b\n1,2\n").substr(0, 12));
  EXPECT_NE(fault_of<FormatError>(cut, {}).find("truncated .gz"), std::string::npos);
}

}  // namespace
}  // namespace rtl::data
