// rtl ridge: numbers against golden values and against leaving each row out in turn, files in and out, and refusals.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "cli/program.hpp"
#include "rtl/core/random.hpp"
#include "rtl/io/npy.hpp"
#include "solvers/ridge_reference.hpp"
#include "support/golden.hpp"
#include "support/gzip.hpp"

namespace rtl::test {
namespace {

using nlohmann::json;

void write_matrix(const Workplace& place, const std::string& name, const Matrix& matrix) {
  io::write_npy(place.path(name), Tensor::from(matrix.doubles(), {matrix.rows, matrix.columns}, Device::cpu(1)));
}

std::vector<double> read_matrix(const Workplace& place, const std::string& name, const Shape& shape) {
  const Tensor values = io::read_npy(place.path(name), Device::cpu(1));
  EXPECT_EQ(values.shape(), shape);
  return values.to_vector<double>();
}

Matrix random_matrix(RandomSequence& random, std::int64_t rows, std::int64_t columns) {
  Matrix matrix(rows, columns);
  for (long double& value : matrix.values) value = random.normal();
  return matrix;
}

/// X.npy [n, p], Y.npy [n, k] and start.npy [p, k], drawn from a printed seed.
ReferenceProblem make_problem(const Workplace& place, std::uint64_t seed, std::int64_t n, std::int64_t p,
                              std::int64_t k) {
  RandomSequence random(seed);
  ReferenceProblem problem;
  problem.x = random_matrix(random, n, p);
  problem.y = random_matrix(random, n, k);
  problem.centre = random_matrix(random, p, k);
  write_matrix(place, "X.npy", problem.x);
  write_matrix(place, "Y.npy", problem.y);
  write_matrix(place, "start.npy", problem.centre);
  return problem;
}

Words ridge(const Words& more, const std::string& penalties = "0.01:1:3") {
  Words words = {"ridge", "--features", "X.npy", "--targets", "Y.npy", "--penalties", penalties, "--threads", "1"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Runs and gives the JSON.
json facts_of(const Workplace& place, Words words) {
  words.insert(words.end(), {"--json", "r.json"});
  const auto outcome = place.run(words);
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  return place.json("r.json");
}

/// Mean squared leave-one-out error by fitting without each row.
double brute_force(const ReferenceProblem& problem, double penalty) {
  long double total = static_cast<long double>(problem.x.rows), sum = 0;
  if (!problem.weights.empty()) {
    total = 0;
    for (const long double weight : problem.weights) total += weight;
  }
  const Matrix left_out = reference_left_out(problem, penalty * total);
  for (std::int64_t i = 0; i < problem.y.rows; ++i) {
    const long double weight = problem.weights.empty() ? 1 : problem.weights[static_cast<std::size_t>(i)];
    for (std::int64_t o = 0; o < problem.y.columns; ++o) sum += weight * left_out(i, o) * left_out(i, o);
  }
  return static_cast<double>(sum / (total * static_cast<long double>(problem.y.columns)));
}

/// sin(phase + 0.7 i + 1.3 j^2 + 0.11 i j): the data of the golden file (tests/golden/README.md).
Matrix sines(std::int64_t rows, std::int64_t columns, long double phase, long double scale = 1) {
  Matrix matrix(rows, columns);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      matrix(i, j) = scale * std::sin(phase + 0.7L * static_cast<long double>(i) +
                                      1.3L * static_cast<long double>(j * j) + 0.11L * static_cast<long double>(i * j));
    }
  }
  return matrix;
}

void write_golden_problem(const Workplace& place, std::int64_t n, std::int64_t p, std::int64_t k) {
  const Matrix x = sines(n, p, 1), b = sines(p, k, 4);
  Matrix y = sines(n, k, 6, 0.3L);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t o = 0; o < k; ++o) {
      y(i, o) += 0.7L;
      for (std::int64_t j = 0; j < p; ++j) y(i, o) += x(i, j) * b(j, o);
    }
  }
  write_matrix(place, "X.npy", x);
  write_matrix(place, "Y.npy", y);
  write_matrix(place, "start.npy", sines(p, k, 3, 0.5L));
}

double number_of(const json& text) { return std::stod(text.get<std::string>()); }

