#include "rtl/data/load.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "data/make_files.hpp"
#include "support/devices.hpp"
#include "support/gzip.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using test::TemporaryFolder;

std::vector<std::int32_t> labels_of(const Dataset& dataset) { return dataset.labels.to_vector<std::int32_t>(); }

std::string fault_of(const std::string& spec) {
  try {
    (void)load(spec, Device::cpu());
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

/// MNIST-like files of 2 x 3 pixels: 6 for training, 2 for test.
void write_idx(const TemporaryFolder& folder) {
  std::vector<std::uint8_t> pixels(36);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i);
  folder.write("train-images-idx3-ubyte.gz", test::gzip(test::idx({6, 2, 3}, pixels)));
  folder.write("train-labels-idx1-ubyte", test::idx({6}, {0, 1, 2, 0, 1, 2}));
  folder.write("t10k-images.idx3-ubyte", test::idx({2, 2, 3}, std::vector<std::uint8_t>(12, 9)));
  folder.write("t10k-labels.idx1-ubyte.gz", test::gzip(test::idx({2}, {1, 0})));
}

TEST(Load, ReadsIdx) {
  const TemporaryFolder folder;
  write_idx(folder);
  const std::string spec = "idx:" + folder.path();
  for (const Device& device : test::devices()) {
    const TrainTest parts = load(spec, device);
    EXPECT_EQ(parts.train.inputs.shape(), (Shape{6, 2, 3, 1}));
    EXPECT_EQ(parts.train.inputs.to_vector<std::uint8_t>()[35], 35);
    EXPECT_EQ(labels_of(parts.test), (std::vector<std::int32_t>{1, 0}));
    EXPECT_EQ(parts.test.classes, 3);
    EXPECT_EQ(parts.train.name, spec);
    EXPECT_TRUE(parts.train.inputs.device() == device);
    parts.train.validate(true);
  }
  EXPECT_EQ(load(spec + "?classes=4", Device::cpu()).train.classes, 4);
}

TEST(Load, RefusesWhatLeavesNothing) {
  EXPECT_NE(fault_of("glyphs:?train=4&offset=4").find("leaves nothing"), std::string::npos);
}

TEST(Load, LimitsOffsetsAndSplits) {
  const TemporaryFolder folder;
  write_idx(folder);
  const Device host = Device::cpu();
  const std::string spec = "idx:" + folder.path();
  const TrainTest limited = load(spec + "?limit=3&offset=2", host);
  EXPECT_EQ(labels_of(limited.train), (std::vector<std::int32_t>{2, 0, 1}));
  EXPECT_EQ(limited.train.inputs.to_vector<std::uint8_t>()[0], 12);
  EXPECT_EQ(limited.test.size(), 2);
  EXPECT_EQ(load(spec + "?limit=100", host).train.size(), 6);
  EXPECT_EQ(load(spec + "?limit=100&offset=5", host).train.size(), 1);
  const TrainTest test_only = load(spec + "?split=test&limit=1&classes=3", host);
  EXPECT_EQ(labels_of(test_only.train), (std::vector<std::int32_t>{1}));
  EXPECT_EQ(labels_of(test_only.test), (std::vector<std::int32_t>{1}));
  std::filesystem::remove(folder / "t10k-images.idx3-ubyte");
  EXPECT_EQ(load(spec + "?split=train", host).test.size(), 6) << "the other part's files are not needed";
  EXPECT_THROW(load(spec, host), IoError);
}

TEST(Load, ReadsCifar10UnderItsOfficialNames) {
  const TemporaryFolder folder;
  for (std::uint8_t batch = 1; batch <= 5; ++batch) {
    const std::string name = "data_batch_" + std::to_string(batch) + ".bin";
    const std::string content = test::cifar({{batch}, {9}});
    batch % 2 == 0 ? folder.write(name + ".gz", test::gzip(content)) : folder.write(name, content);
  }
  folder.write("test_batch.bin", test::cifar({{7}}));
  folder.write("batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  const TrainTest parts = load("cifar10:" + folder.path(), Device::cpu());
  EXPECT_EQ(labels_of(parts.train), (std::vector<std::int32_t>{1, 9, 2, 9, 3, 9, 4, 9, 5, 9}));
  EXPECT_EQ(parts.train.class_names[9], "j");
  const std::vector<std::uint8_t> pixels = parts.train.inputs.to_vector<std::uint8_t>();
  for (const std::size_t pixel : {0u, 1u, 31u, 32u, 1023u}) {
    for (std::size_t c = 0; c < 3; ++c) EXPECT_EQ(pixels[3072 + 3 * pixel + c], (1 + 50 * c + pixel) % 256);
  }
  std::filesystem::remove(folder / "data_batch_3.bin");
  EXPECT_THROW(load("cifar10:" + folder.path(), Device::cpu()), IoError);
}

TEST(Load, ReadsCifar100WithEitherLabel) {
  const TemporaryFolder folder;
  folder.write("train.bin", test::cifar({{19, 99}, {0, 5}}));
  folder.write("test.bin.gz", test::gzip(test::cifar({{3, 4}})));
  const std::string spec = "cifar100:" + folder.path();
  EXPECT_EQ(labels_of(load(spec, Device::cpu()).train), (std::vector<std::int32_t>{99, 5}));
  const TrainTest coarse = load(spec + "?labels=coarse", Device::cpu());
  EXPECT_EQ(labels_of(coarse.train), (std::vector<std::int32_t>{19, 0}));
  EXPECT_EQ(coarse.test.classes, 20);
  EXPECT_EQ(coarse.train.inputs.to_vector<std::uint8_t>()[0], 0);
  folder.write("mine_train_2.bin", test::cifar({{0, 0}}));
  EXPECT_EQ(load(spec, Device::cpu()).train.size(), 2) << "official names come first";
}

TEST(Load, ReadsNpyPairs) {
  const TemporaryFolder folder;
  std::vector<float> features;
  std::vector<std::int64_t> labels;
  for (int i = 0; i < 20; ++i) {
    features.insert(features.end(), {static_cast<float>(i), 0.5f});
    labels.push_back(i % 2);
  }
  const std::string x = folder.write("x.npy", test::npy(features, {20, 2}));
  const std::string y = folder.write("y.npy.gz", test::gzip(test::npy(labels, {20})));
  const std::string spec = "npy:" + x + "," + y;
  const TrainTest parts = load(spec, Device::cpu());
  EXPECT_EQ(parts.train.inputs.shape(), (Shape{16, 2}));
  EXPECT_EQ(parts.test.size(), 4);
  EXPECT_EQ(parts.test.classes, 2);
  const std::vector<std::int32_t> test_labels = labels_of(parts.test);
  EXPECT_EQ(std::count(test_labels.begin(), test_labels.end(), 1), 2) << "stratified";
  std::vector<float> rows;
  for (const Dataset* part : {&parts.train, &parts.test}) {
    const std::vector<float> values = part->inputs.to_vector<float>();
    for (std::size_t i = 0; i < values.size(); i += 2) rows.push_back(values[i]);
  }
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.begin() + 16)) << "in file order";
  std::sort(rows.begin(), rows.end());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(rows[static_cast<std::size_t>(i)], i);
  EXPECT_NE(load(spec + "?seed=1", Device::cpu()).test.inputs.to_vector<float>(), parts.test.inputs.to_vector<float>());
  EXPECT_EQ(load(spec + "?test_fraction=0&split=train", Device::cpu()).train.inputs.to_vector<float>(), features);
  const TrainTest all = load(spec + "?test_fraction=0", Device::cpu());
  EXPECT_EQ(all.train.size(), 20);
  EXPECT_EQ(all.test.inputs.shape(), (Shape{0, 2}));
  EXPECT_NE(fault_of(spec + "?test_fraction=1").find("leaves the training part empty"), std::string::npos);
  EXPECT_NE(fault_of(spec + "?test_fraction=2").find("a number from 0 to 1"), std::string::npos);
}

