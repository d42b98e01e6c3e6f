// Sparse rows, and data sets of them: what they hold, what is refused, and that they are the dense vectors otherwise.
#include "rtl/data/sparse_rows.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/data/dataset.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/stress.hpp"
#include "rtl/data/svmlight.hpp"
#include "rtl/data/text_encoder.hpp"
#include "rtl/kernels/sparse.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using Offsets = std::vector<std::int64_t>;
using Columns = std::vector<std::int32_t>;
using Values = std::vector<float>;
using test::TemporaryFolder;

/// About a tenth of the elements; some rows and columns have none.
Values drawn(std::int64_t rows, std::int64_t width) {
  RandomSequence random(test::seed(), 3);
  Values dense(static_cast<std::size_t>(rows * width));
  for (std::size_t i = 0; i < dense.size(); ++i) {
    const bool kept = random.below(10) == 0 && static_cast<std::int64_t>(i) / width % 5 != 2;
    if (kept && static_cast<std::int64_t>(i) % width != 1) dense[i] = static_cast<float>(random.normal());
  }
  return dense;
}

Dataset labelled(Tensor inputs) {
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < inputs.extent(0); ++i) labels.push_back(static_cast<std::int32_t>(i % 2));
  const Device device = inputs.device();
  const std::int64_t count = inputs.extent(0);
  return {std::move(inputs), Tensor::from(labels, {count}, device), 2, {}, "table"};
}

/// The same data set with its zeros left out.
Dataset sparse_of(const Dataset& dense) {
  Dataset sparse = dense.clone();
  sparse.sparse = SparseRows::of(dense.inputs);
  sparse.inputs = {};
  return sparse;
}

Values dense_values(const Dataset& dataset) {
  return (dataset.is_sparse() ? dataset.sparse.dense("a test needs") : dataset.inputs.clone()).to_vector<float>();
}

std::string fault_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(SparseRows, HoldWhatIsNotZero) {
  for (const Device& device : test::devices()) {
    const Values values = drawn(33, 41);
    const Tensor dense = Tensor::from(values, {33, 41}, device);
    const SparseRows rows = SparseRows::of(dense);
    EXPECT_EQ(rows.rows(), 33);
    EXPECT_EQ(rows.width(), 41);
    EXPECT_EQ(rows.entries(), std::count_if(values.begin(), values.end(), [](float value) { return value != 0; }));
    EXPECT_EQ(rows.bytes(), static_cast<std::size_t>(34 * 8 + rows.entries() * 8));
    EXPECT_EQ(rows.dense("a test needs").to_vector<float>(), values);
    EXPECT_EQ(rows.clone().to(Device::cpu()).dense("a test needs").to_vector<float>(), values);
    const Offsets chosen = {4, 0, 32, 4};
    Values wanted;
    for (const std::int64_t row : chosen)
      wanted.insert(wanted.end(), &values[static_cast<std::size_t>(row * 41)],
                    &values[static_cast<std::size_t>(row * 41)] + 41);
    EXPECT_EQ(rows.subset(chosen).dense("a test needs").to_vector<float>(), wanted);
    EXPECT_EQ(rows.subset({}).rows(), 0);
  }
  EXPECT_FALSE(SparseRows().defined());
  EXPECT_FALSE(SparseRows().clone().defined());
}

TEST(SparseRows, RefuseWhatIsNoMatrix) {
  const auto make = [](std::int64_t width, const Offsets& offsets, const Columns& columns, std::size_t values) {
    return fault_of([&] { SparseRows(width, offsets, columns, Values(values, 1), Device::cpu()); });
  };
  EXPECT_EQ(make(3, {0, 2, 2, 3}, {0, 2, 1}, 3), "");
  EXPECT_NE(make(3, {}, {}, 0).find("no offsets"), std::string::npos);
  EXPECT_NE(make(0, {0}, {}, 0).find("0 columns"), std::string::npos);
  EXPECT_NE(make(3, {0, 1}, {0}, 2).find("1 columns for 2 values"), std::string::npos);
  EXPECT_NE(make(3, {1, 1}, {0}, 1).find("begin with 1"), std::string::npos);
  EXPECT_NE(make(3, {0, 1, 0, 1}, {0}, 1).find("row 1: the offsets fall"), std::string::npos);
  EXPECT_NE(make(3, {0, 1}, {0, 1}, 2).find("end with 1 for 2"), std::string::npos);
  EXPECT_NE(make(3, {0, 1, 2}, {0, 3}, 2).find("row 1: there is a column 3 of 3"), std::string::npos);
  EXPECT_NE(make(3, {0, 1}, {-1}, 1).find("column -1"), std::string::npos);
  EXPECT_NE(make(3, {0, 2}, {2, 0}, 2).find("column 0 stands behind column 2"), std::string::npos);
  EXPECT_NE(make(3, {0, 2}, {1, 1}, 2).find("column 1 stands behind column 1"), std::string::npos);
  EXPECT_THROW(SparseRows::of(Tensor::zeros({2, 2, 2}, DType::f32, Device::cpu())), ShapeError);
  EXPECT_THROW(SparseRows::of(Tensor::zeros({2, 2}, DType::f64, Device::cpu())), DTypeError);
}

