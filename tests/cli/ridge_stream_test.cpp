// rtl ridge --stream: the path of files that are read in blocks.
#include <gtest/gtest.h>

#include <cmath>

#include "cli/program.hpp"
#include "data/make_files.hpp"
#include "rtl/core/random.hpp"
#include "support/random.hpp"

namespace rtl::test {
namespace {

void write_problem(const Workplace& place) {
  RandomSequence random(seed(), 21);
  std::vector<double> x, y, w;
  for (int i = 0; i < 150; ++i) {
    double sum = 0;
    for (int c = 0; c < 4; ++c) x.push_back(random.normal() + 5 * c), sum += x.back() * (c - 1);
    for (int k = 0; k < 2; ++k) y.push_back(sum + random.normal() + k);
    w.push_back(random.uniform());
  }
  place.write("x.npy", npy(x, {150, 4}));
  place.write("y.npy", npy(y, {150, 2}));
  place.write("w.npy", npy(w, {150}));
}

TEST(RidgeStream, IsThePathOfRowsInMemory) {
  const Workplace place;
  write_problem(place);
  const Words common = {"ridge", "--features", "x.npy", "--targets", "y.npy", "--penalties", "1e-4:1e1:8"};
  for (const Words& more : {Words{}, Words{"--weights", "w.npy"}, Words{"--no-intercept"}}) {
    Words words = common;
    words.insert(words.end(), more.begin(), more.end());
    Words plain = words, stream = words;
    for (const char* word : {"--json", "plain.json", "--coefficients", "plain.npy"}) plain.push_back(word);
    for (const char* word : {"--stream", "--json", "stream.json", "--coefficients", "stream.npy"})
      stream.push_back(word);
    ASSERT_EQ(place.run(plain).code, 0);
    const auto told = place.run(stream);
    ASSERT_EQ(told.code, 0) << told.errors;
    EXPECT_NE(told.output.find("150 samples, 4 features, 2 outputs; read in blocks"), std::string::npos);
    const auto one = place.json("plain.json"), other = place.json("stream.json");
    EXPECT_EQ(one["best"]["index"], other["best"]["index"]);
    for (const char* key : {"leave_one_out", "gcv", "degrees_of_freedom", "intercept"}) {
      ASSERT_EQ(one[key].size(), other[key].size());
      for (std::size_t i = 0; i < one[key].size(); ++i) {
        const double expected = one[key][i], found = other[key][i];
        EXPECT_NEAR(found, expected, 1e-9 * (1 + std::abs(expected))) << key;
      }
    }
  }
}

TEST(RidgeStream, NumbersThatCouldBeClassesAreNoted) {
  const Workplace place;
  write_problem(place);
  std::vector<double> labels;
  for (int i = 0; i < 150; ++i) labels.push_back(i % 3);
  place.write("labels.npy", npy(labels, {150}));
  const auto notes = [&](const std::string& targets, const Words& more) {
    Words words = {"ridge", "--features", "x.npy", "--penalties", "0.1,1", "--stream", "--json", "s.json"};
    words.insert(words.end(), {"--targets", targets});
    words.insert(words.end(), more.begin(), more.end());
    const auto told = place.run(words);
    EXPECT_EQ(told.code, 0) << told.errors;
    return place.json("s.json").at("notes").size();
  };
  EXPECT_EQ(notes("labels.npy", {}), 1U);
  EXPECT_EQ(notes("labels.npy", {"--targets-are", "values"}), 0U);
  EXPECT_EQ(notes("y.npy", {}), 0U);
}

TEST(RidgeStream, WhatCannotBeStreamedIsTold) {
  const Workplace place;
  write_problem(place);
  place.write("t.csv", "a,b\n1,2\n3,4\n5,6\n");
  place.write("short.npy", npy(std::vector<float>{1, 2, 3}, {3}));
  place.write("nan.npy", npy(std::vector<float>{1, std::nanf(""), 3}, {3}));
  struct Case {
    Words words;
    int code;
    const char* text;
  };
  for (const Case& wrong :
       {Case{{"--features", "t.csv", "--targets", "y.npy"}, 2, "--stream reads .npy files"},
        Case{{"--features", "x.npy", "--targets", "short.npy"}, 1, "short.npy has 3 rows, x.npy has 150"},
        Case{{"--features", "nan.npy", "--targets", "short.npy"}, 1, "nan.npy"},
        Case{{"--features", "x.npy", "--targets", "y.npy", "--f32"}, 2, "--f32"}}) {
    Words words = {"ridge", "--penalties", "0.1,1", "--stream"};
    words.insert(words.end(), wrong.words.begin(), wrong.words.end());
    const auto told = place.run(words);
    EXPECT_EQ(told.code, wrong.code) << told.errors;
    EXPECT_NE(told.errors.find(wrong.text), std::string::npos) << told.errors;
  }
}

}  // namespace
}  // namespace rtl::test
