// Steps that prepare columns: what they compute, that they are fitted to training rows alone, and that their text keeps
// them to the last bit.
#include "rtl/data/preprocessing.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "support/random.hpp"

namespace rtl::data {
namespace {

using Names = std::vector<std::string>;
using Numbers = std::vector<double>;

constexpr double missing = std::numeric_limits<double>::quiet_NaN();

ColumnTable table_of(std::vector<Column> columns) {
  ColumnTable table;
  table.rows =
      static_cast<std::int64_t>(columns.front().text ? columns.front().texts.size() : columns.front().numbers.size());
  table.columns = std::move(columns);
  table.file = "t.csv";
  for (std::int64_t row = 0; row < table.rows; ++row) table.lines.push_back(row + 2);
  return table;
}

Column numbers(const std::string& name, Numbers values) { return {name, std::move(values), {}, false}; }
Column texts(const std::string& name, Names values) { return {name, {}, std::move(values), true}; }

ColumnTable apply(const Preprocessing& chain, const ColumnTable& table) {
  Names notes;
  return chain.apply(table.subset([&] {
    std::vector<std::int64_t> rows;
    for (std::int64_t row = 0; row < table.rows; ++row) rows.push_back(row);
    return rows;
  }()),
                     notes);
}

Preprocessing again(const Preprocessing& chain) { return Preprocessing::parse("m.safetensors", chain.to_text()); }

ColumnTable random_table(std::int64_t rows, std::size_t width, double low = -3) {
  RandomSequence random(test::seed(), 7);
  std::vector<Column> columns;
  for (std::size_t c = 0; c < width; ++c) {
    Numbers values;
    for (std::int64_t row = 0; row < rows; ++row)
      values.push_back(low + 6 * random.uniform() * static_cast<double>(c + 1));
    columns.push_back(numbers(fmt::format("c{}", c), std::move(values)));
  }
  return table_of(std::move(columns));
}

TEST(Preprocessing, FillsWithWhatTheTrainingRowsHave) {
  const ColumnTable train = table_of({numbers("a", {4, missing, 1, 3}), texts("b", {"x", "", "y", "y"})});
  const ColumnTable other = table_of({numbers("a", {missing, 100}), texts("b", {"", "z"})});
  struct Case {
    const char* step;
    double number;
    const char* text;
  };
  for (const Case& expected : {Case{"impute", 3, "missing"},
                               {"impute:median", 3, "missing"},
                               {"impute:mean", 8.0 / 3, "missing"},
                               {"impute:frequent", 1, "y"}}) {
    SCOPED_TRACE(expected.step);
    const Preprocessing chain = Preprocessing::fit({expected.step}, train);
    for (const Preprocessing& fitted : {chain, again(chain)}) {
      const ColumnTable filled = apply(fitted, other);
      EXPECT_DOUBLE_EQ(filled.columns[0].numbers[0], expected.number);
      EXPECT_EQ(filled.columns[0].numbers[1], 100);
      EXPECT_EQ(filled.columns[1].texts, (Names{expected.text, "z"}));
    }
  }
  const ColumnTable even = table_of({numbers("a", {1, 2, 4, 8})});
  EXPECT_EQ(apply(Preprocessing::fit({"impute"}, even), table_of({numbers("a", {missing})})).columns[0].numbers[0], 3);
  const ColumnTable marked = apply(Preprocessing::fit({"impute:indicator"}, train), other);
  EXPECT_EQ(marked.names(), (Names{"a", "b", "a=missing", "b=missing"}));
  EXPECT_EQ(marked.columns[2].numbers, (Numbers{1, 0}));
  EXPECT_EQ(marked.columns[3].numbers, (Numbers{1, 0}));
}

TEST(Preprocessing, AColumnWithoutAValueBecomesZeroAndIsTold) {
  const ColumnTable train = table_of({numbers("a", {missing, missing})});
  const Preprocessing chain = Preprocessing::fit({"impute"}, train);
  EXPECT_EQ(apply(chain, train).columns[0].numbers, (Numbers{0, 0}));
  EXPECT_NE(chain.describe()[0].find("no training row has a value of a, which became 0"), std::string::npos)
      << chain.describe()[0];
}

TEST(Preprocessing, CategoriesBecomeColumnsAndUnknownOnesAreTold) {
  const ColumnTable train = table_of({texts("sea", {"bay", "INLAND", "bay"}), numbers("a", {1, 2, 3})});
  const Preprocessing chain = again(Preprocessing::fit({"one-hot"}, train));
  const ColumnTable known = apply(chain, train);
  EXPECT_EQ(known.names(), (Names{"sea=INLAND", "sea=bay", "a"}));
  EXPECT_EQ(known.columns[0].numbers, (Numbers{0, 1, 0}));
  EXPECT_EQ(known.columns[1].numbers, (Numbers{1, 0, 1}));
  EXPECT_EQ(known.columns[2].numbers, (Numbers{1, 2, 3}));
  Names notes;
  const ColumnTable strange =
      chain.apply(table_of({texts("sea", {"ISLAND", "bay", "ISLAND"}), numbers("a", {1, 2, 3})}), notes);
  EXPECT_EQ(strange.columns[0].numbers, (Numbers{0, 0, 0}));
  EXPECT_EQ(strange.columns[1].numbers, (Numbers{0, 1, 0}));
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("t.csv: 2 of 3 rows have categories of 'sea' that no training row had, such as 'ISLAND'"),
            std::string::npos)
      << notes[0];
}

TEST(Preprocessing, TooManyCategoriesAreRefused) {
  Names each;
  for (int i = 0; i < 12; ++i) each.push_back(fmt::format("n{}", i));
  const ColumnTable train = table_of({texts("name", each)});
  EXPECT_EQ(apply(Preprocessing::fit({"one-hot:12"}, train), train).columns.size(), 12u);
  try {
    Preprocessing::fit({"one-hot:11"}, train);
    FAIL() << "12 categories where 11 are allowed";
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("the column 'name' has 12 different texts in 12 rows"), std::string::npos)
        << error.what();
  }
}