TEST(SparseRows, SayHowMuchTheyWouldTakeDense) {
  const Offsets offsets(2049);
  const SparseRows wide(1 << 20, offsets, Columns(), Values(), Device::cpu());
  const std::string fault = fault_of([&] { (void)wide.dense("this needs"); });
  EXPECT_NE(fault.find("this needs the dense form of 2048 sparse rows of 1048576 columns, which would take 8.0 GiB"),
            std::string::npos)
      << fault;
}

TEST(SparseDatasets, AreTheDenseOnesOtherwise) {
  for (const Device& device : test::devices()) {
    const Dataset dense = labelled(Tensor::from(drawn(40, 23), {40, 23}, device)), sparse = sparse_of(dense);
    sparse.validate(true);
    EXPECT_TRUE(sparse.is_sparse());
    EXPECT_EQ(sparse.size(), 40);
    EXPECT_EQ(sparse.sample_shape(), Shape{23});
    EXPECT_FALSE(sparse.has_images());
    EXPECT_FALSE(sparse.has_tokens());
    EXPECT_EQ(sparse.device(), device);
    EXPECT_LT(sparse.input_bytes(), dense.input_bytes());
    const Offsets chosen = {7, 3, 3, 39};
    const Dataset part = sparse.subset(chosen);
    EXPECT_TRUE(part.is_sparse());
    EXPECT_EQ(dense_values(part), dense_values(dense.subset(chosen)));
    EXPECT_EQ(part.labels.to_vector<std::int32_t>(), dense.subset(chosen).labels.to_vector<std::int32_t>());
    EXPECT_THROW(sparse.subset(Offsets{40}), ValueError);
    EXPECT_EQ(dense_values(sparse.clone()), dense_values(dense));
    EXPECT_EQ(dense_values(sparse.to(Device::cpu())), dense_values(dense));
    EXPECT_FALSE(sparse.without_tensors().is_sparse());
    const Tensor rows = Tensor::from(chosen, {4}, device);
    for (const DType dtype : {DType::f32, DType::f64}) {
      Tensor from_dense({4, 23}, dtype, device), from_sparse({4, 23}, dtype, device);
      gather_inputs(dense, rows, {}, from_dense);
      gather_inputs(sparse, rows, {}, from_sparse);
      if (dtype == DType::f32) {
        EXPECT_EQ(from_sparse.to_vector<float>(), from_dense.to_vector<float>());
      } else {
        EXPECT_EQ(from_sparse.to_vector<double>(), from_dense.to_vector<double>());
      }
    }
    EXPECT_EQ(dense_values(with_input_noise(sparse, 0.5, 3)), dense_values(with_input_noise(dense, 0.5, 3)));
    EXPECT_EQ(dense_values(stressed(sparse, {.few = 11, .confusion = 0.3, .seed = 5})),
              dense_values(stressed(dense, {.few = 11, .confusion = 0.3, .seed = 5})));
  }
}

