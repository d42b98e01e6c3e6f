// HDF5 files that h5py and AnnData wrote (tests/golden/make/hdf5.py), as data sets by SPEC.
#include "io/hdf5.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/data/load.hpp"
#include "support/golden.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using Names = std::vector<std::string>;

const Device& host() {
  static const Device device = Device::cpu(1);
  return device;
}

std::string file(const std::string& name) { return test::golden_file("files/hdf5/" + name); }

/// All samples, as the training part.
TrainTest load_all(const std::string& name, const std::string& options) {
  return load("hdf5:" + file(name) + "?test_fraction=0" + (options.empty() ? "" : "&" + options), host());
}

std::string fault_of(const std::string& name, const std::string& options) {
  try {
    load_all(name, options);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "none";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::vector<float> counting(float step, float start = 0) {
  std::vector<float> values;
  for (int i = 0; i < 24; ++i) values.push_back(static_cast<float>(i) * step + start);
  return values;
}

class Hdf5 : public testing::Test {
 protected:
  void SetUp() override {
    try {
      (void)io::Hdf5File(file("arrays.h5"));
    } catch (const NotCompiled& error) {
      EXPECT_TRUE(has(error.what(), "libhdf5-dev"));
      GTEST_SKIP() << "NOT TESTED without libhdf5";
    }
  }
};

TEST_F(Hdf5, ReadsMatricesOfEveryType) {
  for (const char* name : {"f64", "f32", "f16", "big", "packed", "sealed"}) {
    const TrainTest parts = load_all("arrays.h5", std::string("inputs=/") + name);
    EXPECT_EQ(parts.train.inputs.shape(), (Shape{6, 4})) << name;
    EXPECT_EQ(parts.train.inputs.to_vector<float>(), counting(0.125F)) << name;
    EXPECT_EQ(parts.train.labels.to_vector<std::int32_t>(), (std::vector<std::int32_t>{1, 0, 1, 2, 0, 1})) << "of y";
    EXPECT_EQ(parts.train.class_names, (Names{"0", "1", "2"}));
  }
  EXPECT_EQ(load_all("arrays.h5", "inputs=i16").train.inputs.to_vector<float>(), counting(1, -5));
  for (const char* name : {"u64", "u8"}) {
    EXPECT_EQ(load_all("arrays.h5", std::string("inputs=") + name).train.inputs.to_vector<float>(), counting(1));
  }
  const std::vector<float> flags = load_all("arrays.h5", "inputs=flags").train.inputs.to_vector<float>();
  for (std::size_t i = 0; i < flags.size(); ++i) EXPECT_EQ(flags[i], i % 2 == 0 ? 1 : 0);
}

TEST_F(Hdf5, ReadsTextsTargetsAndImages) {
  for (const char* name : {"group/fixed", "/group/variable"}) {
    const Dataset samples = load_all("arrays.h5", std::string("inputs=f32&targets=") + name).train;
    EXPECT_EQ(samples.class_names, (Names{"a", "b", "c"})) << name;
    EXPECT_EQ(samples.labels.to_vector<std::int32_t>(), (std::vector<std::int32_t>{1, 0, 1, 2, 0, 1})) << name;
  }
  const Dataset real = load_all("arrays.h5", "inputs=f32&targets=real&target=real").train;
  EXPECT_EQ(real.targets.to_vector<float>(), (std::vector<float>{0.5, 1.5, 2.5, 3.5, 4.5, 5.5}));
  const Dataset images = load_all("arrays.h5", "inputs=images&layout=nhwc").train;
  EXPECT_EQ(images.inputs.shape(), (Shape{6, 3, 2, 3}));
  EXPECT_EQ(images.inputs.to_vector<std::uint8_t>()[100], 100);
  EXPECT_EQ(load_all("arrays.h5", "inputs=images&layout=nchw").train.inputs.shape(), (Shape{6, 2, 3, 3}));
  EXPECT_FALSE(load_all("arrays.h5", "inputs=f32&targets=").train.labels.defined());
  const TrainTest prepared = load_all("arrays.h5", "inputs=f32&prepare=standardize");
  EXPECT_NEAR(prepared.train.inputs.to_vector<float>()[0], -1.46385F, 1e-4) << "-2.5 rows of sqrt(35 / 12)";
}

TEST_F(Hdf5, ReadsAnnData) {
  std::vector<float> values = counting(1);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 3 == 0 ? values[i] : 0;
  for (const char* name : {"sparse.h5ad", "dense.h5ad", "old.h5ad"}) {
    const Dataset samples = load_all(name, "targets=obs/kind").train;
    EXPECT_EQ(samples.inputs.to_vector<float>(), values) << name;
    EXPECT_EQ(samples.class_names, (Names{"a", "b", "c"})) << name;
    EXPECT_EQ(samples.labels.to_vector<std::int32_t>(), (std::vector<std::int32_t>{1, 0, 1, 2, 0, 1})) << name;
  }
  EXPECT_EQ(load_all("columns.h5ad", "targets=obs/kind").train.inputs.to_vector<float>(), values) << "by columns";
  const Dataset both = load_all("sparse.h5ad", "inputs=X,obsm/spatial&targets=obs/depth&target=real").train;
  EXPECT_EQ(both.inputs.shape(), (Shape{6, 6}));
  const std::vector<float> all = both.inputs.to_vector<float>();
  EXPECT_EQ(std::vector<float>(all.begin() + 6, all.begin() + 12), (std::vector<float>{0, 0, 6, 0, 2, 2.5}));
  EXPECT_EQ(both.targets.to_vector<float>().back(), 5.5F);
}

TEST_F(Hdf5, KeepsSparseMatricesSparseWhereAsked) {
  const Dataset dense = load_all("dense.h5ad", "targets=obs/kind").train;
  for (const char* name : {"sparse.h5ad", "columns.h5ad"}) {
    const TrainTest parts = load_all(name, "targets=obs/kind&sparse=yes");
    const Dataset& kept = parts.train;
    ASSERT_TRUE(kept.is_sparse()) << name;
    EXPECT_EQ(kept.sparse.entries(), 7) << name;
    EXPECT_EQ(kept.sparse.dense("test:").to_vector<float>(), dense.inputs.to_vector<float>()) << name;
    EXPECT_EQ(kept.labels.to_vector<std::int32_t>(), dense.labels.to_vector<std::int32_t>()) << name;
    EXPECT_TRUE(parts.notes.empty()) << parts.notes.front();
    EXPECT_FALSE(load_all(name, "targets=obs/kind").train.is_sparse()) << "small enough to be dense";
    EXPECT_FALSE(load_all(name, "targets=obs/kind&sparse=no&prepare=log1p").train.is_sparse());
  }
  EXPECT_TRUE(has(fault_of("dense.h5ad", "targets=obs/kind&sparse=yes"), "leave out sparse=yes"));
  EXPECT_TRUE(has(fault_of("sparse.h5ad", "inputs=X,obsm/spatial&targets=&sparse=yes"), "leave out sparse=yes"));
  EXPECT_TRUE(has(fault_of("hostile.h5ad", "inputs=many&targets=&sparse=yes"), "promises 3 x 1099511627776 numbers"));
  EXPECT_TRUE(has(fault_of("hostile.h5ad", "inputs=outside&targets=&sparse=yes"), "row 0 has column 2 of 2"));
  EXPECT_THROW(load_all("sparse.h5ad", "targets=obs/kind&sparse=yes&prepare=log1p"), ValueError);
}

TEST_F(Hdf5, SaysWhatIsThereAndWhatIsWrong) {
  EXPECT_TRUE(has(fault_of("arrays.h5", "targets=y"), "inputs=PATH; it has /beyond [2] i64, /big [6, 4] f64, "));
  EXPECT_TRUE(
      has(fault_of("arrays.h5", "inputs=none"), "has no data set '/none' of its own; it has /beyond [2] i64, /big"));
  EXPECT_TRUE(has(fault_of("dense.h5ad", ""), "targets=PATH, or targets= if there are none; it has /X [6, 4] f32"));
  EXPECT_TRUE(has(fault_of("arrays.h5", "inputs=hole"), "sample 2, feature 1 is nan"));
  EXPECT_TRUE(has(fault_of("arrays.h5", "inputs=cube"), "inputs are vectors [N, p], or images"));
  EXPECT_TRUE(has(fault_of("arrays.h5", "inputs=y"), "inputs are vectors [N, p]"));
  EXPECT_TRUE(has(fault_of("arrays.h5", "inputs=group/fixed"), "holds text, not numbers"));
  EXPECT_TRUE(has(fault_of("arrays.h5", "inputs=pairs"), "holds neither numbers nor text"));
  EXPECT_TRUE(has(fault_of("arrays.h5", "inputs=f32&targets=beyond"), "int64 does not hold"));
  EXPECT_TRUE(has(fault_of("arrays.h5", "inputs=f32&targets=group/fixed&target=real"), "texts and categories"));
  EXPECT_TRUE(has(fault_of("arrays.h5", "inputs=f32&targets=images"), "labels are [N] or [N, 1]"));
  EXPECT_TRUE(has(fault_of("arrays.h5", "inputs=f32,y"), "several inputs are vectors [N, p] of equally many"));
  EXPECT_TRUE(has(fault_of("old.h5ad", "targets=obs/missing"), "sample 2: the code -1 is a missing value"));
  EXPECT_THROW(load("hdf5:" + file("arrays.h5") + "?targets=&classes=a,b", host()), ValueError);
  EXPECT_THROW(load("hdf5:" + file("none.h5"), host()), IoError);
}

TEST_F(Hdf5, RefusesWhatLiesElsewhereAndPromisesThatNoFileKeeps) {
  for (const char* name : {"unwritten", "promise"}) {
    EXPECT_TRUE(has(fault_of("arrays.h5", std::string("inputs=") + name), "bytes, but 0 are stored")) << name;
  }
  EXPECT_TRUE(has(fault_of("arrays.h5", "inputs=elsewhere"), "has no data set '/elsewhere' of its own"));
  EXPECT_TRUE(has(fault_of("arrays.h5", "inputs=virtual"), "lies in other files"));
  EXPECT_TRUE(has(fault_of("hostile.h5ad", "inputs=many&targets="), "promises 3 x 1099511627776 numbers"));
  EXPECT_TRUE(has(fault_of("hostile.h5ad", "inputs=outside&targets="), "row 0 has column 2 of 2"));
  for (const char* name : {"unsorted", "rows"}) {
    EXPECT_TRUE(has(fault_of("hostile.h5ad", std::string("inputs=") + name + "&targets="), "do not agree")) << name;
  }
}

TEST_F(Hdf5, FindsFilesThatAreCutShortAndSealedDataThatChanged) {
  const test::TemporaryFolder folder;
  const std::string whole = test::content_of(file("arrays.h5"));
  for (std::size_t size = 0; size < whole.size(); size += 997) {
    EXPECT_THROW(io::Hdf5File(folder.write("cut.h5", whole.substr(0, size))), FormatError) << size;
  }
  const double second = 0.125;
  const std::string rows(reinterpret_cast<const char*>(&second), sizeof second);
  std::string damaged = whole;
  for (std::size_t at = damaged.find(rows); at != std::string::npos; at = damaged.find(rows, at + 1)) damaged[at] ^= 1;
  const io::Hdf5File changed(folder.write("damaged.h5", damaged));
  EXPECT_THROW((void)changed.numbers("sealed"), FormatError);
  EXPECT_EQ(io::Hdf5File(file("arrays.h5")).numbers("sealed").to_vector<double>()[1], second);
}

}  // namespace
}  // namespace rtl::data
