// rtl ridge and rtl decide on people's own files: headers, options, classes, rows left out, and what they are told.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cli/program.hpp"
#include "rtl/core/random.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::test {
namespace {

using nlohmann::json;

constexpr std::int64_t rows = 30, columns = 3;

/// Numbers that decimal texts hold exactly.
std::vector<double> drawn(std::uint64_t seed, std::int64_t count) {
  RandomSequence random(seed);
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(std::round(random.normal() * 1024) / 1024);
  return values;
}

std::string table(const std::string& header, const std::vector<double>& values, std::size_t width,
                  const std::string& between = ",") {
  std::string text = header.empty() ? "" : header + "\n";
  for (std::size_t i = 0; i < values.size(); ++i) {
    text += fmt::format("{}{}", values[i], (i + 1) % width == 0 ? "\n" : between);
  }
  return text;
}

/// x.npy [30, 3] and y.npy [30].
struct Files {
  Workplace place;
  std::vector<double> x = drawn(71, rows*columns), y = drawn(72, rows);

  Files() {
    io::write_npy(place.path("x.npy"), Tensor::from(x, {rows, columns}, Device::cpu(1)));
    io::write_npy(place.path("y.npy"), Tensor::from(y, {rows}, Device::cpu(1)));
  }
  Outcome ridge(const std::string& features, const std::string& targets, Words more = {}) const {
    Words words = {"ridge",    "--features", features, "--targets", targets,      "--penalties",
                   "0.01:1:3", "--threads",  "1",      "--json",    "result.json"};
    words.insert(words.end(), more.begin(), more.end());
    return place.run(words);
  }
  json facts(const std::string& features, const std::string& targets, const Words& more = {}) const {
    const Outcome outcome = ridge(features, targets, more);
    EXPECT_EQ(outcome.code, 0) << features << " " << targets << ": " << outcome.errors;
    if (outcome.code != 0) return {};
    json all = place.json("result.json");
    all.erase("notes");
    return all;
  }
};

TEST(Matrices, TablesEqualArrays) {
  const Files files;
  const json want = files.facts("x.npy", "y.npy");
  files.place.write("numbered.csv", table("0,1,2", files.x, 3));
  files.place.write("years.csv", table("2019,2020,2021", files.x, 3));
  files.place.write("bare.csv", table("", files.x, 3));
  files.place.write("plain.txt", table("a;b;c", files.x, 3, ";"));
  files.place.write("what?,now.csv", table("a,b,c", files.x, 3));
  files.place.write("y.csv", table("0", files.y, 1));
  std::string places;
  for (std::size_t i = 0; i < files.x.size(); ++i) {
    places += fmt::format("{:>14}{}", files.x[i], i % 3 == 2 ? fmt::format("{:>14}\n", files.y[i / 3]) : "");
  }
  files.place.write("places.txt", places);
  for (const char* features :
       {"numbered.csv", "years.csv", "years.csv?header=yes&delimiter=comma&missing=error", "csv:years.csv?header=yes",
        "bare.csv?header=no", "csv:plain.txt", "csv:plain.txt?delimiter=semicolon", "what?,now.csv",
        "csv:what%3F%2Cnow.csv", "npy:x.npy", "csv:years.csv?columns=2019,2020,2021",
        "fixed:places.txt?fields=1-14,15-28,29-42", "fixed:places.txt?fields=1-14,15-28,29-42,y:43-56&drop=y"}) {
    EXPECT_EQ(files.facts(features, "fixed:places.txt?fields=y:43-56&target=real&label=y"), want) << features;
    EXPECT_EQ(files.facts(features, "y.csv"), want) << features;
    EXPECT_EQ(files.facts(features, "npy:y.npy"), want) << features;
  }
  EXPECT_EQ(files.facts("csv:numbered.csv?limit=30", "y.csv").at("n"), 30);
  EXPECT_EQ(files.facts("numbered.csv?offset=10&limit=5", "y.npy?offset=10&limit=5").at("n"), 5);
}

TEST(Matrices, EveryNumberTypeAndSparseRowsAreFeatures) {
  const Files files;
  std::vector<double> whole;
  std::vector<std::int64_t> i64;
  std::vector<std::int32_t> i32;
  std::vector<std::uint8_t> u8;
  std::vector<float> f32;
  std::string sparse;
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    const int value = static_cast<int>((i * i + 3 * i) % 11);
    if (i % columns == 0)
      sparse += fmt::format("{}{}", i == 0 ? "" : "\n", files.y[static_cast<std::size_t>(i / columns)]);
    if (value != 0) sparse += fmt::format(" {}:{}", i % columns + 1, value);
    whole.push_back(value);
    i64.push_back(value);
    i32.push_back(value);
    u8.push_back(static_cast<std::uint8_t>(value));
    f32.push_back(static_cast<float>(value));
  }
  const Device host = Device::cpu(1);
  const Shape shape{rows, columns};
  io::write_npy(files.place.path("f64.npy"), Tensor::from(whole, shape, host));
  io::write_npy(files.place.path("i64.npy"), Tensor::from(i64, shape, host));
  io::write_npy(files.place.path("i32.npy"), Tensor::from(i32, shape, host));
  io::write_npy(files.place.path("u8.npy"), Tensor::from(u8, shape, host));
  io::write_npy(files.place.path("f32.npy"), Tensor::from(f32, shape, host));
  files.place.write("rows.svmlight", sparse + "\n");
  const json want = files.facts("f64.npy", "y.npy");
  for (const char* same : {"i64.npy", "i32.npy", "u8.npy", "f32.npy", "rows.svmlight", "svmlight:rows.svmlight"}) {
    EXPECT_EQ(files.facts(same, "y.npy"), want) << same;
  }
  EXPECT_EQ(files.facts("rows.svmlight", "svmlight:rows.svmlight"), want);
}

