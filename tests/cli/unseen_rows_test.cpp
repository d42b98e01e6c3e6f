// rtl ridge and rtl decide on rows that they were not fitted to: scores and predictions against a computation of our
// own from the coefficients they write, classes by their names, and refusals.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "cli/program.hpp"
#include "rtl/core/random.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::test {
namespace {

using nlohmann::json;
using Values = std::vector<double>;

constexpr std::size_t features = 5;

/// Rows of features and k targets that follow from them but for noise.
struct Rows {
  Values x, y;
  std::size_t outputs = 1;

  Rows(std::uint64_t seed, std::size_t rows, std::size_t k, double scale = 1) : outputs(k) {
    RandomSequence random(seed), truth(5);
    Values w(features * k);
    for (double& value : w) value = scale * truth.normal();
    for (std::size_t i = 0; i < rows; ++i) {
      Values sums(k);
      for (std::size_t j = 0; j < features; ++j) {
        x.push_back(random.normal());
        for (std::size_t o = 0; o < k; ++o) sums[o] += x.back() * w[j * k + o];
      }
      for (const double sum : sums) y.push_back(sum + 0.3 * random.normal());
    }
  }
  std::size_t size() const { return x.size() / features; }
  /// The class of a row: where its largest target is.
  std::size_t label(std::size_t row) const {
    const auto begin = y.begin() + static_cast<std::ptrdiff_t>(row * outputs);
    return static_cast<std::size_t>(std::max_element(begin, begin + static_cast<std::ptrdiff_t>(outputs)) - begin);
  }
};

void write(const Workplace& place, const std::string& name, const Values& values, std::size_t columns) {
  const auto width = static_cast<std::int64_t>(columns);
  io::write_npy(place.path(name),
                Tensor::from(values, {static_cast<std::int64_t>(values.size()) / width, width}, Device::cpu(1)));
}

const Words names = {"ash", "fir", "oak, old"};

/// NAME-x.npy and NAME-y.npy; of classes also NAME.csv with their names and NAME-labels.npy with numbers.
void write(const Workplace& place, const std::string& name, const Rows& rows) {
  write(place, name + "-x.npy", rows.x, features);
  write(place, name + "-y.npy", rows.y, rows.outputs);
  if (rows.outputs > names.size()) return;
  std::string text = "kind\n";
  Values numbers;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    text += '"' + names[rows.label(row)] + "\"\n";
    numbers.push_back(10 * static_cast<double>(rows.label(row)));
  }
  place.write(name + ".csv", text);
  write(place, name + "-labels.npy", numbers, 1);
}

Values read(const Workplace& place, const std::string& name) {
  return io::read_npy(place.path(name), Device::cpu(1)).to_vector<double>();
}

/// X W + b of what the command wrote.
Values predicted(const Workplace& place, const Rows& rows, const std::string& coefficients, const json& intercept) {
  const Values w = read(place, coefficients);
  const std::size_t k = w.size() / features;
  Values values;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (std::size_t o = 0; o < k; ++o) {
      values.push_back(intercept.is_null() ? 0.0 : intercept[o].get<double>());
      for (std::size_t j = 0; j < features; ++j) values.back() += rows.x[row * features + j] * w[j * k + o];
    }
  }
  return values;
}

/// Sums of a few terms of size about 1, in another order.
constexpr double rounding = 1e-13;

void expect_equal(const Values& a, const Values& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], rounding) << i;
}

void expect_scores(const json& test, const Rows& rows, const Values& values) {
  const std::size_t k = rows.outputs, n = rows.size();
  double squares = 0, r2 = 0;
  for (std::size_t o = 0; o < k; ++o) {
    double mean = 0, residual = 0, spread = 0;
    for (std::size_t i = 0; i < n; ++i) mean += rows.y[i * k + o] / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) {
      residual += std::pow(rows.y[i * k + o] - values[i * k + o], 2);
      spread += std::pow(rows.y[i * k + o] - mean, 2);
    }
    squares += residual;
    r2 += (1 - residual / spread) / static_cast<double>(k);
    EXPECT_NEAR(test.at("per_output")[o].at("r2").get<double>(), 1 - residual / spread, rounding * 10);
    EXPECT_NEAR(test.at("per_output")[o].at("rmse").get<double>(), std::sqrt(residual / static_cast<double>(n)),
                rounding * 10);
  }
  EXPECT_NEAR(test.at("r2").get<double>(), r2, rounding * 10);
  EXPECT_NEAR(test.at("rmse").get<double>(), std::sqrt(squares / static_cast<double>(n * k)), rounding * 10);
}

