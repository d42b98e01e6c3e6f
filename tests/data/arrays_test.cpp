// npy: every dtype is a feature matrix, labels are classes by value, images of either layout, labels from elsewhere.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "data/make_files.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/data/load.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using test::TemporaryFolder;
using Names = std::vector<std::string>;

constexpr const char* whole = "?test_fraction=0";

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string fault_of(const std::string& spec) {
  try {
    (void)load(spec, Device::cpu());
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::vector<std::int32_t> labels_of(const Dataset& dataset) { return dataset.labels.to_vector<std::int32_t>(); }

template <typename T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// A .npy file of any type, as NumPy writes it.
std::string npy(const std::string& descr, const std::string& shape, const std::string& data) {
  const std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
  const auto length = static_cast<std::uint16_t>(header.size());
  return std::string("\x93NUMPY\1\0", 8) + raw(std::vector<std::uint16_t>{length}) + header + data;
}

class Arrays : public testing::Test {
 protected:
  Arrays() {
    folder_.write("y.npy", test::npy(std::vector<std::int64_t>{0, 1, 0, 1}, {4}));
    folder_.write("x.npy", test::npy(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}, {4, 2}));
  }
  std::string path(const std::string& name) const { return folder_ / name; }
  std::string pair(const std::string& x, const std::string& y, const std::string& options = whole) const {
    return "npy:" + path(x) + "," + path(y) + options;
  }
  std::vector<float> values(const std::string& name) const {
    return load(pair(name, "y.npy"), Device::cpu()).train.inputs.to_vector<float>();
  }
  /// Class names and labels, as one text.
  std::string classes(const std::string& name, const std::string& options = whole) const {
    const Dataset part = load(pair("x.npy", name, options), Device::cpu()).train;
    return fmt::format("{}: {}", fmt::join(part.class_names, ","), fmt::join(labels_of(part), " "));
  }

  TemporaryFolder folder_;
};

TEST_F(Arrays, OfEveryNumberAreFeatures) {
  const std::vector<float> expected = {0, 1, 2, 3, 4, 5, 6, 100};
  const auto check = [&](const std::string& descr, const std::string& data) {
    folder_.write("m.npy", npy(descr, "(4, 2)", data));
    EXPECT_EQ(values("m.npy"), expected) << descr;
  };
  check("|u1", raw<std::uint8_t>({0, 1, 2, 3, 4, 5, 6, 100}));
  check("|i1", raw<std::int8_t>({0, 1, 2, 3, 4, 5, 6, 100}));
  check("<u2", raw<std::uint16_t>({0, 1, 2, 3, 4, 5, 6, 100}));
  check("<i2", raw<std::int16_t>({0, 1, 2, 3, 4, 5, 6, 100}));
  check("<u4", raw<std::uint32_t>({0, 1, 2, 3, 4, 5, 6, 100}));
  check("<i4", raw<std::int32_t>({0, 1, 2, 3, 4, 5, 6, 100}));
  check("<u8", raw<std::uint64_t>({0, 1, 2, 3, 4, 5, 6, 100}));
  check("<i8", raw<std::int64_t>({0, 1, 2, 3, 4, 5, 6, 100}));
  check("<f4", raw<float>({0, 1, 2, 3, 4, 5, 6, 100}));
  check("<f8", raw<double>({0, 1, 2, 3, 4, 5, 6, 100}));
  std::vector<float16> halves;
  for (const float value : expected) halves.push_back(to_float16(value));
  check("<f2", raw(halves));
  folder_.write("b.npy", npy("|b1", "(4, 2)", raw<std::uint8_t>({0, 1, 1, 0, 0, 0, 1, 1})));
  EXPECT_EQ(values("b.npy"), (std::vector<float>{0, 1, 1, 0, 0, 0, 1, 1}));
  folder_.write("large.npy", test::npy(std::vector<double>{1, 2, 3, 1e39}, {4, 1}));
  EXPECT_TRUE(contains(fault_of(pair("large.npy", "y.npy")), "sample 3, feature 0 is 1e+39, too large for float32"));
  folder_.write("flat.npy", test::npy(std::vector<float>{1, 2, 3, 4}, {4}));
  EXPECT_TRUE(contains(fault_of(pair("flat.npy", "y.npy")), "X.reshape(-1, 1)"));
}

TEST_F(Arrays, OfLabelsAreClassesByValue) {
  folder_.write("column.npy", test::npy(std::vector<std::int64_t>{1, 0, 1, 0}, {4, 1}));
  folder_.write("floats.npy", test::npy(std::vector<double>{1, 0, 1, -0.0}, {4}));
  folder_.write("from1.npy", test::npy(std::vector<std::int32_t>{3, 1, 2, 10}, {4}));
  folder_.write("signs.npy", npy("|i1", "(4,)", raw<std::int8_t>({1, -1, -1, 1})));
  folder_.write("gap.npy", test::npy(std::vector<std::uint8_t>{0, 7, 0, 7}, {4}));
  folder_.write("ids.npy", test::npy(std::vector<std::int64_t>{9007199254740993, 9007199254740992, 1, 1}, {4}));
  folder_.write("text.npy",
                npy("<U3", "(4,)", raw(std::vector<char32_t>{'o', 'a', 'k', 'f', 'i', 'r', 'o', 'a', 'k', 'x', 0, 0})));
  folder_.write("bytes.npy", npy("|S3", "(4, 1)", std::string("oakfiroakx\0\0", 12)));
  folder_.write("hot.npy", test::npy(std::vector<float>{0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0}, {4, 3}));
  folder_.write("flags.npy", npy("|b1", "(4,)", std::string("\1\0\0\1", 4)));
  EXPECT_EQ(classes("column.npy"), "0,1: 1 0 1 0");
  EXPECT_EQ(classes("floats.npy"), "0,1: 1 0 1 0");
  EXPECT_EQ(classes("from1.npy"), "1,2,3,10: 2 0 1 3");
  EXPECT_EQ(classes("signs.npy"), "-1,1: 1 0 0 1");
  EXPECT_EQ(classes("gap.npy"), "0,7: 0 1 0 1") << "no class without a sample";
  EXPECT_EQ(classes("ids.npy"), "1,9007199254740992,9007199254740993: 2 1 0 0");
  EXPECT_EQ(classes("text.npy"), "fir,oak,x: 1 0 1 2");
  EXPECT_EQ(classes("bytes.npy"), "fir,oak,x: 1 0 1 2");
  EXPECT_EQ(classes("flags.npy"), "0,1: 1 0 0 1");
  EXPECT_EQ(classes("hot.npy"), "0,2: 1 0 1 0");
  EXPECT_TRUE(contains(load(pair("x.npy", "hot.npy"), Device::cpu()).notes.at(0), "classes 0 to 2"));
  EXPECT_EQ(classes("gap.npy", "?test_fraction=0&classes=8"), "0,1,2,3,4,5,6,7: 0 7 0 7");
  EXPECT_EQ(classes("gap.npy", "?test_fraction=0&classes=7,0"), "7,0: 1 0 1 0");
  EXPECT_EQ(classes("text.npy", "?test_fraction=0&classes=x,oak,fir,ash"), "x,oak,fir,ash: 1 2 1 0");
  EXPECT_TRUE(contains(fault_of(pair("x.npy", "from1.npy", "?classes=3")), "label '3' is none of the classes 0, 1, 2"));
  folder_.write("one.npy", test::npy(std::vector<std::int64_t>{5}, {1}));
  folder_.write("x1.npy", test::npy(std::vector<float>{1, 2}, {1, 2}));
  EXPECT_TRUE(contains(fault_of(pair("x.npy", "from1.npy", "?test=" + path("x1.npy") + "," + path("one.npy"))),
                       "sample 0: the label '5' is none of the classes 1, 2, 3, 10; classes= names all that there are: "
                       "classes=1,2,3,10,5"));
}

TEST_F(Arrays, OfImagesHaveEitherLayout) {
  RandomSequence random(5050);
  std::vector<std::uint8_t> planes(4 * 3 * 5 * 6), turned(planes.size());
  for (auto& value : planes) value = static_cast<std::uint8_t>(random.below(256));
  for (std::size_t n = 0; n < 4; ++n)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t p = 0; p < 30; ++p) turned[(n * 30 + p) * 3 + c] = planes[(n * 3 + c) * 30 + p];
  folder_.write("nchw.npy", test::npy(planes, {4, 3, 5, 6}));
  folder_.write("nhwc.npy", test::npy(turned, {4, 5, 6, 3}));
  const TrainTest parts = load(pair("nchw.npy", "y.npy"), Device::cpu());
  EXPECT_EQ(parts.train.inputs.shape(), (Shape{4, 5, 6, 3}));
  EXPECT_EQ(parts.train.inputs.to_vector<std::uint8_t>(), turned);
  ASSERT_EQ(parts.notes.size(), 1u);
  EXPECT_TRUE(contains(parts.notes[0], "[4, 3, 5, 6] was taken for [N, C, H, W] (layout=nchw)")) << parts.notes[0];
  const TrainTest last = load(pair("nhwc.npy", "y.npy"), Device::cpu());
  EXPECT_EQ(last.train.inputs.to_vector<std::uint8_t>(), turned);
  EXPECT_TRUE(last.notes.empty());
  EXPECT_EQ(load(pair("nchw.npy", "y.npy", "?test_fraction=0&layout=nhwc"), Device::cpu()).train.inputs.shape(),
            (Shape{4, 3, 5, 6}));
  folder_.write("both.npy", test::npy(std::vector<std::uint8_t>(4 * 3 * 5 * 3), {4, 3, 5, 3}));
  EXPECT_TRUE(contains(fault_of(pair("both.npy", "y.npy")), "say layout=nhwc ([N, H, W, C]) or layout=nchw"));
  EXPECT_EQ(load(pair("both.npy", "y.npy", "?test_fraction=0&layout=nchw"), Device::cpu()).train.inputs.shape(),
            (Shape{4, 5, 3, 3}));
  folder_.write("none.npy", test::npy(std::vector<std::uint8_t>(4 * 8 * 5 * 7), {4, 8, 5, 7}));
  EXPECT_TRUE(contains(fault_of(pair("none.npy", "y.npy")), "whose channels may be any axis"));
}