TEST(Matrices, ClassesAreNeverRegressedOnInSilence) {
  const Files files;
  std::string texts = "size,kind,note\n", alone = "kind\n";
  std::vector<std::int64_t> numbers;
  std::vector<double> one_hot;
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
    const bool oak = files.x[3 * i] > 0;
    texts += fmt::format("{},{},x{}\n", files.y[i], oak ? "oak" : "fir", i);
    alone += oak ? "oak\n" : "fir\n";
    numbers.push_back(oak ? 7 : 3);
    one_hot.insert(one_hot.end(), {oak ? 0.0 : 1.0, oak ? 1.0 : 0.0});
  }
  files.place.write("trees.csv", texts);
  files.place.write("kinds.csv", alone);
  const Device host = Device::cpu(1);
  io::write_npy(files.place.path("numbers.npy"), Tensor::from(numbers, {rows}, host));
  io::write_npy(files.place.path("one_hot.npy"), Tensor::from(one_hot, {rows, 2}, host));
  json want = files.facts("x.npy", "one_hot.npy");
  const std::vector<std::pair<const char*, Words>> forms = {{"csv:trees.csv?label=kind", {}},
                                                            {"trees.csv?columns=kind", {}},
                                                            {"trees.csv?columns=kind", {"--targets-are", "classes"}},
                                                            {"kinds.csv", {}},
                                                            {"numbers.npy", {"--targets-are", "classes"}}};
  for (const auto& [targets, more] : forms) {
    json got = files.facts("x.npy", targets, more);
    EXPECT_EQ(got.at("classes"), std::string(targets) == "numbers.npy" ? json({"3", "7"}) : json({"fir", "oak"}));
    EXPECT_GT(got.at("accuracy").at("leave_one_out"), 0.7);
    EXPECT_LT(got.at("accuracy").at("most_frequent_class"), 0.7);
    got.erase("classes");
    got.erase("accuracy");
    EXPECT_EQ(got, want) << targets;
  }
  EXPECT_EQ(files.facts("x.npy", "trees.csv?label=size&target=real"), files.facts("x.npy", "y.npy"));
  const Outcome told = files.ridge("x.npy", "kinds.csv");
  EXPECT_NE(told.errors.find("note: kinds.csv: 2 classes: fir, oak"), std::string::npos) << told.errors;
  EXPECT_NE(told.output.find("leave-one-out accuracy"), std::string::npos) << told.output;
  const Outcome values = files.ridge("x.npy", "numbers.npy");
  EXPECT_NE(values.errors.find("note: numbers.npy: 2 different whole numbers are taken as values; if they are classes, "
                               "say --targets-are classes"),
            std::string::npos)
      << values.errors;
  EXPECT_EQ(files.place.json("result.json").at("notes").size(), 1u);
  EXPECT_EQ(files.ridge("x.npy", "numbers.npy", {"--targets-are", "values"}).errors.find("note"), std::string::npos);
  EXPECT_NE(
      files.ridge("x.npy", "y.npy", {"--targets-are", "classes"}).errors.find("classes are texts or whole numbers"),
      std::string::npos);
}

