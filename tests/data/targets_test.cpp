// What is to be predicted: classes, real targets of one or several columns, or nothing; and which rows a part is.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "data/make_files.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/csv.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/split.hpp"
#include "rtl/io/npy.hpp"
#include "support/devices.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using test::TemporaryFolder;
using Names = std::vector<std::string>;
using Rows = std::vector<std::int64_t>;

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string fault_of(const std::string& spec) {
  try {
    (void)load(spec, Device::cpu());
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

template <typename Fault>
std::string fault_of_type(const std::string& spec) {
  try {
    (void)load(spec, Device::cpu());
  } catch (const Fault& error) {
    return error.what();
  }
  return "no such error";
}

std::vector<float> targets_of(const Dataset& dataset) { return dataset.targets.to_vector<float>(); }

/// 20 rows "i, 2 i, i / 4, -i".
class Houses : public testing::Test {
 protected:
  Houses() {
    std::string text = "rooms,area,price,rent\n";
    for (int i = 0; i < 20; ++i) text += fmt::format("{},{},{},{}\n", i, 2 * i, 0.25 * i, -i);
    spec_ = "csv:" + folder_.write("houses.csv", text) + "?target=real&label=price";
  }
  std::string path(const std::string& name) const { return folder_ / name; }

  TemporaryFolder folder_;
  std::string spec_;
};

TEST_F(Houses, OfATableAreColumns) {
  for (const Device& device : test::devices()) {
    const TrainTest parts = load(spec_ + "&test_fraction=0", device);
    EXPECT_TRUE(parts.train.is_regression());
    EXPECT_TRUE(parts.train.has_targets());
    EXPECT_FALSE(parts.train.has_labels());
    EXPECT_EQ(parts.train.outputs(), 1);
    EXPECT_EQ(parts.train.classes, 0);
    EXPECT_EQ(parts.train.target_names, (Names{"price"}));
    EXPECT_EQ(parts.train.targets.shape(), (Shape{20, 1}));
    EXPECT_TRUE(parts.train.targets.device() == device);
    EXPECT_EQ(targets_of(parts.train)[7], 1.75f);
    EXPECT_EQ(parts.columns, (Names{"rooms", "area", "rent"}));
    parts.train.validate(true);
  }
  const TrainTest two = load(spec_ + ",area&test_fraction=0", Device::cpu());
  EXPECT_EQ(two.train.target_names, (Names{"price", "area"})) << "in the order in which they are named";
  EXPECT_EQ(targets_of(two.train)[2], 0.25f);
  EXPECT_EQ(targets_of(two.train)[3], 2.0f);
  EXPECT_EQ(two.columns, (Names{"rooms", "rent"}));
  EXPECT_EQ(load("csv:" + path("houses.csv") + "?target=real&label=3,1&columns=rent", Device::cpu()).columns,
            (Names{"rent"}));
}

TEST_F(Houses, ArePartedAtRandom) {
  const TrainTest parts = load(spec_ + "&seed=5&test_fraction=0.3", Device::cpu());
  Split expected = random_split(20, 0.3, 5);
  std::sort(expected.first.begin(), expected.first.end());
  std::sort(expected.second.begin(), expected.second.end());
  EXPECT_EQ(parts.train_rows, expected.first);
  EXPECT_EQ(parts.test_rows, expected.second);
  for (const auto& [part, rows] : {std::pair(&parts.train, &parts.train_rows), {&parts.test, &parts.test_rows}}) {
    ASSERT_EQ(part->size(), static_cast<std::int64_t>(rows->size()));
    const std::vector<float> targets = targets_of(*part);
    const std::vector<float> inputs = part->inputs.to_vector<float>();
    for (std::size_t i = 0; i < rows->size(); ++i) {
      EXPECT_EQ(targets[i], 0.25f * static_cast<float>((*rows)[i]));
      EXPECT_EQ(inputs[3 * i], static_cast<float>((*rows)[i]));
    }
  }
}

TEST_F(Houses, KeepTheirRowsThroughLimits) {
  const TrainTest all = load(spec_, Device::cpu());
  const TrainTest some = load(spec_ + "&offset=3&limit=4", Device::cpu());
  EXPECT_EQ(some.train_rows, Rows(all.train_rows.begin() + 3, all.train_rows.begin() + 7));
  EXPECT_EQ(some.test_rows, all.test_rows);
  EXPECT_EQ(targets_of(some.train)[0], 0.25f * static_cast<float>(some.train_rows[0]));
  const TrainTest one = load(spec_ + "&split=test&limit=2", Device::cpu());
  EXPECT_EQ(one.train_rows, Rows(all.test_rows.begin(), all.test_rows.begin() + 2));
  EXPECT_EQ(one.test_rows, one.train_rows);
  const std::string files = "csv:" + path("houses.csv") + "?target=real&label=price&test=" + path("houses.csv");
  const TrainTest whole = load(files, Device::cpu());
  EXPECT_TRUE(whole.train_rows.empty());
  EXPECT_TRUE(whole.test_rows.empty());
  EXPECT_EQ(load(files + "&offset=17", Device::cpu()).train_rows, (Rows{17, 18, 19}));
  EXPECT_EQ(load("glyphs:?train=4&test=3&offset=1&limit=2", Device::cpu()).train_rows, (Rows{1, 2}));
  EXPECT_TRUE(load("glyphs:?train=4&test=3", Device::cpu()).train_rows.empty());
  std::string kinds = "size,kind\n";
  for (int i = 0; i < 10; ++i) kinds += fmt::format("{},{}\n", i == 4 ? "" : std::to_string(i), i % 2 == 0 ? "a" : "b");
  const TrainTest classes =
      load("csv:" + folder_.write("kinds.csv", kinds) + "?label=kind&missing=drop", Device::cpu());
  std::set<std::int64_t> rows(classes.train_rows.begin(), classes.train_rows.end());
  rows.insert(classes.test_rows.begin(), classes.test_rows.end());
  EXPECT_EQ(rows.size(), 9u);
  EXPECT_EQ(*rows.rbegin(), 8) << "the row that was left out does not count";
  const float last = classes.train_rows.back() == 8 ? classes.train.inputs.to_vector<float>().back()
                                                    : classes.test.inputs.to_vector<float>().back();
  EXPECT_EQ(last, 9);
}

TEST_F(Houses, MayLackTargets) {
  const std::string gap = "csv:" + folder_.write("gap.csv", "a,y\n1,2\n2,\n3,NA\n4,5\n") + "?label=y&target=real";
  EXPECT_TRUE(contains(fault_of_type<FormatError>(gap), "line 3: column 'y' has no value")) << fault_of(gap);
  const TrainTest dropped = load(gap + "&missing=drop&test_fraction=0", Device::cpu());
  EXPECT_EQ(targets_of(dropped.train), (std::vector<float>{2, 5}));
  EXPECT_TRUE(contains(dropped.notes.at(0), "2 of 4 rows were left out: line 3, y is empty; line 4, y is NA"));
  const CsvOptions keep{.targets = {"y"}};
  EXPECT_THROW((void)read_csv(path("gap.csv"), keep), FormatError) << "no target is ever NaN";
}

TEST_F(Houses, AreCheckedInTables) {
  const std::string file = "csv:" + path("houses.csv");
  folder_.write("text.csv", "a,y\n1,2\n2,oak\n");
  folder_.write("comma.csv", "a;y\n1;2,5\n2;3,5\n");
  folder_.write("wide.csv", "a,y\n1,2\n2,1e39\n");
  const std::pair<std::string, std::string> cases[] = {
      {file + "?target=real&label=price,cost", "there is no column 'cost'"},
      {file + "?target=real&label=price,3", "the target column '3' is named twice"},
      {file + "?target=real&label=price&columns=price", "the target column 'price' is kept too"},
      {file + "?target=real&label=price&drop=3", "the target column '3' is dropped too"},
      {file + "?target=real&label=1,2,3,4", "has no column of numbers beside"},
      {"csv:" + path("text.csv") + "?target=real&label=y", "texts are classes (target=class)"},
      {"csv:" + path("comma.csv") + "?target=real&label=y", "decimal=comma"},
      {"csv:" + path("wide.csv") + "?target=real&label=y", "line 3, column 'y': 1e+39 is too large for float32"},
      {file + "?target=real", "say which column holds the classes or targets"},
      {file + "?target=real&label=", "there are no labels for target="},
  };
  for (const auto& [spec, fault] : cases)
    EXPECT_TRUE(contains(fault_of(spec), fault)) << spec << "\n" << fault_of(spec);
  EXPECT_EQ(
      targets_of(
          load("csv:" + path("comma.csv") + "?target=real&label=y&decimal=comma&test_fraction=0", Device::cpu()).train),
      (std::vector<float>{2.5f, 3.5f}));
  EXPECT_THROW((void)read_csv(path("houses.csv"), {.label = "rooms", .targets = {"price"}}), ValueError);
}

TEST_F(Houses, AreNotSilentlyMadeClasses) {
  const std::string file = "csv:" + path("houses.csv") + "?label=price";
  EXPECT_TRUE(contains(fault_of_type<FormatError>(file),
                       "line 3: the label '0.25' is a number with a fraction, so the labels are no classes but "
                       "measurements; write target=real for regression, or target=class to force classes"))
      << fault_of(file);
  EXPECT_EQ(load(file + "&target=class&test_fraction=0", Device::cpu()).train.classes, 20);
  EXPECT_EQ(load(file + "&target=class&labels=number&test_fraction=0", Device::cpu()).train.class_names[1], "0.25");
  const TrainTest whole = load("csv:" + path("houses.csv") + "?label=rent&test_fraction=0", Device::cpu());
  EXPECT_EQ(whole.train.classes, 20) << "whole numbers may be classes";
  EXPECT_TRUE(
      contains(whole.notes.at(0), "hardly two rows of a class; are these labels? target=real is for regression"));
}

TEST_F(Houses, MayHaveNoLabels) {
  const std::string file = "csv:" + path("houses.csv") + "?label=";
  const TrainTest parts = load(file, Device::cpu());
  EXPECT_FALSE(parts.train.has_targets());
  EXPECT_EQ(parts.train.outputs(), 0);
  EXPECT_EQ(parts.train.inputs.shape(), (Shape{20, 4}));
  EXPECT_EQ(parts.test.inputs.to_vector<float>(), parts.train.inputs.to_vector<float>()) << "there is no test";
  EXPECT_TRUE(parts.test_rows.empty());
  EXPECT_EQ(load(file + "&limit=3&offset=2", Device::cpu()).train_rows, (Rows{2, 3, 4}));
  EXPECT_EQ(load(file + "&seed=1", Device::cpu()).test_rows.size(), 4u) << "asked for, a share is parted off";
  EXPECT_EQ(load(file + "&test_fraction=0", Device::cpu()).test.size(), 0);
  const std::string fault = [&] {
    try {
      parts.train.validate(true);
    } catch (const ValueError& error) {
      return std::string(error.what());
    }
    return std::string();
  }();
  EXPECT_TRUE(contains(fault, "csv:FILE?label=COLUMN")) << fault;
  EXPECT_TRUE(contains(fault, "target=real")) << fault;
  EXPECT_TRUE(contains(fault, file)) << fault;
}

class TargetArrays : public testing::Test {
 protected:
  TargetArrays() {
    folder_.write("x.npy", test::npy(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}, {4, 2}));
    folder_.write("y.npy", test::npy(std::vector<double>{0.5, 1, 1.5, 2}, {4}));
    folder_.write("y2.npy", test::npy(std::vector<std::int32_t>{1, 2, 3, 4, 5, 6, 7, 8}, {4, 2}));
  }
  std::string pair(const std::string& x, const std::string& y, const std::string& options = "") const {
    return "npy:" + (folder_ / x) + "," + (folder_ / y) + "?target=real&test_fraction=0" + options;
  }

  TemporaryFolder folder_;
};

TEST_F(TargetArrays, AreVectorsOrMatrices) {
  const Device host = Device::cpu();
  const Dataset one = load(pair("x.npy", "y.npy"), host).train;
  EXPECT_EQ(one.targets.shape(), (Shape{4, 1}));
  EXPECT_EQ(targets_of(one), (std::vector<float>{0.5f, 1, 1.5f, 2}));
  EXPECT_TRUE(one.target_names.empty());
  const Dataset two = load(pair("x.npy", "y2.npy"), host).train;
  EXPECT_EQ(two.outputs(), 2);
  EXPECT_EQ(targets_of(two)[5], 6);
  folder_.write("onehot.npy", test::npy(std::vector<float>{1, 0, 0, 1, 1, 0, 0, 1}, {4, 2}));
  EXPECT_EQ(load(pair("x.npy", "onehot.npy"), host).train.outputs(), 2) << "asked for numbers, these are numbers";
  folder_.write("images.npy", test::npy(std::vector<std::uint8_t>(4 * 6), {4, 2, 3}));
  EXPECT_TRUE(load(pair("images.npy", "y.npy"), host).train.has_images());
}

TEST_F(TargetArrays, ComeFromTablesAndArchives) {
  const Device host = Device::cpu();
  folder_.write("y.csv", "id,price,rent\nb7,1,2\nb9,,4\nc1,5,6\nc2,7,8\n");
  folder_.write("one.csv", "price\n1.5\n2\n3\n4\n");
  EXPECT_EQ(targets_of(load(pair("x.npy", "one.csv"), host).train), (std::vector<float>{1.5f, 2, 3, 4}));
  EXPECT_TRUE(contains(fault_of(pair("x.npy", "y.csv")), "has 3 columns; say which one holds the targets"));
  EXPECT_TRUE(contains(fault_of(pair("x.npy", "y.csv", "&label=price")), "line 3: column 'price' has no value"));
  const TrainTest parts = load(pair("x.npy", "y.csv", "&label=rent,price&missing=drop"), host);
  EXPECT_EQ(parts.train.target_names, (Names{"rent", "price"}));
  EXPECT_EQ(targets_of(parts.train), (std::vector<float>{2, 1, 6, 5, 8, 7}));
  EXPECT_EQ(parts.train.inputs.to_vector<float>(), (std::vector<float>{1, 2, 5, 6, 7, 8})) << "with its sample";
  const Tensor x = io::read_npy(folder_ / "x.npy", host), y = io::read_npy(folder_ / "y.npy", host);
  io::write_npz(folder_ / "d.npz", {{"X", x}, {"y", y}});
  EXPECT_EQ(load("npy:" + (folder_ / "d.npz") + "?target=real&test_fraction=0.5", host).test.targets.shape(),
            (Shape{2, 1}));
  EXPECT_FALSE(load("npy:" + (folder_ / "d.npz") + "?y=", host).train.has_targets());
  io::write_npz(folder_ / "x.npz", {{"X", x}});
  EXPECT_TRUE(contains(fault_of("npy:" + (folder_ / "x.npz")), "or y= if there are none"));
}

TEST_F(TargetArrays, AreChecked) {
  folder_.write("nan.npy", test::npy(std::vector<float>{1, 2, std::nanf(""), 4}, {4}));
  folder_.write("wide.npy", test::npy(std::vector<double>{1, 2, 3, 1e39}, {4}));
  folder_.write("cube.npy", test::npy(std::vector<float>(8), {4, 2, 1}));
  folder_.write("none.npy", test::npy(std::vector<float>{}, {4, 0}));
  folder_.write("short.npy", test::npy(std::vector<float>{1, 2}, {2}));
  const std::pair<const char*, const char*> cases[] = {
      {"nan.npy", "sample 2, target 0 is nan"},
      {"wide.npy", "sample 3, target 0 is 1e+39, too large for float32"},
      {"cube.npy", "real targets are [N] or [N, outputs]"},
      {"none.npy", "holds no value"},
      {"short.npy", "has 2 targets for 4 samples"},
  };
  for (const auto& [name, fault] : cases) {
    EXPECT_TRUE(contains(fault_of(pair("x.npy", name)), fault)) << fault_of(pair("x.npy", name));
  }
  const std::string two = pair("x.npy", "y.npy").substr(0, pair("x.npy", "y.npy").find('?')) +
                          "?target=real&test=" + (folder_ / "x.npy") + "," + (folder_ / "y2.npy");
  EXPECT_TRUE(contains(fault_of(two), "training samples have 1 targets, test samples 2")) << fault_of(two);
  const std::string labels = pair("x.npy", "y.npy").substr(0, pair("x.npy", "y.npy").find('?'));
  EXPECT_TRUE(contains(fault_of(labels), "write target=real for regression"));
  EXPECT_EQ(load(labels + "?target=class&test_fraction=0", Device::cpu()).train.class_names,
            (Names{"0.5", "1", "1.5", "2"}));
}

TEST_F(TargetArrays, MayBeAbsent) {
  const TrainTest parts = load("npy:" + (folder_ / "x.npy"), Device::cpu());
  EXPECT_FALSE(parts.train.has_targets());
  EXPECT_EQ(parts.train.size(), 4);
  EXPECT_EQ(parts.test.size(), 4);
  const TrainTest files = load("npy:" + (folder_ / "x.npy") + "?test=" + (folder_ / "x.npy"), Device::cpu());
  EXPECT_EQ(files.test.size(), 4);
  folder_.write("x.csv", "a,b\n1,2\n3,4\n");
  EXPECT_EQ(load("npy:" + (folder_ / "x.csv") + "?split=train&test_fraction=0", Device::cpu()).columns,
            (Names{"a", "b"}));
  EXPECT_THROW(parts.train.validate(false), ValueError);
}

TEST(SvmlightTargets, AreItsNumbers) {
  const TemporaryFolder folder;
  const std::string spec = "svmlight:" + folder.write("t.svmlight", "0.5 1:1\n-2 2:1\n3 1:2\n7 2:2\n");
  const TrainTest parts = load(spec + "?target=real&test_fraction=0", Device::cpu());
  EXPECT_EQ(targets_of(parts.train), (std::vector<float>{0.5f, -2, 3, 7}));
  EXPECT_EQ(parts.train.targets.shape(), (Shape{4, 1}));
  EXPECT_TRUE(contains(fault_of(spec), "line 1: the target 0.5 is no whole number")) << fault_of(spec);
  EXPECT_TRUE(contains(fault_of(spec), "target=class to force classes"));
  EXPECT_EQ(load(spec + "?target=class&test_fraction=0", Device::cpu()).train.class_names,
            (Names{"-2", "0.5", "3", "7"}));
  const std::string wide = "svmlight:" + folder.write("w.svmlight", "1e39 1:1\n1 1:2\n");
  EXPECT_TRUE(contains(fault_of(wide + "?target=real"), "line 1")) << fault_of(wide + "?target=real");
}

Dataset regression(const std::vector<float>& targets, std::int64_t outputs, Names names = {}) {
  const auto count = static_cast<std::int64_t>(targets.size()) / outputs;
  std::vector<float> inputs;
  for (std::int64_t i = 0; i < count; ++i) inputs.push_back(static_cast<float>(i));
  const Device host = Device::cpu();
  return {Tensor::from(inputs, {count, 1}, host),        Tensor(),        0, {}, "houses",
          Tensor::from(targets, {count, outputs}, host), std::move(names)};
}

std::string fault_of(const Dataset& dataset, bool for_training) {
  try {
    dataset.validate(for_training);
  } catch (const ValueError& error) {
    return error.what();
  }
  return {};
}

TEST(RealTargets, AreValidated) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(fault_of(regression({1, 2}, 1), true), "");
  EXPECT_EQ(fault_of(regression({1, 2, 3, 1}, 2), true), "");
  EXPECT_EQ(fault_of(regression({5}, 1), false), "");
  EXPECT_EQ(fault_of(regression({5, 5, 5}, 1), false), "") << "evaluation takes what there is";
  EXPECT_TRUE(contains(fault_of(regression({5}, 1), true), "there is one sample"));
  EXPECT_TRUE(contains(fault_of(regression({5, 5, 5}, 1), true), "target 0 is 5 in all 3 samples"));
  EXPECT_TRUE(contains(fault_of(regression({1, 5, 2, 5}, 2, {"price", "rent"}), true), "target 'rent' is 5 in all 2"));
  EXPECT_TRUE(contains(fault_of(regression({1, 2, infinity, 4}, 2), false), "sample 1, target 0 is inf"));
}