TEST(Ridge, GivesTheGoldenValues) {
  std::ifstream file(golden_file("solvers/g7_path_loo_gcv.json"));
  const char* penalties[] = {"tau=0.01", "tau=0.1", "tau=1"};
  int cases = 0;
  const json all = json::parse(file);
  for (const auto& [name, golden] : all.items()) {
    SCOPED_TRACE(name);
    const Workplace place;
    const std::int64_t n = golden.at("n"), p = golden.at("p"), k = golden.at("k");
    write_golden_problem(place, n, p, k);
    Words more = {"--start", "start.npy", "--coefficients", "w.npy"};
    if (!golden.at("intercept").get<bool>()) more.emplace_back("--no-intercept");
    const json facts = facts_of(place, ridge(more));
    for (std::size_t l = 0; l < 3; ++l) {
      const json& want = golden.at("results").at(penalties[l]);
      RTL_EXPECT_GOLDEN(facts.at("leave_one_out").at(l).get<double>(), number_of(want.at("loo")));
      RTL_EXPECT_GOLDEN(facts.at("gcv").at(l).get<double>(), number_of(want.at("gcv")));
      RTL_EXPECT_GOLDEN(facts.at("degrees_of_freedom").at(l).get<double>(), number_of(want.at("dof")));
    }
    const json& best = golden.at("results").at(penalties[facts.at("best").at("index").get<std::size_t>()]);
    const std::vector<double> coefficients = read_matrix(place, "w.npy", {p, k});
    for (std::size_t i = 0; i < coefficients.size(); ++i) {
      const auto outputs = static_cast<std::size_t>(k);
      RTL_EXPECT_GOLDEN(coefficients[i], number_of(best.at("W").at(i / outputs).at(i % outputs)));
    }
    for (std::size_t o = 0; golden.at("intercept").get<bool>() && o < static_cast<std::size_t>(k); ++o) {
      RTL_EXPECT_GOLDEN(facts.at("intercept").at(o).get<double>(), number_of(best.at("b").at(o)));
    }
    ++cases;
  }
  EXPECT_EQ(cases, 4);
}

TEST(Ridge, EqualsLeavingEachRowOut) {
  const std::uint64_t seed = 606;
  SCOPED_TRACE(seed);
  const Workplace place;
  ReferenceProblem problem = make_problem(place, seed, 31, 7, 3);
  RandomSequence random(seed + 1);
  Matrix weights(31, 1);
  for (long double& weight : weights.values) weight = 0.25L + 0.25L * static_cast<long double>(random.below(8));
  problem.weights = weights.values;
  write_matrix(place, "weights.npy", weights);
  for (const std::string method : {"primal", "dual", "svd"}) {
    const json facts = facts_of(place, ridge({"--start", "start.npy", "--weights", "weights.npy", "--method", method}));
    EXPECT_EQ(facts.at("method"), method);
    for (std::size_t l = 0; l < 3; ++l) {
      const double want = brute_force(problem, facts.at("penalties").at(l));
      EXPECT_NEAR(facts.at("leave_one_out").at(l).get<double>() / want, 1, 1e-10) << method << " " << l;
    }
    double total = 0;
    for (const long double weight : problem.weights) total += static_cast<double>(weight);
    EXPECT_NEAR(facts.at("sklearn_alpha").get<double>(), facts.at("best").at("penalty").get<double>() * total, 1e-9);
  }
  problem.weights.clear();
  problem.intercept = false;
  const json single = facts_of(place, ridge({"--start", "start.npy", "--no-intercept", "--f32"}));
  EXPECT_EQ(single.at("arithmetic"), "f32");
  for (std::size_t l = 0; l < 3; ++l) {
    const double want = brute_force(problem, single.at("penalties").at(l));
    EXPECT_NEAR(single.at("leave_one_out").at(l).get<double>() / want, 1, 1e-4);
  }
}