/// A .npy file of texts, as NumPy writes an array of str or of bytes.
std::string text_npy(const Words& texts, bool bytes) {
  std::size_t longest = 1;
  for (const std::string& text : texts) longest = std::max(longest, text.size());
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({},), }}", bytes ? "|S" : "<U",
                                   longest, texts.size());
  header += std::string(63 - (header.size() + 10) % 64, ' ') + "\n";
  std::string content = std::string("\x93NUMPY\1\0", 8) + static_cast<char>(header.size()) + '\0' + header;
  for (const std::string& text : texts) {
    for (std::size_t i = 0; i < longest; ++i) {
      content += i < text.size() ? text[i] : '\0';
      if (!bytes) content += std::string(3, '\0');
    }
  }
  return content;
}

TEST(Matrices, ArraysOfTextAreClasses) {
  const Files files;
  std::string table = "kind\n";
  Words kinds, digits, fractions;
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
    kinds.emplace_back(files.x[3 * i] > 0 ? "oak" : "ash");
    digits.emplace_back(files.x[3 * i] > 0 ? "10" : "9");
    fractions.push_back(fmt::format("{}.5", i));
    table += kinds.back() + "\n";
  }
  files.place.write("kinds.csv", table);
  files.place.write("bytes.npy", text_npy(kinds, true));
  files.place.write("y_str.npy", text_npy(kinds, false));
  files.place.write("digits.npy", text_npy(digits, false));
  files.place.write("fractions.npy", text_npy(fractions, false));
  json want = files.facts("x.npy", "kinds.csv");
  for (const char* targets : {"y_str.npy", "bytes.npy", "npy:y_str.npy", "y_str.npy?limit=30"}) {
    EXPECT_EQ(files.facts("x.npy", targets), want) << targets;
  }
  EXPECT_EQ(files.facts("x.npy", "y_str.npy", {"--targets-are", "classes"}), want);
  const Outcome told = files.ridge("x.npy", "y_str.npy");
  EXPECT_NE(told.errors.find("note: y_str.npy: 2 classes: ash, oak"), std::string::npos) << told.errors;
  EXPECT_NE(told.output.find("leave-one-out accuracy"), std::string::npos) << told.output;
  EXPECT_EQ(files.facts("x.npy", "digits.npy").at("classes"), json({"9", "10"}));
  const auto refused = [&](const std::string& features, const std::string& targets, const Words& more) {
    const Outcome outcome = files.ridge(features, targets, more);
    EXPECT_EQ(outcome.code, 1) << features << " " << targets;
    EXPECT_EQ(outcome.output, "");
    return outcome.errors;
  };
  EXPECT_NE(refused("x.npy", "y_str.npy", {"--targets-are", "values"}).find("holds text, which are classes"),
            std::string::npos);
  EXPECT_NE(refused("x.npy", "fractions.npy", {}).find("row 0 is '0.5', a number with a fraction"), std::string::npos);
  EXPECT_EQ(files.facts("x.npy", "fractions.npy", {"--targets-are", "classes"}).at("classes").size(), 30u);
  EXPECT_NE(refused("y_str.npy", "y.npy", {}).find("y_str.npy"), std::string::npos);
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < rows; ++i) ids.push_back((std::int64_t{1} << 53) + i % 2);
  io::write_npy(files.place.path("ids.npy"), Tensor::from(ids, {rows}, Device::cpu(1)));
  EXPECT_NE(refused("x.npy", "ids.npy", {"--targets-are", "classes"}).find("too large to be told from its neighbours"),
            std::string::npos);
  kinds[7] = "";
  files.place.write("y_str.npy", text_npy(kinds, false));
  EXPECT_NE(refused("x.npy", "y_str.npy", {}).find("sample 7: the label is empty"), std::string::npos);
  const Outcome decided =
      files.place.run({"decide", "--source-features", "x.npy", "--source-targets", "bytes.npy", "--target-features",
                       "x.npy?limit=12", "--target-targets", "kinds.csv?limit=12", "--json", "d.json"});
  ASSERT_EQ(decided.code, 0) << decided.errors;
  EXPECT_EQ(files.place.json("d.json").at("classes"), json({"ash", "oak"}));
}

TEST(Matrices, ClassNumbersAreToldHoweverFewOrManyThereAre) {
  const Files files;
  const Device host = Device::cpu(1);
  const auto told = [&](const std::vector<double>& values, std::int64_t width) {
    io::write_npy(files.place.path("numbers.npy"), Tensor::from(values, {rows, width}, host));
    const Outcome outcome = files.ridge("x.npy", "numbers.npy");
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    EXPECT_EQ(files.ridge("x.npy", "numbers.npy", {"--targets-are", "values"}).errors.find("note"), std::string::npos);
    return outcome.errors;
  };
  std::vector<double> rare, counted, two;
  for (int i = 0; i < rows; ++i) {
    rare.push_back(i < 20 ? i : 3);  // more classes than half of the rows
    counted.push_back(i);            // every row its own number
    two.insert(two.end(), {i % 3 == 0 ? 1.0 : 0.0, 0.5 * i});
  }
  EXPECT_NE(told(rare, 1).find("20 different whole numbers are taken as values; if they are classes"),
            std::string::npos);
  EXPECT_EQ(told(counted, 1).find("note"), std::string::npos);
  EXPECT_NE(told(two, 2).find("the whole numbers of 1 of its 2 columns are taken as values; classes stand in one"),
            std::string::npos);
}

