// rtl ridge --out and rtl decide --out: linear models as files that rtl predict reads; and ridge probes beside rtl
// ridge.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "cli/program.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/npy.hpp"
#include "support/real_data.hpp"

namespace rtl::test {
namespace {

using nlohmann::json;

std::vector<std::vector<std::string>> cells(const std::string& text) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    rows.emplace_back();
    for (std::string field; std::getline(fields, field, ',');) rows.back().push_back(field);
  }
  return rows;
}

void expect_alike(const std::vector<double>& a, const std::vector<double>& b, double relative) {
  ASSERT_EQ(a.size(), b.size());
  double largest = 0;
  for (const double value : b) largest = std::max(largest, std::abs(value));
  EXPECT_GT(largest, 0);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], relative * largest) << i;
}

std::vector<double> numbers(const Workplace& place, const std::string& file) {
  const Tensor values = io::read_npy(place.path(file), Device::cpu(1));
  if (values.dtype() == DType::f64) return values.to_vector<double>();
  const std::vector<float> narrow = values.to_vector<float>();
  return {narrow.begin(), narrow.end()};
}

/// Places are categories, sizes have gaps; the price and the kind follow from both.
std::string homes(int rows, double slope, bool answers) {
  std::string text = answers ? "place,size,price,kind\n" : "owner,size,place\n";
  for (int i = 0; i < rows; ++i) {
    const double size = 20 + 10 * std::sin(3.0 * i);
    const std::string place = i % 3 == 0 ? "bay" : i % 3 == 1 ? "hill" : "lake";
    const std::string shown = i % 5 == 4 ? "" : std::to_string(size);
    const double price = slope * size + 7 * (i % 3) + std::cos(5.0 * i);
    text += answers ? place + "," + shown + "," + std::to_string(price) + "," + (price > 45 ? "dear" : "cheap") + "\n"
                    : "Ada," + shown + "," + place + "\n";
  }
  return text;
}

struct Homes {
  Workplace place;
  Homes() {
    place.write("homes.csv", homes(60, 2, true));
    place.write("more.csv", homes(25, 1.7, true));
    place.write("new.csv", homes(12, 1, false));
  }
  Outcome run(const Words& words) const {
    const Outcome outcome = place.run(with(words, {"--threads", "1"}));
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return outcome;
  }
};

const std::string prepared = "&missing=impute&prepare=standardize";

Words ridge(const std::string& targets) {
  return {"ridge",
          "--features",
          "homes.csv?drop=price,kind" + prepared,
          "--targets",
          targets,
          "--penalties",
          "1e-4:1e1:9",
          "--out",
          "m.safetensors",
          "--predict",
          "new.csv?drop=owner" + prepared,
          "--predictions",
          "p.csv"};
}

TEST(LinearModels, OfRidgePredictValuesAsItDoes) {
  const Homes homes;
  homes.run(with(ridge("homes.csv?columns=price"), {"--json", "r.json"}));
  EXPECT_EQ(homes.place.json("r.json").at("out"), "m.safetensors");
  homes.run({"predict", "--model", "m.safetensors", "--data", "csv:new.csv", "--out", "q.csv", "--json", "q.json"});
  std::vector<double> own, again;
  const auto a = cells(homes.place.read("p.csv")), b = cells(homes.place.read("q.csv"));
  ASSERT_EQ(a.size(), 13U);
  ASSERT_EQ(b.size(), 13U);
  for (std::size_t i = 1; i < 13; ++i) {
    own.push_back(std::stod(a[i][0]));
    again.push_back(std::stod(b[i][0]));
  }
  expect_alike(again, own, 1e-6);
  const json facts = homes.place.json("q.json");
  EXPECT_EQ(facts.at("strategy"), "ridge");
  EXPECT_EQ(facts.at("task"), "regression");
  EXPECT_EQ(facts.at("parameters"), 5);  // a column a place, the size, the intercept
  // R^2 of the rows that it was fitted to, which the data's own targets give.
  homes.run(
      {"predict", "--model", "m.safetensors", "--data", "csv:homes.csv?label=price&target=real", "--json", "q.json"});
  EXPECT_GT(homes.place.json("q.json").at("r2"), 0.8);
  const Outcome inspected = homes.place.run({"inspect", "m.safetensors"});
  EXPECT_NE(inspected.output.find("coefficients"), std::string::npos) << inspected.output;
}