Words ridge(const Words& targets, const Words& more) {
  Words words = {"ridge", "--threads", "1", "--features", "fit-x.npy", "--penalties", "0.001:1:5"};
  words.insert(words.end(), targets.begin(), targets.end());
  words.insert(words.end(), more.begin(), more.end());
  words.insert(words.end(), {"--coefficients", "W.npy", "--json", "r.json"});
  return words;
}

json run(const Workplace& place, const Words& words) {
  const Outcome outcome = place.run(words);
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  return outcome.code == 0 ? place.json("r.json") : json();
}

/// Lines of a .csv without its first.
Words lines_of(const Workplace& place, const std::string& name, const std::string& header) {
  std::istringstream stream(place.read(name));
  std::string line;
  std::getline(stream, line);
  EXPECT_EQ(line, header);
  Words lines;
  while (std::getline(stream, line)) lines.push_back(line);
  return lines;
}

TEST(UnseenRows, ValuesAreScoredAndPredicted) {
  for (const std::size_t k : {1U, 4U}) {
    const Workplace place;
    const Rows fit(1, 40, k), other(2, 17, k);
    write(place, "fit", fit);
    write(place, "other", other);
    const Words more = {"--test-features", "other-x.npy", "--test-targets", "other-y.npy",
                        "--predict",       "other-x.npy", "--predictions"};
    Words as_npy = more, as_csv = more;
    as_npy.emplace_back("p.npy");
    as_csv.emplace_back("p.csv");
    const json facts = run(place, ridge({"--targets", "fit-y.npy"}, as_npy));
    const Values values = predicted(place, other, "W.npy", facts.at("intercept"));
    expect_scores(facts.at("test"), other, values);
    EXPECT_EQ(facts.at("test").at("n"), 17);
    EXPECT_EQ(facts.at("test").at("features"), "other-x.npy");
    EXPECT_GT(facts.at("test").at("r2").get<double>(), 0.8);
    EXPECT_EQ(facts.at("predictions"), (json{{"features", "other-x.npy"}, {"n", 17}, {"file", "p.npy"}}));
    expect_equal(read(place, "p.npy"), values);
    run(place, ridge({"--targets", "fit-y.npy"}, as_csv));
    const std::string header = k == 1 ? "prediction" : "prediction_1,prediction_2,prediction_3,prediction_4";
    Values written;
    for (std::string line : lines_of(place, "p.csv", header)) {
      std::replace(line.begin(), line.end(), ',', ' ');
      std::istringstream fields(line);
      for (double value; fields >> value;) written.push_back(value);
    }
    EXPECT_EQ(written, read(place, "p.npy"));
  }
}

TEST(UnseenRows, WithoutThemNothingIsSaid) {
  const Workplace place;
  write(place, "fit", Rows(1, 40, 1));
  const json facts = run(place, ridge({"--targets", "fit-y.npy"}, {}));
  EXPECT_TRUE(facts.at("test").is_null());
  EXPECT_TRUE(facts.at("predictions").is_null());
}

TEST(UnseenRows, TargetsThatDoNotVaryHaveNoShareOfVariance) {
  const Workplace place;
  write(place, "fit", Rows(1, 40, 1));
  const Rows other(2, 3, 1);
  write(place, "other", other);
  write(place, "constant.npy", {2, 2, 2}, 1);
  const json test = run(place, ridge({"--targets", "fit-y.npy"},
                                     {"--test-features", "other-x.npy", "--test-targets", "constant.npy"}))
                        .at("test");
  EXPECT_TRUE(test.at("r2").is_null());
  EXPECT_GT(test.at("rmse").get<double>(), 0);
}