TEST(Matrices, RowsLeftOutAreCountedAndLeftOutEverywhere) {
  const Files files;
  std::string text = "a,b,c,target\n";
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
    const double* row = files.x.data() + 3 * i;
    text += fmt::format("{},{},{},{}\n", row[0], i == 4 ? "" : fmt::format("{}", row[1]), row[2],
                        i == 9 ? "NA" : fmt::format("{}", files.y[i]));
  }
  files.place.write("gaps.csv", text);
  std::vector<double> x, y;
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
    if (i == 4 || i == 9) continue;
    x.insert(x.end(), files.x.begin() + 3 * static_cast<std::ptrdiff_t>(i),
             files.x.begin() + 3 * static_cast<std::ptrdiff_t>(i + 1));
    y.push_back(files.y[i]);
  }
  io::write_npy(files.place.path("x28.npy"), Tensor::from(x, {28, 3}, Device::cpu(1)));
  io::write_npy(files.place.path("y28.npy"), Tensor::from(y, {28}, Device::cpu(1)));
  const json want = files.facts("x28.npy", "y28.npy");
  const std::string features = "gaps.csv?drop=target&missing=drop", targets = "gaps.csv?columns=target&missing=drop";
  EXPECT_EQ(files.facts(features, targets), want);
  const Outcome told = files.ridge(features, targets);
  EXPECT_NE(told.errors.find("1 of 30 rows was left out: line 6, b is empty"), std::string::npos) << told.errors;
  EXPECT_NE(told.errors.find("1 of 30 rows was left out: line 11, target is NA"), std::string::npos) << told.errors;
  EXPECT_NE(told.errors.find("2 of 30 rows are left out in all"), std::string::npos) << told.errors;
  EXPECT_EQ(files.facts(features, "y.npy").at("n"), 29);
  EXPECT_EQ(files.ridge(features, "y.npy").errors.find("left out in all"), std::string::npos);
  const Outcome refused = files.ridge("gaps.csv?drop=target", "y.npy");
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.errors.find("line 6"), std::string::npos) << refused.errors;
}

/// Two tables that lack as many rows, but not the same ones: each way round, with values and with classes.
TEST(Matrices, TwoTablesThatLackDifferentRowsStayAligned) {
  const Files files;
  std::string gap_early = "a,b,c\n", gap_late = gap_early, values_late = "y\n", values_early = values_late;
  std::string classes_late = "kind\n";
  std::vector<double> x, y, one_hot;
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
    const double* row = files.x.data() + 3 * i;
    const bool early = i == 2, late = i == 20;
    const std::string rest = fmt::format("{},{}\n", row[1], row[2]);
    gap_early += (early ? "" : fmt::format("{}", row[0])) + "," + rest;
    gap_late += (late ? "" : fmt::format("{}", row[0])) + "," + rest;
    values_early += early ? "NA\n" : fmt::format("{}\n", files.y[i]);
    values_late += late ? "NA\n" : fmt::format("{}\n", files.y[i]);
    classes_late += late ? "NA\n" : row[0] > 0 ? "oak\n" : "ash\n";
    if (early || late) continue;
    x.insert(x.end(), row, row + 3);
    y.push_back(files.y[i]);
    one_hot.insert(one_hot.end(), {row[0] > 0 ? 0.0 : 1.0, row[0] > 0 ? 1.0 : 0.0});
  }
  const Device host = Device::cpu(1);
  io::write_npy(files.place.path("x28.npy"), Tensor::from(x, {28, 3}, host));
  io::write_npy(files.place.path("y28.npy"), Tensor::from(y, {28}, host));
  io::write_npy(files.place.path("one_hot.npy"), Tensor::from(one_hot, {28, 2}, host));
  files.place.write("x_early.csv", gap_early);
  files.place.write("x_late.csv", gap_late);
  files.place.write("y_early.csv", values_early);
  files.place.write("y_late.csv", values_late);
  files.place.write("kinds.csv", classes_late);
  const json want = files.facts("x28.npy", "y28.npy");
  for (const auto& [features, targets] : {std::pair{"x_early.csv", "y_late.csv"}, {"x_late.csv", "y_early.csv"}}) {
    const std::string drop = "?missing=drop";
    EXPECT_EQ(files.facts(features + drop, targets + drop), want) << features;
    const json notes = files.place.json("result.json").at("notes");
    EXPECT_NE(notes.dump().find("2 of 30 rows are left out in all"), std::string::npos) << notes;
    EXPECT_EQ(files.ridge(features, targets + drop).code, 1) << "what is missing is no number";
  }
  json classes = files.facts("x_early.csv?missing=drop", "csv:kinds.csv?label=kind&missing=drop");
  EXPECT_EQ(classes.at("classes"), json({"ash", "oak"}));
  classes.erase("classes");
  classes.erase("accuracy");
  EXPECT_EQ(classes, files.facts("x28.npy", "one_hot.npy"));
  const Outcome shorter = files.ridge("x_early.csv?missing=drop", "y28.npy");
  EXPECT_EQ(shorter.code, 1) << "28 of 30 rows are not these 29";
  EXPECT_NE(shorter.errors.find("each sample needs both"), std::string::npos) << shorter.errors;
}