TEST(SparseDatasets, HaveAHashOfAllThatTheyHold) {
  const Offsets offsets = {0, 2, 3};
  const auto hash = [&](std::int64_t width, const Offsets& begins, const Columns& columns, const Values& values) {
    Dataset dataset;
    dataset.sparse = SparseRows(width, begins, columns, values, Device::cpu());
    return dataset.input_hash();
  };
  const std::uint64_t first = hash(5, offsets, {0, 3, 1}, {1, 2, 3});
  EXPECT_EQ(first, hash(5, offsets, {0, 3, 1}, {1, 2, 3}));
  EXPECT_NE(first, hash(6, offsets, {0, 3, 1}, {1, 2, 3}));
  EXPECT_NE(first, hash(5, {0, 1, 3}, {0, 1, 3}, {1, 2, 3}));
  EXPECT_NE(first, hash(5, offsets, {0, 4, 1}, {1, 2, 3}));
  EXPECT_NE(first, hash(5, offsets, {0, 3, 1}, {1, 2, 4}));
}

TEST(SparseDatasets, AreRefusedWithWordsThatSayWhere) {
  Dataset sparse;
  sparse.name = "wide";
  sparse.sparse = SparseRows(9, Offsets{0, 1, 1, 3}, Columns{0, 2, 8}, Values{1, 2, NAN}, Device::cpu());
  sparse.labels = Tensor::from(std::vector<std::int32_t>{0, 1, 0}, {3}, Device::cpu());
  sparse.classes = 2;
  EXPECT_NO_THROW(sparse.check());
  EXPECT_NE(fault_of([&] { sparse.validate(false); }).find("sample 2, feature 8 is nan"), std::string::npos);
  EXPECT_NE(fault_of([&] { (void)fit_normalization(sparse); }).find("sample 2, feature 8 is nan"), std::string::npos);
  sparse.inputs = Tensor::zeros({3, 9}, DType::f32, Device::cpu());
  EXPECT_NE(fault_of([&] { sparse.check(); }).find("both dense inputs and sparse ones"), std::string::npos);
  sparse.inputs = {};
  sparse.vocabulary = 3;
  EXPECT_THROW(sparse.check(), ValueError);
  sparse.vocabulary = 0;
  sparse.labels = Tensor::from(std::vector<std::int32_t>{0, 1}, {2}, Device::cpu());
  EXPECT_THROW(sparse.check(), ValueError);
}

TEST(SparseDatasets, AreStandardisedByTheNumbersOfTheDenseOnes) {
  for (const Device& device : test::devices()) {
    const std::int64_t rows = 60, width = 17;
    Values values = drawn(rows, width);
    for (std::int64_t row = 0; row < rows; ++row) {
      values[static_cast<std::size_t>(row * width + 2)] = 7;                                    // constant
      values[static_cast<std::size_t>(row * width + 3)] = static_cast<float>(1e6 + (row % 3));  // no zero
    }
    const Dataset dense = labelled(Tensor::from(values, {rows, width}, device)), sparse = sparse_of(dense);
    const InputNormalization wanted = fit_normalization(dense);
    const InputNormalization fitted = fit_normalization(sparse, Normalization::standardize);
    EXPECT_EQ(fitted.kind, Normalization::standardize);
    EXPECT_EQ(fitted.constant_columns, wanted.constant_columns);
    ASSERT_GE(fitted.constant_columns.size(), 2U);
    EXPECT_EQ(fitted.constant_columns[0], 1) << "all zero";
    EXPECT_EQ(fitted.constant_columns[1], 2) << "all 7";
    for (std::size_t c = 0; c < wanted.mean.size(); ++c) {
      EXPECT_NEAR(fitted.mean[c], wanted.mean[c], 1e-14 * std::fabs(wanted.mean[c]) + 1e-16) << c;
      EXPECT_NEAR(fitted.deviation[c], wanted.deviation[c], 1e-14 * wanted.deviation[c]) << c;
    }
    const Tensor by_rows = standardized(dense.inputs, wanted, DType::f32, device);
    const StandardizedEntries entries = standardized(sparse.sparse, wanted, DType::f32, device);
    EXPECT_EQ(entries.values.count(), sparse.sparse.entries());
    std::vector<std::int64_t> all;
    for (std::int64_t row = 0; row < rows; ++row) all.push_back(row);
    Tensor out({rows, width}, DType::f32, device);
    kernels::gather_sparse_rows(device, {sparse.sparse.offsets(), sparse.sparse.columns(), entries.values},
                                entries.background, Tensor::from(all, {rows}, device), out);
    EXPECT_EQ(out.to_vector<float>(), by_rows.to_vector<float>()) << "bit for bit";
    EXPECT_THROW(standardized(sparse.sparse, InputNormalization({0}, {1}), DType::f32, device), ShapeError);
    EXPECT_THROW(standardized(sparse.sparse, wanted, DType::bf16, device), DTypeError);
    EXPECT_THROW(fit_normalization(sparse, Normalization::half), ValueError);
  }
}