TEST(Ridge, SaysItsFactsAsJson) {
  const Workplace place;
  const ReferenceProblem problem = make_problem(place, 17, 40, 3, 2);
  const auto outcome = place.run(ridge({"--coefficients", "w.npy", "--json", "-"}, "1e-3:1e3:7"));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto facts = nlohmann::ordered_json::parse(outcome.output);
  Words keys;
  for (const auto& [key, value] : facts.items()) keys.push_back(key);
  EXPECT_EQ(keys, (Words{"rtl",        "device",        "n",         "p",
                         "outputs",    "convention",    "method",    "arithmetic",
                         "penalties",  "leave_one_out", "gcv",       "degrees_of_freedom",
                         "best",       "sklearn_alpha", "intercept", "coefficients",
                         "out",        "warnings",      "notes",     "test",
                         "predictions"}));
  EXPECT_EQ(facts.at("n"), 40);
  EXPECT_EQ(facts.at("p"), 3);
  EXPECT_EQ(facts.at("outputs"), 2);
  EXPECT_EQ(facts.at("method"), "primal");
  EXPECT_NE(facts.at("convention").get<std::string>().find("(1/n)"), std::string::npos);
  EXPECT_EQ(facts.at("coefficients"), "w.npy");
  for (const char* key : {"penalties", "leave_one_out", "gcv", "degrees_of_freedom"}) {
    EXPECT_EQ(facts.at(key).size(), 7u) << key;
  }
  EXPECT_EQ(facts.at("penalties").front(), 1e-3);
  EXPECT_EQ(facts.at("penalties").back(), 1e3);
  const std::size_t best = facts.at("best").at("index");
  EXPECT_EQ(facts.at("best").at("penalty"), facts.at("penalties").at(best));
  for (const auto& error : facts.at("leave_one_out")) {
    EXPECT_GE(error.get<double>(), facts.at("leave_one_out").at(best).get<double>());
  }
  const double penalty = facts.at("best").at("penalty");
  EXPECT_DOUBLE_EQ(facts.at("sklearn_alpha").get<double>(), 40 * penalty);
  ReferenceProblem uncentred = problem;
  uncentred.centre = Matrix();
  const ReferenceFit fit = reference_fit(uncentred, 40 * static_cast<long double>(penalty));
  const std::vector<double> coefficients = read_matrix(place, "w.npy", {3, 2});
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_NEAR(coefficients[i], static_cast<double>(fit.coefficients.values[i]), 1e-12);
  }
  for (std::size_t o = 0; o < 2; ++o) {
    EXPECT_NEAR(facts.at("intercept").at(o).get<double>(), static_cast<double>(fit.intercept[o]), 1e-12);
  }
}

TEST(Ridge, PrintsATableForPeople) {
  const Workplace place;
  make_problem(place, 18, 40, 3, 1);
  const auto few = place.run(ridge({"--start", "start.npy"}, "1e-9,10,1e6"));
  ASSERT_EQ(few.code, 0) << few.errors;
  EXPECT_NE(few.output.find("40 samples, 3 features, 1 output;"), std::string::npos) << few.output;
  EXPECT_NE(few.output.find("  best\n"), std::string::npos) << few.output;
  EXPECT_NE(few.output.find("alpha = "), std::string::npos) << few.output;
  const auto many = place.run(ridge({}, "1e-3:1e3:400"));
  ASSERT_EQ(many.code, 0) << many.errors;
  EXPECT_LT(std::count(many.output.begin(), many.output.end(), '\n'), 25) << many.output;
  EXPECT_NE(many.output.find(" of 400 penalties)"), std::string::npos) << many.output;
  EXPECT_NE(many.output.find("  best\n"), std::string::npos) << many.output;
}

TEST(Ridge, WarnsWhereTheBestIsAnEndOfTheGrid) {
  const Workplace place;
  RandomSequence random(19);
  const Matrix x = random_matrix(random, 60, 2);
  Matrix y(60, 1);
  for (std::int64_t i = 0; i < 60; ++i) y(i, 0) = x(i, 0) - x(i, 1);
  write_matrix(place, "X.npy", x);
  write_matrix(place, "Y.npy", y);
  const auto low = place.run(ridge({"--json", "low.json"}, "0.1:10:3"));
  EXPECT_NE(low.errors.find("smallest of the grid"), std::string::npos) << low.errors;
  EXPECT_EQ(place.json("low.json").at("warnings").size(), 1u);
  write_matrix(place, "Y.npy", random_matrix(random, 60, 1));
  write_matrix(place, "X.npy", random_matrix(random, 60, 50));
  EXPECT_NE(place.run(ridge({}, "1e-6:1e-3:3")).errors.find("largest of the grid"), std::string::npos);
  const auto one = place.run(ridge({"--json", "one.json"}, "0.1"));
  EXPECT_TRUE(one.errors.empty()) << one.errors;
  EXPECT_TRUE(place.json("one.json").at("warnings").empty());
}