/// Right answers of argmax, and the share of the fit's most frequent class.
void expect_class_scores(const json& test, const Rows& fit, const Rows& other, const Values& values) {
  Values counts(fit.outputs);
  for (std::size_t row = 0; row < fit.size(); ++row) counts[fit.label(row)] += 1;
  const auto frequent = static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
  double right = 0, as_frequent = 0;
  for (std::size_t row = 0; row < other.size(); ++row) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * fit.outputs);
    const auto best = std::max_element(begin, begin + static_cast<std::ptrdiff_t>(fit.outputs)) - begin;
    right += static_cast<std::size_t>(best) == other.label(row) ? 1 : 0;
    as_frequent += other.label(row) == frequent ? 1 : 0;
  }
  EXPECT_DOUBLE_EQ(test.at("accuracy").get<double>(), right / static_cast<double>(other.size()));
  EXPECT_DOUBLE_EQ(test.at("most_frequent_class").get<double>(), as_frequent / static_cast<double>(other.size()));
}

TEST(UnseenRows, ClassesAreFoundByTheirNames) {
  const Workplace place;
  const Rows fit(1, 60, 3), other(2, 25, 3);
  write(place, "fit", fit);
  write(place, "other", other);
  const Words more = {"--predict",       "other-x.npy", "--predictions", "p.csv",
                      "--test-features", "other-x.npy", "--test-targets"};
  Words texts = more, numbers = more;
  texts.emplace_back("csv:other.csv?label=kind");
  numbers.emplace_back("other-labels.npy");
  json facts = run(place, ridge({"--targets", "csv:fit.csv?label=kind"}, texts));
  const Values values = predicted(place, other, "W.npy", facts.at("intercept"));
  expect_class_scores(facts.at("test"), fit, other, values);
  EXPECT_GT(facts.at("test").at("accuracy").get<double>(), 0.6);
  const Words lines = lines_of(place, "p.csv", "class,ash,fir,\"oak, old\"");
  ASSERT_EQ(lines.size(), other.size());
  for (std::size_t row = 0; row < lines.size(); ++row) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(3 * row);
    const auto best = static_cast<std::size_t>(std::max_element(begin, begin + 3) - begin);
    const std::string name = best == 2 ? "\"oak, old\"," : names[best] + ",";
    EXPECT_TRUE(lines[row].starts_with(name)) << lines[row];
  }
  json by_number = run(place, ridge({"--targets", "fit-labels.npy", "--targets-are", "classes"}, numbers));
  EXPECT_EQ(by_number.at("classes"), (json{"0", "10", "20"}));
  for (const char* key : {"accuracy", "most_frequent_class"}) {
    EXPECT_EQ(by_number.at("test").at(key), facts.at("test").at(key));
  }
}

TEST(UnseenRows, MayHaveASingleClassButNoOther) {
  const Workplace place;
  write(place, "fit", Rows(1, 60, 3));
  const Rows other(2, 2, 3);
  write(place, "other-x.npy", other.x, features);
  place.write("one.csv", "kind\nfir\nfir\n");
  place.write("new.csv", "kind\nfir\nyew\n");
  write(place, "one.npy", {10, 10}, 1);
  write(place, "new.npy", {10, 30}, 1);
  const auto outcome = [&](const Words& targets, const std::string& test) {
    return place.run(ridge(targets, {"--test-features", "other-x.npy", "--test-targets", test}));
  };
  const Words texts = {"--targets", "csv:fit.csv?label=kind"};
  const Words numbers = {"--targets", "fit-labels.npy", "--targets-are", "classes"};
  EXPECT_EQ(outcome(texts, "csv:one.csv?label=kind").code, 0);
  EXPECT_EQ(outcome(texts, "one.csv").code, 0);
  EXPECT_EQ(outcome(numbers, "one.npy").code, 0);
  for (const auto& [targets, test, name] :
       {std::tuple(texts, "csv:new.csv?label=kind", "yew"), std::tuple(numbers, "new.npy", "30")}) {
    const Outcome refused = outcome(targets, test);
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.errors.find(fmt::format("has the class '{}' (--test-targets), which fit", name)),
              std::string::npos)
        << refused.errors;
  }
}