TEST(LinearModels, OfRidgeNameClassesAsItDoes) {
  const Homes homes;
  homes.run(ridge("csv:homes.csv?label=kind"));
  homes.run({"predict", "--model", "m.safetensors", "--data", "csv:new.csv", "--out", "q.csv", "--logits", "l.npy"});
  const auto a = cells(homes.place.read("p.csv")), b = cells(homes.place.read("q.csv"));
  ASSERT_EQ(b.size(), a.size());
  EXPECT_EQ(b[0], (Words{"class", "probability_cheap", "probability_dear"}));
  std::vector<double> own;
  for (std::size_t i = 1; i < a.size(); ++i) {
    EXPECT_EQ(a[i][0], b[i][0]);
    for (std::size_t c = 1; c < 3; ++c) own.push_back(std::stod(a[i][c]));
  }
  expect_alike(numbers(homes.place, "l.npy"), own, 1e-6);
}

TEST(LinearModels, OfDecidePredictAsItDoes) {
  const Homes homes;
  homes.run({"decide", "--source-features", "homes.csv?drop=price,kind" + prepared, "--source-targets",
             "homes.csv?columns=price", "--target-features", "more.csv?drop=price,kind" + prepared, "--target-targets",
             "more.csv?columns=price", "--out", "m.safetensors", "--predict", "new.csv?drop=owner" + prepared,
             "--predictions", "p.npy", "--json", "d.json"});
  EXPECT_EQ(homes.place.json("d.json").at("out"), "m.safetensors");
  homes.run({"predict", "--model", "m.safetensors", "--data", "csv:new.csv", "--out", "q.npy", "--json", "q.json"});
  expect_alike(numbers(homes.place, "q.npy"), numbers(homes.place, "p.npy"), 1e-6);
  EXPECT_EQ(homes.place.json("q.json").at("strategy"), "decide");
}

TEST(LinearModels, OfMatricesAndSparseRowsNeedNoPreparation) {
  const Workplace place;
  std::vector<double> x, y;
  std::string sparse;
  for (int i = 0; i < 20; ++i) {
    const double a = std::sin(2.0 * i), b = std::cos(3.0 * i);
    x.insert(x.end(), {a, b});
    y.insert(y.end(), {3 * a - b + 100, b});
    sparse += "0 1:" + std::to_string(static_cast<float>(a)) + " 2:" + std::to_string(static_cast<float>(b)) + "\n";
  }
  io::write_npy(place.path("X.npy"), Tensor::from(x, {20, 2}, Device::cpu(1)));
  io::write_npy(place.path("Y.npy"), Tensor::from(y, {20, 2}, Device::cpu(1)));
  place.write("X.svmlight", sparse);
  ASSERT_EQ(place
                .run({"ridge", "--features", "X.npy", "--targets", "Y.npy", "--penalties", "1e-3", "--out",
                      "m.safetensors", "--predict", "X.npy", "--predictions", "p.npy"})
                .code,
            0);
  for (const char* data : {"npy:X.npy", "svmlight:X.svmlight?target=real&split=train&sparse=yes",
                           "svmlight:X.svmlight?target=real&split=train&sparse=no"}) {
    const std::string all = std::string(data) == "npy:X.npy" ? data : std::string(data) + "&test_fraction=0";
    const Outcome outcome = place.run({"predict", "--model", "m.safetensors", "--data", all, "--out", "q.npy"});
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    expect_alike(numbers(place, "q.npy"), numbers(place, "p.npy"), std::string(data) == "npy:X.npy" ? 1e-6 : 1e-5);
  }
}