TEST_F(Arrays, OfImagesInOtherNumbersAreBytes) {
  std::vector<std::uint8_t> bytes(4 * 2 * 3);
  std::vector<float> unit;
  std::vector<float16> half;
  std::vector<std::int64_t> wide;
  RandomSequence random(5051);
  for (auto& value : bytes) {
    value = static_cast<std::uint8_t>(random.below(256));
    unit.push_back(static_cast<float>(value) / 255.0f);
    half.push_back(to_float16(static_cast<float>(value) / 255.0f));
    wide.push_back(value);
  }
  const Shape shape{4, 2, 3};
  folder_.write("unit.npy", test::npy(unit, shape));
  folder_.write("half.npy", test::npy(half, shape));
  folder_.write("wide.npy", test::npy(wide, shape));
  for (const char* name : {"unit.npy", "half.npy", "wide.npy"}) {
    const TrainTest parts = load(pair(name, "y.npy"), Device::cpu());
    EXPECT_EQ(parts.train.inputs.to_vector<std::uint8_t>(), bytes) << name;
    EXPECT_EQ(parts.notes.size(), 1u);
  }
  unit[5] = -0.5f;
  folder_.write("signed.npy", test::npy(unit, shape));
  EXPECT_TRUE(contains(fault_of(pair("signed.npy", "y.npy")), "values such as -0.5"))
      << fault_of(pair("signed.npy", "y.npy"));
  EXPECT_TRUE(contains(fault_of(pair("signed.npy", "y.npy")), "X.reshape(len(X), -1)"));
}