TEST(SparseDatasets, AreScaledAndNotCentredUnlessThatIsAskedFor) {
  for (const Device& device : test::devices()) {
    const Values values = {0, -8, 0, 0.5F, 2, 0, 0, 0, 0, 4, 0, 0.25F};
    const Dataset sparse = sparse_of(labelled(Tensor::from(values, {3, 4}, device)));
    const InputNormalization scaled = fit_normalization(sparse);
    EXPECT_EQ(scaled.kind, Normalization::standardize);
    EXPECT_EQ(scaled.mean, (std::vector<double>{0, 0, 0, 0}));
    EXPECT_EQ(scaled.deviation, (std::vector<double>{2, 8, 1, 0.5})) << "a column of zeros keeps them";
    EXPECT_TRUE(scaled.constant_columns.empty());
    const StandardizedEntries entries = standardized(sparse.sparse, scaled, DType::f32, device);
    EXPECT_EQ(entries.background.to_vector<float>(), (Values{0, 0, 0, 0}));
    EXPECT_EQ(entries.values.to_vector<float>(), (Values{-1, 1, 1, 0.5F, 0.5F}));
  }
}

/// 900 samples of 20,000 features, ten of them not zero: 69 MiB dense.
std::string wide_file(const TemporaryFolder& folder) {
  RandomSequence random(test::seed(), 5);
  std::string text;
  for (int row = 0; row < 900; ++row) {
    text += row % 2 == 0 ? "1" : "-1";
    for (int k = 0; k < 10; ++k) text += fmt::format(" {}:{:.3f}", 2000 * k + 1 + random.below(2000), random.normal());
    text += "\n";
  }
  return folder.write("wide.svmlight", text);
}

TEST(SparseSvmlight, StaysSoWhereThatPays) {
  const TemporaryFolder folder;
  const std::string wide = "svmlight:" + wide_file(folder) + "?features=20000&dense_mib=100";
  const TrainTest dense = load(wide + "&sparse=no&test_fraction=0.3", Device::cpu());
  EXPECT_FALSE(dense.train.is_sparse());
  for (const char* form : {"", "&sparse=auto", "&sparse=yes"}) {
    const TrainTest parts = load(wide + form + "&test_fraction=0.3", Device::cpu());
    EXPECT_TRUE(parts.train.is_sparse() && parts.test.is_sparse());
    EXPECT_EQ(parts.train_rows, dense.train_rows);
    EXPECT_EQ(parts.notes.size(), std::string(form).empty() ? 1U : 0U) << "what was not asked for is told";
    EXPECT_EQ(dense_values(parts.train), dense_values(dense.train));
    EXPECT_EQ(dense_values(parts.test), dense_values(dense.test));
    EXPECT_EQ(parts.test.labels.to_vector<std::int32_t>(), dense.test.labels.to_vector<std::int32_t>());
  }
  const TrainTest some = load(wide + "&split=train&offset=5&limit=20", Device::cpu());
  EXPECT_TRUE(some.train.is_sparse() && some.test.is_sparse());
  EXPECT_EQ(some.train.size(), 20);
  const std::string small = folder.write("small.svmlight", "1 1:1 9:2\n-1 2:1\n1 3:1\n-1 9:1\n");
  EXPECT_FALSE(load("svmlight:" + small + "?test_fraction=0.5", Device::cpu()).train.is_sparse()) << "as it was";
  EXPECT_TRUE(load("svmlight:" + small + "?test_fraction=0.5&sparse=yes", Device::cpu()).train.is_sparse());
  EXPECT_TRUE(load("svmlight:" + small + "?sparse=yes&target=real", Device::cpu()).train.is_regression());
  const TrainTest files = load("svmlight:" + small + "?sparse=yes&test=" + small, Device::cpu());
  EXPECT_EQ(dense_values(files.test), dense_values(files.train));
}