TEST(Ridge, TakesOtherKindsOfFiles) {
  const Workplace place;
  const ReferenceProblem problem = make_problem(place, 20, 20, 2, 1);
  std::string table = "id,width,height,mass\n";
  for (std::int64_t i = 0; i < 20; ++i) {
    table += fmt::format("row {},{},{},{}\n", i, static_cast<double>(problem.x(i, 0)),
                         static_cast<double>(problem.x(i, 1)), static_cast<double>(problem.y(i, 0)));
  }
  place.write("t.csv.gz", gzip(table));
  place.write("X.npy.gz", gzip(place.read("X.npy")));
  place.write("y.npy", [&] {
    const io::Bytes bytes = io::encode_npy(Tensor::from(problem.y.doubles(), {20}, Device::cpu(1)));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }());
  const json want = facts_of(place, ridge({}));
  const Words csv = {"ridge",     "--features", "t.csv.gz?drop=id,mass", "--targets", "t.csv.gz?columns=mass",
                     "--threads", "1",          "--penalties",           "0.01:1:3"};
  EXPECT_EQ(facts_of(place, csv), want);
  const Words gz = {"ridge",     "--features", "X.npy.gz",    "--targets", "y.npy",
                    "--threads", "1",          "--penalties", "0.01:1:3"};
  EXPECT_EQ(facts_of(place, gz), want);
  io::write_npy(place.path("counts.npy"), Tensor::from(std::vector<std::int64_t>(20, 7), {20}, Device::cpu(1)));
  const json counts = facts_of(place, {"ridge", "--features", "X.npy", "--targets", "counts.npy", "--penalties", "1"});
  EXPECT_NEAR(counts.at("intercept").at(0).get<double>(), 7, 1e-12) << "integers are numbers too";
}

struct Refusal {
  Words more;
  Words parts;  ///< of the message
};

TEST(Ridge, RefusesWrongUsage) {
  const Workplace place;
  const Words needed = {"ridge", "--features", "X.npy", "--targets", "Y.npy"};
  const Refusal cases[] = {{{}, {"--penalties"}},
                           {{"--penalties", "1:10"}, {"LO:HI:COUNT", "1:10"}},
                           {{"--penalties", "1:10:0"}, {"LO:HI:COUNT"}},
                           {{"--penalties", "1:10:3.5"}, {"LO:HI:COUNT"}},
                           {{"--penalties", "1:10:99999999999"}, {"LO:HI:COUNT"}},
                           {{"--penalties", "10:1:3"}, {"--penalties"}},
                           {{"--penalties", "0:1:3"}, {"--penalties"}},
                           {{"--penalties", "-1"}, {"'-1' is no penalty"}},
                           {{"--penalties", "1,nan"}, {"'nan' is no penalty"}},
                           {{"--penalties", "1,,2"}, {"'' is no penalty"}},
                           {{"--penalties", "inf"}, {"'inf' is no penalty"}},
                           {{"--penalties", "1", "--method", "magic"}, {"--method"}},
                           {{"--penalties", "1", "--method", "svd", "--f32"}, {"--f32", "svd"}},
                           {{"--penalties", "1", "--device", "tpu"}, {"tpu"}},
                           {{"--penalties", "1", "--threads", "-2"}, {"--threads"}},
                           {{"--penalties", "1", "--json", "same", "--coefficients", "same"}, {"both same"}}};
  for (const Refusal& bad : cases) {
    Words words = needed;
    words.insert(words.end(), bad.more.begin(), bad.more.end());
    SCOPED_TRACE(fmt::format("{}", fmt::join(words, " ")));
    const auto outcome = place.run(words);
    EXPECT_EQ(outcome.code, 2) << outcome.errors;
    for (const auto& part : bad.parts) EXPECT_NE(outcome.errors.find(part), std::string::npos) << outcome.errors;
  }
  EXPECT_EQ(place.run({"ridge", "--features", "t.csv?rows=3", "--targets", "Y.npy", "--penalties", "1"}).code, 2);
  EXPECT_TRUE(place.files().empty());
}

TEST(Ridge, WarnsOfTheGridOnlyWhereThePenaltyMatters) {
  const Workplace place;
  make_problem(place, 31, 20, 3, 1);
  EXPECT_EQ(facts_of(place, ridge({}, "1e5:1e8:4"))["warnings"].size(), 1u);
  Matrix constant(20, 3);
  for (long double& value : constant.values) value = 1234.5L;
  write_matrix(place, "constant.npy", constant);
  for (const char* method : {"primal", "dual", "svd"}) {
    SCOPED_TRACE(method);
    Words words = {"ridge", "--features", "constant.npy", "--targets", "Y.npy", "--penalties", "0.01:1:5"};
    words.insert(words.end(), {"--method", method, "--threads", "1"});
    EXPECT_EQ(facts_of(place, words)["warnings"], json::array());
    words[2] = "X.npy";
    words[4] = "level.npy";
    write_matrix(place, "level.npy", Matrix(20, 1));
    EXPECT_EQ(facts_of(place, words)["warnings"], json::array()) << "targets of 0";
    constant.columns = 1;
    constant.values.resize(20);
    write_matrix(place, "level.npy", constant);
    EXPECT_EQ(facts_of(place, words)["warnings"], json::array()) << "equal targets";
  }
}