TEST_F(Arrays, TakeLabelsFromTables) {
  folder_.write("labels.csv", "id,kind\nb7,oak\nb9,fir\nc1,oak\nc2,fir\n");
  folder_.write("one.csv", "kind\noak\nfir\noak\nfir\n");
  folder_.write("short.csv", "kind\noak\nfir\n");
  folder_.write("gap.csv", "kind\noak\n\"\"\noak\nfir\n");
  EXPECT_EQ(classes("labels.csv", "?test_fraction=0&label=kind"), "fir,oak: 1 0 1 0");
  EXPECT_EQ(classes("one.csv"), "fir,oak: 1 0 1 0");
  EXPECT_TRUE(contains(fault_of(pair("x.npy", "labels.csv")), "has 2 columns; say which one holds the classes"));
  EXPECT_TRUE(contains(fault_of(pair("x.npy", "short.csv")), "has 2 labels for 4 samples in"));
  EXPECT_TRUE(contains(fault_of(pair("x.npy", "gap.csv")), "line 3: the label (column 'kind') is missing"));
  const TrainTest dropped = load(pair("x.npy", "gap.csv", "?test_fraction=0&missing=drop"), Device::cpu());
  EXPECT_EQ(dropped.train.inputs.to_vector<float>(), (std::vector<float>{1, 2, 5, 6, 7, 8})) << "with its sample";
  EXPECT_EQ(labels_of(dropped.train), (std::vector<std::int32_t>{1, 1, 0}));
  EXPECT_TRUE(contains(dropped.notes.at(0), "1 of 4 rows was left out: line 3, kind is empty"));
  folder_.write("labels.txt", "kind\noak\nfir\noak\nfir\n");
  EXPECT_EQ(load("npy:" + path("x.npy") + ",csv:" + path("labels.txt") + whole, Device::cpu()).train.class_names,
            (Names{"fir", "oak"}));
}