TEST(SparseSvmlight, HostileFilesAreErrors) {
  const TemporaryFolder folder;
  const auto fault = [&](const std::string& text, const std::string& options) {
    return fault_of([&] { (void)load("svmlight:" + folder.write("bad.svmlight", text) + options, Device::cpu()); });
  };
  // A few bytes ask for no gibibytes, sparse or not: batches are dense.
  const std::string huge = "1 1:1\n2 2000000000:1\n1 1:1\n2 3:1\n";
  for (const char* form : {"", "?sparse=yes", "?sparse=no"}) {
    EXPECT_NE(fault(huge, form).find("4 samples of 2000000000 features (line 2 has the largest index) would take"),
              std::string::npos)
        << fault(huge, form);
  }
  std::string many;
  for (int i = 0; i < 300; ++i) many += i % 2 == 0 ? "1 1:1\n" : "2 70000:1\n";
  EXPECT_NE(fault(many, "?sparse=yes").find("a batch of 256 samples of 70000 features"), std::string::npos);
  EXPECT_EQ(fault(many, "?sparse=yes&dense_mib=70"), "");
  EXPECT_NE(fault("1 1:1\n2 99999999999999:1\n", "?sparse=yes").find("out of range"), std::string::npos);
  EXPECT_NE(fault("1 3:1 3:1\n2 1:1\n", "?sparse=yes").find("index 3 is there twice"), std::string::npos);
  EXPECT_NE(fault("1 3:1 2:1\n2 1:1\n", "?sparse=yes").find("stands behind a larger one"), std::string::npos);
  EXPECT_NE(fault("1 3:nan\n2 1:1\n", "?sparse=yes").find("is not finite"), std::string::npos);
  EXPECT_NE(fault("1 1:1\n2 2:1\n", "?sparse=yes&prepare=standardize").find("prepare= needs dense columns"),
            std::string::npos);
}

TEST(SparseSvmlight, LeavesZerosOut) {
  const TemporaryFolder folder;
  const std::string file = folder.write("zeros.svmlight", "1 1:0 2:3\n2 4:0\n");
  const SvmlightData read = read_svmlight(file, 0, {.sparse = SparseForm::yes});
  EXPECT_FALSE(read.features.defined());
  EXPECT_EQ(read.sparse.entries(), 1);
  EXPECT_EQ(read.sparse.width(), 4);
  EXPECT_EQ(read.sparse.dense("a test needs").to_vector<float>(), read_svmlight(file).features.to_vector<float>());
}

std::string reviews(int count) {
  RandomSequence random(test::seed(), 7);
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += i % 2 == 0 ? "1" : "0";
    const auto words = 1 + random.below(9);
    for (std::uint64_t w = 0; w < words; ++w) text += " w" + std::to_string(random.below(70));
    text += "\n";
  }
  return text;
}

TEST(SparseTexts, AreTheDenseOnes) {
  const TemporaryFolder folder;
  const std::string file = "text:" + folder.write("reviews.txt", reviews(60)) + "?test_fraction=0.3&encode=";
  for (const char* encode : {"bag", "tfidf", "tfidf&ngrams=2"}) {
    const TrainTest dense = load(file + encode, Device::cpu()),
                    sparse = load(file + encode + "&sparse=yes", Device::cpu());
    EXPECT_FALSE(dense.train.is_sparse()) << "small ones stay dense";
    ASSERT_TRUE(sparse.train.is_sparse() && sparse.test.is_sparse());
    EXPECT_EQ(dense_values(sparse.train), dense_values(dense.train));
    EXPECT_EQ(dense_values(sparse.test), dense_values(dense.test));
    EXPECT_EQ(fit_normalization(sparse.train).kind, Normalization::none);
    // A text without a known word, and one that has each twice.
    const std::vector<std::string> texts = {"", "unheard of", "w1 w1 w2 w2"};
    const Tensor encoded = sparse.train.fitted.text->encode(texts, Device::cpu());
    EXPECT_EQ(sparse.train.fitted.text->encode_sparse(texts, Device::cpu()).dense("a test needs").to_vector<float>(),
              encoded.to_vector<float>());
  }
  const TrainTest tokens = load(file + "tokens", Device::cpu());
  EXPECT_THROW(tokens.train.fitted.text->encode_sparse(std::vector<std::string>{"a"}, Device::cpu()), ValueError);
  EXPECT_NE(fault_of([&] { (void)load(file + "tokens&sparse=yes", Device::cpu()); }).find("encode=bag"),
            std::string::npos);
}

}  // namespace
}  // namespace rtl::data