TEST(UnseenRows, OtherColumnsAreRefused) {
  const Workplace place;
  write(place, "fit", Rows(1, 40, 1));
  const Rows other(2, 6, 1);
  write(place, "other", other);
  write(place, "wide.npy", other.x, features + 1);
  write(place, "two.npy", Values(12, 1.0), 2);
  write(place, "short.npy", Values(5, 1.0), 1);
  const std::pair<Words, const char*> cases[] = {
      {{"--test-features", "wide.npy", "--test-targets", "short.npy"}, "wide.npy has 6 columns (--test-features)"},
      {{"--predict", "wide.npy", "--predictions", "p.npy"}, "wide.npy has 6 columns (--predict)"},
      {{"--test-features", "other-x.npy", "--test-targets", "two.npy"}, "two.npy has 2 columns (--test-targets)"},
      {{"--test-features", "other-x.npy", "--test-targets", "short.npy"}, "short.npy has 5"},
  };
  for (const auto& [more, message] : cases) {
    const Outcome outcome = place.run(ridge({"--targets", "fit-y.npy"}, more));
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.errors.find(message), std::string::npos) << outcome.errors;
    EXPECT_FALSE(place.has("r.json"));
  }
}

TEST(UnseenRows, HalfOfAPairIsWrongUsage) {
  const Workplace place;
  const std::pair<Words, const char*> cases[] = {
      {{"--test-features", "x.npy"}, "--test-features needs --test-targets"},
      {{"--test-targets", "x.npy"}, "--test-targets needs --test-features"},
      {{"--predict", "x.npy"}, "--predict needs --predictions"},
      {{"--predictions", "x.npy"}, "--predictions needs --predict"},
      {{"--predict", "x.npy", "--predictions", "p.txt"}, "'p.txt' ends neither in .npy nor in .csv"},
  };
  const Words decide = {"decide", "--source-features", "a.npy", "--source-targets", "b.npy", "--target-features",
                        "c.npy",  "--target-targets",  "d.npy"};
  for (const auto& [more, message] : cases) {
    Words decided = decide;
    decided.insert(decided.end(), more.begin(), more.end());
    for (const Words& words : {ridge({"--targets", "fit-y.npy"}, more), decided}) {
      const Outcome outcome = place.run(words);
      EXPECT_EQ(outcome.code, 2);
      EXPECT_NE(outcome.errors.find(message), std::string::npos) << outcome.errors;
    }
  }
}

Words decide(const std::string& source_targets, const std::string& target_targets, const std::string& test_targets) {
  return {"decide",
          "--threads",
          "1",
          "--source-features",
          "source-x.npy",
          "--source-targets",
          source_targets,
          "--target-features",
          "fit-x.npy",
          "--target-targets",
          target_targets,
          "--test-features",
          "other-x.npy",
          "--test-targets",
          test_targets,
          "--predict",
          "other-x.npy",
          "--predictions",
          "p.npy",
          "--coefficients",
          "W.npy",
          "--json",
          "r.json"};
}

TEST(UnseenRows, DecideScoresItsModelAndEachCandidates) {
  const Workplace place;
  const Rows source(3, 200, 2), fit(1, 12, 2), other(2, 30, 2);
  write(place, "source", source);
  write(place, "fit", fit);
  write(place, "other", other);
  const json facts = run(place, decide("source-y.npy", "fit-y.npy", "other-y.npy"));
  const Values values = predicted(place, other, "W.npy", facts.at("intercept"));
  expect_scores(facts.at("test"), other, values);
  expect_equal(read(place, "p.npy"), values);
  // From scratch is ridge regression with its penalty.
  const json& scratch = facts.at("candidates")[0];
  Words words = ridge({"--targets", "fit-y.npy"}, {"--test-features", "other-x.npy", "--test-targets", "other-y.npy"});
  words[static_cast<std::size_t>(std::find(words.begin(), words.end(), "--penalties") - words.begin()) + 1] =
      fmt::format("{}", scratch.at("target_penalty").get<double>());
  const json fitted = run(place, words);
  EXPECT_NEAR(scratch.at("test").at("rmse").get<double>(), fitted.at("test").at("rmse").get<double>(), 1e-10);
  for (const json& candidate : facts.at("candidates")) EXPECT_TRUE(candidate.at("test").at("r2").is_number());
}