TEST_F(Arrays, TakeFeaturesFromTables) {
  folder_.write("x.csv", "a,b,note\n1,2,p\n,4,q\n5,6,r\n7,8,s\n");
  folder_.write("gap.csv", "kind\noak\nfir\n\"\"\nfir\n");
  const TrainTest parts = load(pair("x.csv", "gap.csv", "?test_fraction=0&drop=note&missing=drop"), Device::cpu());
  EXPECT_EQ(parts.train.inputs.to_vector<float>(), (std::vector<float>{1, 2, 7, 8})) << "what both files have";
  EXPECT_EQ(labels_of(parts.train), (std::vector<std::int32_t>{1, 0}));
  EXPECT_EQ(parts.columns, (Names{"a", "b"}));
  EXPECT_EQ(parts.notes.size(), 2u);
  EXPECT_EQ(load(pair("x.csv", "y.npy", "?test_fraction=0&columns=b"), Device::cpu()).train.inputs.to_vector<float>(),
            (std::vector<float>{2, 4, 6, 8}));
}

TEST_F(Arrays, StandInOneArchive) {
  const Device host = Device::cpu();
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}, {4, 2}, host);
  const Tensor y = Tensor::from(std::vector<std::int64_t>{3, 4, 3, 4}, {4}, host);
  const Tensor test_x = Tensor::from(std::vector<float>{9, 9}, {1, 2}, host);
  const Tensor test_y = Tensor::from(std::vector<std::int64_t>{4}, {1}, host);
  const std::string file = path("d.npz");
  io::write_npz(file, {{"X", x}, {"y", y}}, true);
  const TrainTest parts = load("npy:" + file + whole, host);
  EXPECT_EQ(parts.train.inputs.to_vector<float>(), x.to_vector<float>());
  EXPECT_EQ(parts.train.class_names, (Names{"3", "4"}));
  EXPECT_TRUE(parts.notes.empty());
  io::write_npz(file, {{"rows", x}, {"y", y}});
  EXPECT_TRUE(contains(fault_of("npy:" + file), "say which array holds the inputs: x=NAME, one of rows, y"));
  EXPECT_TRUE(contains(fault_of("npy:" + file + "?x=lines"), "has no array 'lines'; it has rows, y"));
  EXPECT_EQ(load("npy:" + file + "?x=rows&test_fraction=0", host).train.size(), 4);
  io::write_npz(file, {{"x_train", x}, {"y_train", y}, {"x_test", test_x}, {"y_test", test_y}});
  const TrainTest split = load("npy:" + file, host);
  EXPECT_EQ(split.train.size(), 4);
  EXPECT_EQ(split.test.inputs.to_vector<float>(), (std::vector<float>{9, 9}));
  EXPECT_EQ(labels_of(split.test), (std::vector<std::int32_t>{1}));
  EXPECT_TRUE(std::any_of(split.notes.begin(), split.notes.end(),
                          [](const auto& note) { return contains(note, "'x_test' was taken for the inputs"); }));
  EXPECT_EQ(load("npy:" + file + "?test_fraction=0.5", host).test.size(), 2) << "asked for, a share is parted off";
  EXPECT_EQ(load("npy:" + file + "," + path("y.npy") + whole, host).train.class_names, (Names{"0", "1"}));
}

TEST_F(Arrays, HaveNamesWithCommas) {
  folder_.write("x,1.npy", test::npy(std::vector<float>{1, 2, 3, 4}, {4, 1}));
  EXPECT_EQ(load(pair("x%2C1.npy", "y.npy"), Device::cpu()).train.inputs.extent(1), 1);
  EXPECT_TRUE(contains(fault_of(pair("x,1.npy", "y.npy")), "a comma in a name is written %2C"));
}

}  // namespace
}  // namespace rtl::data