TEST(RealTargets, AreCheckedWhereTheyEnter) {
  const Device host = Device::cpu();
  std::vector<Dataset> faults;
  for (int i = 0; i < 6; ++i) faults.push_back(regression({1, 2, 3, 4}, 2));
  faults[0].labels = Tensor::zeros({2}, DType::i32, host);
  faults[1].targets = Tensor::zeros({3, 2}, DType::f32, host);
  faults[2].targets = Tensor::zeros({2}, DType::f32, host);
  faults[3].targets = Tensor::zeros({2, 2}, DType::f64, host);
  faults[4].targets = Tensor::zeros({2, 0}, DType::f32, host);
  faults[5].target_names = {"price"};
  for (const Dataset& fault : faults) {
    EXPECT_THROW(fault.check(), ValueError) << fault.targets.shape().to_string();
    EXPECT_THROW((void)fault.subset(Rows{0}), ValueError);
  }
}

TEST(RealTargets, GoWithTheirRows) {
  for (const Device& device : test::devices()) {
    Dataset all = regression({1, 2, 3, 4, 5, 6}, 2, {"a", "b"});
    all.inputs = all.inputs.to(device);
    all.targets = all.targets.to(device);
    const Dataset part = all.subset(Rows{2, 0, 2});
    EXPECT_EQ(targets_of(part), (std::vector<float>{5, 6, 1, 2, 5, 6}));
    EXPECT_EQ(part.target_names, all.target_names);
    EXPECT_EQ(part.outputs(), 2);
    Dataset copy = all.clone();
    EXPECT_EQ(targets_of(copy), targets_of(all));
    EXPECT_EQ(copy.target_names, all.target_names);
    EXPECT_EQ(copy.input_hash(), regression({9, 9, 9}, 1).input_hash()) << "targets are no inputs";
  }
}

}  // namespace
}  // namespace rtl::data