TEST(LinearModels, AreRefusedWhereTheyCannotBeWritten) {
  const Homes homes;
  const auto refused = [&](Words words, const std::string& text) {
    const Outcome outcome = homes.place.run(words);
    EXPECT_EQ(outcome.code, 2) << outcome.errors;
    EXPECT_NE(outcome.errors.find(text), std::string::npos) << outcome.errors;
  };
  Words words = ridge("homes.csv?columns=price");
  std::replace(words.begin(), words.end(), std::string("m.safetensors"), std::string("m.npy"));
  refused(words, "does not end in .safetensors");
  refused(
      {"ridge", "--stream", "--features", "X.npy", "--targets", "Y.npy", "--penalties", "1", "--out", "m.safetensors"},
      "--out do not go with it");
}

/// Predictions of a ridge probe over a matrix of features, and of rtl ridge for the same rows, standardised alike.
void compare_with_ridge(const std::string& spec) {
  const Workplace place;
  const data::TrainTest parts = data::load(spec, Device::cpu(1));
  io::write_npy(place.path("F.npy"), parts.train.inputs);
  io::write_npy(place.path("T.npy"), parts.test.inputs);
  const std::vector<float> x = parts.train.inputs.to_vector<float>(), t = parts.test.inputs.to_vector<float>();
  const auto width = static_cast<std::size_t>(parts.train.inputs.extent(1));
  std::vector<double> mean(width), deviation(width), a(x.begin(), x.end()), b(t.begin(), t.end());
  const auto rows = static_cast<double>(parts.train.size());
  for (std::size_t i = 0; i < a.size(); ++i) mean[i % width] += a[i] / rows;
  for (std::size_t i = 0; i < a.size(); ++i) deviation[i % width] += std::pow(a[i] - mean[i % width], 2) / rows;
  for (std::vector<double>* values : {&a, &b}) {
    for (std::size_t i = 0; i < values->size(); ++i) {
      (*values)[i] = ((*values)[i] - mean[i % width]) / std::sqrt(deviation[i % width]);
    }
  }
  const auto columns = static_cast<std::int64_t>(width);
  io::write_npy(place.path("A.npy"), Tensor::from(a, {parts.train.size(), columns}, Device::cpu(1)));
  io::write_npy(place.path("B.npy"), Tensor::from(b, {parts.test.size(), columns}, Device::cpu(1)));
  io::write_npy(place.path("Y.npy"), parts.train.targets);
  Outcome outcome = place.run({"ridge", "--features", "A.npy", "--targets", "Y.npy", "--penalties", "1e-6:1e4:41",
                               "--predict", "B.npy", "--predictions", "p.npy"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  outcome = place.run({"transfer", "--source", "features:F.npy?test=T.npy", "--target", spec, "--strategy",
                       "ridge-probe", "--model", "mlp:4", "--seeds", "1", "--epochs", "1", "--out", "fits"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  outcome = place.run({"predict", "--model", "fits/ridge-probe_seed1.safetensors", "--data", spec, "--features",
                       "F=T.npy", "--out", "q.npy"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const std::vector<double> probe = numbers(place, "q.npy"), solved = numbers(place, "p.npy");
  expect_alike(probe, solved, 1e-5);
  double largest = 0;
  for (std::size_t i = 0; i < probe.size(); ++i) {
    largest = std::max(largest, std::abs(probe[i] - solved[i]) / std::abs(solved[i]));
  }
  std::printf("%s: %zu rows, largest relative difference %.2g\n", spec.c_str(), probe.size(), largest);
}

TEST(LinearModels, ARidgeProbeIsRidgeOnSyntheticRows) {
  const Homes homes;
  compare_with_ridge("csv:" + homes.place.path("homes.csv") +
                     "?label=price&target=real&drop=kind,place&missing=impute&test_fraction=0.25");
}

TEST(RidgeProbeRealData, IsRidgeOnWine) {
  RTL_NEEDS_REAL_DATA("tabular/wine_quality/winequality-red.csv");
  compare_with_ridge("csv:" + real_data("tabular/wine_quality/winequality-red.csv") + "?label=quality&target=real");
}

TEST(RidgeProbeRealData, IsRidgeOnCaliforniaHousing) {
  RTL_NEEDS_REAL_DATA("tabular/california_housing/housing.csv.gz");
  compare_with_ridge("csv:" + real_data("tabular/california_housing/housing.csv.gz") +
                     "?label=median_house_value&target=real&missing=drop&drop=ocean_proximity");
}

}  // namespace
}  // namespace rtl::test