TEST(Preprocessing, CountsAreScaledAndLogarithmsTaken) {
  const ColumnTable train = table_of({numbers("g", {1, 0, 2, 5}), numbers("h", {1, 0, 2, 3})});  // sums 2, 0, 4, 8
  const ColumnTable scaled = apply(again(Preprocessing::fit({"rows"}, train)), train);
  EXPECT_EQ(scaled.columns[0].numbers, (Numbers{2, 0, 2, 2.5})) << "to the median of 2, 4 and 8";
  const ColumnTable logs = apply(again(Preprocessing::fit({"rows:10", "log1p"}, train)), train);
  EXPECT_EQ(logs.columns[1].numbers, (Numbers{std::log1p(5.0), 0, std::log1p(5.0), std::log1p(3.75)}));
  for (const char* step : {"rows", "log1p"}) {
    try {
      Names notes;
      Preprocessing::fit({step}, train).apply(table_of({numbers("g", {1, 1}), numbers("h", {0, -2})}), notes);
      FAIL() << step << " of a negative count";
    } catch (const FormatError& error) {
      EXPECT_NE(std::string(error.what()).find("line 3, column 'h'"), std::string::npos) << error.what();
    }
  }
}

TEST(Preprocessing, StandardizedColumnsHaveMeanZeroAndDeviationOne) {
  ColumnTable train = random_table(101, 3);
  train.columns.push_back(numbers("constant", Numbers(101, 0.1)));
  const ColumnTable done = apply(again(Preprocessing::fit({"standardize"}, train)), train);
  for (std::size_t c = 0; c < 4; ++c) {
    double sum = 0, squares = 0;
    for (const double value : done.columns[c].numbers) sum += value, squares += value * value;
    EXPECT_NEAR(sum / 101, 0, 1e-13) << c;
    EXPECT_NEAR(squares / 101, c < 3 ? 1 : 0, 1e-13) << c;
  }
}