TEST(Load, ReadsNpyTestFilesAndImages) {
  const TemporaryFolder folder;
  const std::string x = folder.write("x.npy", test::npy(std::vector<std::uint8_t>(4 * 2 * 3), {4, 2, 3}));
  const std::string y = folder.write("y.npy", test::npy(std::vector<std::uint8_t>{0, 1, 2, 1}, {4}));
  const std::string xt = folder.write("xt.npy", test::npy(std::vector<std::uint8_t>(2 * 3), {1, 2, 3, 1}));
  const std::string yt = folder.write("yt.npy", test::npy(std::vector<std::int32_t>{2}, {1}));
  const std::string spec = "npy:" + x + "," + y + "?test=" + xt + "," + yt;
  const TrainTest parts = load(spec, Device::cpu());
  EXPECT_EQ(parts.train.inputs.shape(), (Shape{4, 2, 3, 1}));
  EXPECT_EQ(parts.test.inputs.shape(), (Shape{1, 2, 3, 1}));
  EXPECT_EQ(parts.test.classes, 3);
  EXPECT_NE(fault_of(spec + "&seed=1").find("do not go with it"), std::string::npos);
  const std::string doubles = folder.write("d.npy", test::npy(std::vector<double>{1.5, 2, 3, 4}, {4, 1}));
  const TrainTest narrowed = load("npy:" + doubles + "," + y + "?test_fraction=0&split=train", Device::cpu());
  EXPECT_EQ(narrowed.train.inputs.to_vector<float>(), (std::vector<float>{1.5f, 2, 3, 4}));
}