TEST(UnseenRows, DecideKnowsTheClassesOfSourceAndTarget) {
  const Workplace place;
  Rows fit(1, 20, 3);
  const Rows source(3, 200, 3), other(2, 40, 3);
  for (std::size_t row = 0; row < fit.size(); ++row) fit.y[3 * row + 2] = -100;  // only the source has the third class
  write(place, "source", source);
  write(place, "fit", fit);
  write(place, "other", other);
  const json facts =
      run(place, decide("csv:source.csv?label=kind", "csv:fit.csv?label=kind", "csv:other.csv?label=kind"));
  EXPECT_EQ(facts.at("classes"), json(names));
  expect_class_scores(facts.at("test"), fit, other, predicted(place, other, "W.npy", facts.at("intercept")));
  for (const json& candidate : facts.at("candidates")) {
    EXPECT_GE(candidate.at("test").at("accuracy").get<double>(), 0);
    EXPECT_LE(candidate.at("test").at("accuracy").get<double>(), 1);
  }
  const Outcome outcome =
      place.run(decide("csv:source.csv?label=kind", "csv:fit.csv?label=kind", "csv:other.csv?label=kind"));
  EXPECT_NE(outcome.output.find("test accuracy"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("test on 40 rows of other-x.npy: accuracy "), std::string::npos) << outcome.output;
}

/// A table of numbers whose columns stand in the given order.
std::string table(const Words& columns, std::uint64_t seed) {
  RandomSequence random(seed);
  std::string text = fmt::format("{}\n", fmt::join(columns, ","));
  for (int i = 0; i < 40; ++i) {
    const double a = random.normal(), b = random.normal(), noise = 0.1 * random.normal();
    std::string line;
    for (const std::string& column : columns) {
      line += fmt::format("{}{}", line.empty() ? "" : ",", column == "a" ? a : column == "b" ? b : 3 * a - b + noise);
    }
    text += line + "\n";
  }
  return text;
}

TEST(UnseenRows, FindTheirColumnsByName) {
  const Workplace place;
  place.write("fit.csv", table({"a", "b", "y"}, 1));
  place.write("same.csv", table({"a", "b", "y"}, 2));
  place.write("turned.csv", table({"y", "b", "a"}, 2));
  const auto ridge = [&](const std::string& file) {
    const auto outcome = place.run({"ridge", "--features", "fit.csv?drop=y", "--targets", "fit.csv?columns=y",
                                    "--penalties", "0.01", "--test-features", file + "?drop=y", "--test-targets",
                                    file + "?columns=y", "--out", "m.safetensors", "--json", "r.json"});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return place.json("r.json").at("test").at("rmse");
  };
  const json rmse = ridge("same.csv");
  EXPECT_LT(rmse.get<double>(), 0.3);
  EXPECT_EQ(ridge("turned.csv"), rmse);
  const auto predict = [&](const std::string& file) {
    const auto outcome =
        place.run({"predict", "--model", "m.safetensors", "--data",
                   "csv:" + file + "?label=y&target=real&split=train&test_fraction=0", "--json", "p.json"});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return place.json("p.json").at("rmse");
  };
  EXPECT_EQ(predict("turned.csv"), predict("same.csv"));
  EXPECT_NEAR(predict("same.csv").get<double>(), rmse.get<double>(), 1e-5);
  const auto decide = [&](const std::string& file) {
    const auto outcome = place.run({"decide", "--source-features", file + "?drop=y", "--source-targets",
                                    file + "?columns=y", "--target-features", "fit.csv?drop=y&limit=9",
                                    "--target-targets", "fit.csv?columns=y&limit=9", "--json", "d.json"});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return place.json("d.json").at("sources").at(0).at("alignment");
  };
  EXPECT_EQ(decide("turned.csv"), decide("same.csv"));
}

}  // namespace
}  // namespace rtl::test