TEST(Ridge, RefusesBadInputAndLeavesFilesAsTheyWere) {
  const Workplace place;
  make_problem(place, 21, 12, 3, 2);
  RandomSequence random(22);
  Matrix wild = random_matrix(random, 12, 3);
  wild(5, 2) = NAN;
  write_matrix(place, "nan.npy", wild);
  wild(5, 2) = INFINITY;
  write_matrix(place, "inf.npy", wild);
  write_matrix(place, "eleven.npy", random_matrix(random, 11, 2));
  write_matrix(place, "negative.npy", Matrix(12, 1));
  Matrix negative(12, 1);
  for (std::int64_t i = 0; i < 12; ++i) negative(i, 0) = static_cast<long double>(i) - 1;
  write_matrix(place, "negative.npy", negative);
  write_matrix(place, "zero.npy", Matrix(12, 3));
  io::write_npy(place.path("cube.npy"), Tensor::from(std::vector<double>(24), {12, 1, 2}, Device::cpu(1)));
  io::write_npy(place.path("none.npy"), Tensor::from(std::vector<double>(), {0, 3}, Device::cpu(1)));
  place.write("cut.npy", place.read("X.npy").substr(0, 200));
  place.write("text.txt", "1 2 3");
  place.write("gap.csv", "a,b\n1,2\n3,?\n");
  place.write("kept", "precious");
  const Words before = place.files();
  const Refusal cases[] = {{{"--features", "nowhere.npy"}, {"nowhere.npy"}},
                           {{"--features", "nan.npy"}, {"nan.npy", "row 5, column 2 is nan"}},
                           {{"--features", "inf.npy"}, {"inf.npy", "row 5, column 2 is inf"}},
                           {{"--targets", "nan.npy"}, {"nan.npy", "row 5"}},
                           {{"--targets", "eleven.npy"}, {"X.npy has 12 rows", "eleven.npy has 11"}},
                           {{"--features", "cube.npy"}, {"cube.npy", "[12, 1, 2]"}},
                           {{"--features", "none.npy"}, {"none.npy", "[0, 3]"}},
                           {{"--features", "cut.npy"}, {"cut.npy"}},
                           {{"--features", "text.txt"}, {"text.txt", ".npy", ".csv"}},
                           {{"--features", "gap.csv"}, {"gap.csv", "line 3: column 'b' has no value"}},
                           {{"--features", "gap.csv?columns=c"}, {"gap.csv", "no column 'c'"}},
                           {{"--start", "Y.npy"}, {"Y.npy", "[12, 2]", "[3, 2]"}},
                           {{"--weights", "eleven.npy"}, {"eleven.npy", "[12, 1]"}},
                           {{"--weights", "negative.npy"}, {"weight"}},
                           {{"--features", "zero.npy", "--penalties", "0"}, {"zero.npy and Y.npy: ", "penalty"}},
                           {{"--json", "nowhere/r.json"}, {"nowhere/r.json"}},
                           {{"--coefficients", "nowhere/w.npy"}, {"nowhere/w.npy"}},
                           {{"--coefficients", "."}, {"directory"}},
                           {{"--device", "cuda:77"}, {"cuda"}}};
  for (const Refusal& bad : cases) {
    for (const char* output : {"--json", "--coefficients"}) {
      Words words = {"ridge"};
      const Words defaults = {"--features", "X.npy", "--targets", "Y.npy", "--penalties", "1", output, "kept"};
      const auto given = [&](const std::string& option) {
        return std::find(bad.more.begin(), bad.more.end(), option) != bad.more.end();
      };
      for (std::size_t i = 0; i < defaults.size(); i += 2) {
        if (!given(defaults[i])) words.insert(words.end(), {defaults[i], defaults[i + 1]});
      }
      words.insert(words.end(), bad.more.begin(), bad.more.end());
      SCOPED_TRACE(fmt::format("{}", fmt::join(words, " ")));
      const auto outcome = place.run(words);
      EXPECT_EQ(outcome.code, 1) << outcome.output << outcome.errors;
      for (const auto& part : bad.parts) EXPECT_NE(outcome.errors.find(part), std::string::npos) << outcome.errors;
      EXPECT_EQ(place.read("kept"), "precious");
      EXPECT_EQ(place.files(), before);
    }
  }
}

}  // namespace
}  // namespace rtl::test