TEST(Load, ReadsCsv) {
  const TemporaryFolder folder;
  std::string text = "size;kind;note;weight\n";
  for (int i = 0; i < 20; ++i) {
    text += fmt::format("{};{};\"n;{}\";{}\n", i, i % 2 == 0 ? "oak" : "fir", i, i == 7 ? "?" : "0.5");
  }
  const std::string spec = "csv:" + folder.write("trees.csv", text) + "?label=kind&drop=note";
  EXPECT_NE(fault_of(spec).find("line 9: column 'weight' has no value"), std::string::npos) << fault_of(spec);
  const TrainTest all = load(spec + "&missing=drop&test_fraction=0&split=train", Device::cpu());
  EXPECT_EQ(all.train.inputs.shape(), (Shape{19, 2}));
  EXPECT_EQ(all.train.class_names, (std::vector<std::string>{"fir", "oak"}));
  EXPECT_EQ(labels_of(all.train)[0], 1);
  EXPECT_EQ(all.train.inputs.to_vector<float>()[15], 0.5f);
  EXPECT_EQ(all.train.inputs.to_vector<float>()[14], 8) << "row 7 is left out";
  const TrainTest parts = load(spec + ",weight&seed=3", Device::cpu());
  EXPECT_EQ(parts.train.inputs.shape(), (Shape{16, 1}));
  EXPECT_EQ(parts.test.size(), 4);

  const std::string other = folder.write("other.csv", "size,kind,note,weight\n1,oak,x,2\n");
  const TrainTest two = load(spec + "&missing=drop&test=" + other, Device::cpu());
  EXPECT_EQ(labels_of(two.test), (std::vector<std::int32_t>{1})) << "by the training file's classes";
  const std::string strange = folder.write("strange.csv", "size,kind,note,weight\n1,elm,x,2\n");
  EXPECT_NE(fault_of(spec + "&missing=drop&test=" + strange).find("'elm' is none of the classes fir, oak"),
            std::string::npos);
  const std::string swapped = folder.write("swapped.csv", "weight,kind,note,size\n1,oak,x,2\n");
  EXPECT_NE(fault_of(spec + "&missing=drop&test=" + swapped).find("has the columns weight, size"), std::string::npos);
  const TrainTest named =
      load("csv:" + other + "?label=2&drop=3&classes=elm,oak&split=train&test_fraction=0", Device::cpu());
  EXPECT_EQ(named.train.classes, 2);
  EXPECT_EQ(labels_of(named.train), (std::vector<std::int32_t>{1}));
}

TEST(Load, ReadsSvmlight) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 10; ++i) text += fmt::format("{} 1:{} 3:1\n", i % 2 == 0 ? "-1" : "+1", i + 1);
  const std::string spec = "svmlight:" + folder.write("t.svmlight", text);
  const TrainTest parts = load(spec, Device::cpu());
  EXPECT_EQ(parts.train.inputs.shape(), (Shape{8, 3}));
  EXPECT_EQ(parts.test.size(), 2);
  EXPECT_EQ(parts.train.class_names, (std::vector<std::string>{"-1", "1"}));
  EXPECT_EQ(load(spec + "?features=5", Device::cpu()).train.inputs.extent(1), 5);
  EXPECT_EQ(load(spec + "?first_index=0", Device::cpu()).train.inputs.extent(1), 4);
  EXPECT_EQ(load(spec + "?classes=-1,0,1", Device::cpu()).train.classes, 3);
  const std::string test = folder.write("test.svmlight", "1 2:1\n");
  const TrainTest two = load(spec + "?test=" + test, Device::cpu());
  EXPECT_EQ(two.test.inputs.to_vector<float>(), (std::vector<float>{0, 1, 0})) << "as wide as the training file";
  EXPECT_EQ(labels_of(two.test), (std::vector<std::int32_t>{1}));
}

}  // namespace
}  // namespace rtl::data
