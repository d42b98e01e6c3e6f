// Weights of samples that stand in a file, or in an array, of their own.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "data/make_files.hpp"
#include "io/hdf5.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/load.hpp"
#include "support/devices.hpp"
#include "support/golden.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using test::TemporaryFolder;
using Values = std::vector<float>;

std::string fault_of(const std::string& spec) {
  try {
    (void)load(spec, Device::cpu());
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no FormatError";
}

void expect_fault(const std::string& spec, const std::string& part) {
  const std::string fault = fault_of(spec);
  EXPECT_NE(fault.find(part), std::string::npos) << fault;
}

/// Eight rows (i, -i) of the classes 0 and 1 in turn; weights i / 2.
class Weights : public testing::Test {
 protected:
  Weights() {
    std::vector<float> x;
    std::vector<std::int64_t> y;
    std::vector<double> w;
    for (int i = 0; i < 8; ++i) {
      x.push_back(static_cast<float>(i));
      x.push_back(static_cast<float>(-i));
      y.push_back(i % 2);
      w.push_back(0.5 * i);
      lines_ += fmt::format("{}\r\n", 0.5 * i);
      svmlight_ += fmt::format("{} 1:{}\n", i % 2, i + 1);
    }
    folder_.write("X.npy", test::npy(x, {8, 2}));
    folder_.write("Y.npy", test::npy(y, {8}));
    folder_.write("W.npy", test::npy(w, {8}));
    folder_.write("W.txt", lines_);
    folder_.write("s.svmlight", svmlight_);
  }
  std::string pair(const std::string& rest) const {
    return "npy:" + (folder_ / "X.npy") + "," + (folder_ / "Y.npy") + "?" + rest;
  }
  std::string sparse(const std::string& rest) const { return "svmlight:" + (folder_ / "s.svmlight") + "?" + rest; }
  std::string file(const std::string& name) const { return "weights=" + (folder_ / name); }

  TemporaryFolder folder_;
  std::string lines_, svmlight_;
};

const Values all{0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5};

TEST_F(Weights, AreThoseOfTheRows) {
  for (const Device& device : test::devices()) {
    for (const std::string name : {"W.npy", "W.txt"}) {
      for (const std::string& spec : {pair(file(name)), sparse(file(name)), sparse(file(name) + "&sparse=yes")}) {
        SCOPED_TRACE(spec);
        const TrainTest whole = load(spec + "&test_fraction=0", device);
        EXPECT_EQ(whole.train.weights.to_vector<float>(), all);
        EXPECT_TRUE(whole.train.weights.device() == device);
        whole.train.validate(true);
        const TrainTest parts = load(spec + "&test_fraction=0.5&offset=1", device);
        Values wanted;
        for (const std::int64_t row : parts.train_rows) wanted.push_back(all[static_cast<std::size_t>(row)]);
        EXPECT_EQ(parts.train.weights.to_vector<float>(), wanted);
        wanted.clear();
        for (const std::int64_t row : parts.test_rows) wanted.push_back(all[static_cast<std::size_t>(row)]);
        EXPECT_EQ(parts.test.weights.to_vector<float>(), wanted);
      }
    }
  }
}

TEST_F(Weights, AreOfTheTrainingFileAlone) {
  folder_.write("T.npy", test::npy(Values{1, 2, 3, 4}, {2, 2}));
  folder_.write("TY.npy", test::npy(std::vector<std::int64_t>{0, 1}, {2}));
  const TrainTest parts =
      load(pair(file("W.npy") + "&test=" + (folder_ / "T.npy") + "," + (folder_ / "TY.npy")), Device::cpu());
  EXPECT_EQ(parts.train.weights.to_vector<float>(), all);
  EXPECT_FALSE(parts.test.weights.defined());
}

TEST_F(Weights, OfRowsThatAreLeftOutAreLeftOut) {
  folder_.write("x.csv", "a\n0\n?\n2\n3\n4\n?\n6\n7\n");
  folder_.write("y.csv", "kind\na\nb\na\n?\na\nb\na\nb\n");
  const TrainTest parts = load("npy:" + (folder_ / "x.csv") + "," + (folder_ / "y.csv") +
                                   "?label=kind&missing=drop&test_fraction=0&" + file("W.npy"),
                               Device::cpu());
  EXPECT_EQ(parts.train.inputs.to_vector<float>(), (Values{0, 2, 4, 6, 7}));
  EXPECT_EQ(parts.train.weights.to_vector<float>(), (Values{0, 1, 2, 3, 3.5}));
}

TEST_F(Weights, ThatAreNoneAreRefused) {
  folder_.write("short.npy", test::npy(Values{1, 2}, {2}));
  folder_.write("wide.npy", test::npy(Values(16, 1.0F), {8, 2}));
  folder_.write("zero.npy", test::npy(Values(8, 0.0F), {8}));
  folder_.write("negative.npy", test::npy(Values{1, 1, -1, 1, 1, 1, 1, 1}, {8}));
  folder_.write("nan.npy", test::npy(Values{1, NAN, 1, 1, 1, 1, 1, 1}, {8}));
  folder_.write("large.npy", test::npy(std::vector<double>{1, 1, 1, 1e300, 1, 1, 1, 1}, {8}));
  folder_.write("words.txt", "1\n2\nthree\n");
  folder_.write("gap.txt", "1\n\n3\n");
  expect_fault(pair(file("short.npy")), "holds 2 weights for 8 samples");
  expect_fault(pair(file("wide.npy")), "weights are [samples]");
  expect_fault(pair(file("zero.npy")), "all weights are 0");
  expect_fault(pair(file("negative.npy")), "sample 2: the weight is -1");
  expect_fault(pair(file("nan.npy")), "sample 1: the weight is nan");
  expect_fault(pair(file("large.npy")), "sample 3: the weight is 1e+300");
  expect_fault(pair(file("words.txt")), "line 3: 'three' is no number");
  expect_fault(pair(file("gap.txt")), "line 2");
  expect_fault(sparse(file("negative.npy")), "sample 2: the weight is -1");
  EXPECT_THROW(load(pair("weights=a.npy,b.npy"), Device::cpu()), ValueError);
  EXPECT_THROW(load(pair("weights="), Device::cpu()), ValueError);
  EXPECT_THROW(load(pair(file("absent.npy")), Device::cpu()), IoError);
}

TEST_F(Weights, OfHdf5AreAnArray) {
  const std::string path = test::golden_file("files/hdf5/arrays.h5");
  try {
    (void)io::Hdf5File(path);
  } catch (const NotCompiled&) {
    GTEST_SKIP() << "NOT TESTED without libhdf5";
  }
  const std::string spec = "hdf5:" + path + "?inputs=f64&test_fraction=0&weights=";
  EXPECT_EQ(load(spec + "y", Device::cpu()).train.weights.to_vector<float>(), (Values{1, 0, 1, 2, 0, 1}));
  expect_fault(spec + "f64", "weights are [samples]");
  expect_fault(spec + "absent", "absent");
}

}  // namespace
}  // namespace rtl::data