/// Rotating by all components keeps the distances of rows; the components' variances fall and do not covary.
void check_components(std::int64_t rows, std::size_t width) {
  SCOPED_TRACE(fmt::format("{} rows, {} columns", rows, width));
  const ColumnTable train = random_table(rows, width);
  const auto count = static_cast<std::size_t>(std::min<std::int64_t>(rows - 1, static_cast<std::int64_t>(width)));
  const Preprocessing chain = Preprocessing::fit({fmt::format("pca:{}", count)}, train);
  const ColumnTable scores = apply(again(chain), train);
  ASSERT_EQ(scores.columns.size(), count);
  EXPECT_EQ(scores.columns[0].name, "PC1");
  const auto distance = [](const ColumnTable& table, std::size_t a, std::size_t b) {
    double sum = 0;
    for (const Column& column : table.columns) sum += std::pow(column.numbers[a] - column.numbers[b], 2);
    return sum;
  };
  for (std::size_t row = 1; row < static_cast<std::size_t>(rows); ++row) {
    EXPECT_NEAR(distance(scores, 0, row), distance(train, 0, row), 1e-9 * distance(train, 0, row));
  }
  double before = INFINITY, first = 0;
  for (std::size_t k = 0; k < count; ++k) {
    double variance = 0, with_first = 0;
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
      variance += std::pow(scores.columns[k].numbers[row], 2);
      with_first += scores.columns[k].numbers[row] * scores.columns[0].numbers[row];
    }
    if (k == 0) first = variance;
    EXPECT_LE(variance, before * (1 + 1e-9));
    if (k > 0) {
      EXPECT_NEAR(with_first / first, 0, 1e-9);
    }
    before = variance;
  }
}

TEST(Preprocessing, ComponentsAreThoseOfTheCovariance) {
  check_components(40, 5);
  check_components(7, 33);
  check_components(31, 31);
}

TEST(Preprocessing, ItsTextKeepsEveryBit) {
  ColumnTable train = random_table(33, 4);
  train.columns[1].numbers[3] = missing;
  train.columns.push_back(texts("k", Names(33, "a\tb \"c\"")));
  const Preprocessing chain = Preprocessing::fit({"impute:mean:indicator", "one-hot", "standardize", "pca:3"}, train);
  const Preprocessing read = again(chain);
  EXPECT_EQ(read.to_text(), chain.to_text());
  EXPECT_EQ(read.describe(), chain.describe());
  EXPECT_EQ(read.inputs(), chain.inputs());
  const ColumnTable one = apply(chain, train), other = apply(read, train);
  ASSERT_EQ(one.columns.size(), 3u);
  for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(one.columns[k].numbers, other.columns[k].numbers);
}

TEST(Preprocessing, DamagedTextsAreRefused) {
  const ColumnTable train = table_of({numbers("a", {1, 2, 4}), texts("b", {"x", "y", "x"})});
  const std::string text =
      Preprocessing::fit({"impute", "one-hot", "rows", "log1p", "standardize", "pca:2"}, train).to_text();
  RandomSequence random(test::seed(), 8);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = text;
    const auto at = static_cast<std::size_t>(random.uniform() * static_cast<double>(text.size()));
    if (i % 3 == 0) damaged.resize(at);
    if (i % 3 == 1) damaged[at] = static_cast<char>(random.uniform() * 256);
    if (i % 3 == 2) damaged.erase(at, 1 + static_cast<std::size_t>(random.uniform() * 20));
    try {
      Names notes;
      const Preprocessing read = Preprocessing::parse("m.safetensors", damaged);
      matrix_of(read.apply(train.subset(std::vector<std::int64_t>{0, 1, 2}), notes), Device::cpu(1));
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_THROW(Preprocessing::parse("m", R"({"version":1,"columns":[],"steps":[{"kind":"melt","parameters":{}}]})"),
               FormatError);
}

TEST(Preprocessing, WrongStepsAndColumnsAreTold) {
  const ColumnTable train = table_of({numbers("a", {1, 2, 4}), numbers("b", {1, 3, 2})});
  for (const char* step :
       {"melt", "impute:max", "log1p:2", "rows:0", "rows:x", "pca", "pca:0", "pca:3", "one-hot:x", "standardize:1"}) {
    EXPECT_THROW(Preprocessing::fit({step}, train), ValueError) << step;
  }
  const Preprocessing chain = Preprocessing::fit({"standardize"}, train);
  Names notes;
  EXPECT_THROW(chain.apply(table_of({numbers("a", {1})}), notes), ShapeError);
  EXPECT_THROW(chain.apply(table_of({numbers("a", {1}), texts("b", {"x"})}), notes), ShapeError);
  EXPECT_THROW(Preprocessing::fit({"pca:1"}, table_of({numbers("a", {1, missing})})), FormatError);
  EXPECT_THROW(matrix_of(table_of({numbers("a", {missing})}), Device::cpu(1)), FormatError);
  EXPECT_THROW(matrix_of(table_of({numbers("a", {1e300})}), Device::cpu(1)), FormatError);
  EXPECT_THROW((void)train.subset(std::vector<std::int64_t>{3}), ValueError);
}

}  // namespace
}  // namespace rtl::data