TEST(Matrices, AreRefusedInTheUsersWords) {
  const Files files;
  files.place.write("kinds.csv", "kind\na\n1\n");
  files.place.write("notes.txt", "1 2\n");
  const auto refused = [&](const Words& words, int code, const Words& parts) {
    const Outcome outcome = files.place.run(words);
    EXPECT_EQ(outcome.code, code) << fmt::format("{}", fmt::join(words, " ")) << outcome.errors;
    for (const std::string& part : parts) EXPECT_NE(outcome.errors.find(part), std::string::npos) << outcome.errors;
    for (const char* inner :
         {"RidgePath", "TransferAdvisor", "logarithmic_penalties", "RidgeMethod", "sample_weights"}) {
      EXPECT_EQ(outcome.errors.find(inner), std::string::npos) << outcome.errors;
    }
  };
  const auto ridge = [&](const std::string& features, const std::string& penalties, Words more = {}) {
    Words words = {"ridge", "--features", features, "--targets", "y.npy", "--penalties", penalties};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  refused(ridge("glyphs:", "1"), 2, {"--features", "'glyphs:' is a data set"});
  refused(ridge("x.npy?drop=1", "1"), 2,
          {"--features", "a matrix of kind npy has no option 'drop'; it has limit, offset"});
  refused(ridge("csv:t.csv?test=u.csv", "1"), 2, {"--features: 'csv:t.csv?test=u.csv'", "no option 'test'"});
  refused(ridge("fixed:t.txt", "1"), 2, {"--features", "say where the columns stand: fields=1-8,9-16"});
  refused(ridge("fixed:t.txt?fields=1-8,8-9", "1"), 2, {"--features", "the field 8-9 overlaps 1-8"});
  refused(ridge("fixed:t.txt?fields=1-8&test=u.txt", "1"), 2, {"a matrix of kind fixed has no option 'test'"});
  refused(ridge("csv:", "1"), 2, {"--features: 'csv:' names no file"});
  refused(ridge("notes.txt", "1"), 1, {"notes.txt", "csv:FILE"});
  refused(ridge("kinds.csv", "1"), 1, {"kinds.csv", "line 2"});
  refused(ridge("x.npy", "3:1:4"), 2, {"--penalties: '3:1:4'", "LO"});
  refused(ridge("x.npy", "0:1:4"), 2, {"--penalties: '0:1:4'", "LO"});
  refused(ridge("x.npy", "0", {"--method", "dual"}), 1,
          {"x.npy and y.npy: penalty 0", "--method primal or svd", "the centred features [30, 3]"});
  refused({"decide", "--source-features", "x.npy?limit=9", "--source-targets", "y.npy?limit=9", "--target-features",
           "y.npy", "--target-targets", "y.npy"},
          1, {"x.npy has 3 columns (--source-features), y.npy has 1 (--target-features)"});
  for (const char* command : {"ridge", "decide"}) {
    const Outcome help = files.place.run({command, "--help"});
    EXPECT_NE(help.output.find("--targets-are"), std::string::npos);
    EXPECT_EQ(help.output.find("SPEC"), std::string::npos) << "not every SPEC is a matrix";
    for (const char* option : {"csv: label=", "fixed: fields=", "missing=", "delimiter=", "first_index=", "limit="}) {
      EXPECT_NE(help.output.find(option), std::string::npos) << option << " in " << help.output;
    }
  }
}

}  // namespace
}  // namespace rtl::test
