// Every kind of bad input is a typed error that names the file and the fault.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "data/make_files.hpp"
#include "rtl/core/random.hpp"
#include "rtl/data/load.hpp"
#include "support/gzip.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using test::TemporaryFolder;

enum class Type : std::uint8_t { io, format, value };

struct Case {
  const char* what;
  const char* kind;  ///< of a SPEC of the folder, with %/ for the folder's path
  std::function<void(const TemporaryFolder&)> spoil;
  Type type;
  const char* file;  ///< that the error names
  const char* fault;
};

std::string many_zeros(std::size_t count) { return std::string(count, '\0'); }

/// Valid files of every kind.
void write_valid(const TemporaryFolder& folder) {
  folder.write("idx/train-images-idx3-ubyte", test::idx({4, 2, 2}, std::vector<std::uint8_t>(16)));
  folder.write("idx/train-labels-idx1-ubyte", test::idx({4}, {0, 1, 2, 1}));
  folder.write("idx/t10k-images-idx3-ubyte", test::idx({2, 2, 2}, std::vector<std::uint8_t>(8)));
  folder.write("idx/t10k-labels-idx1-ubyte", test::idx({2}, {0, 1}));
  folder.write("cifar10/x_train_2.bin", test::cifar({{1}, {2}}));
  folder.write("cifar10/x_test_1.bin.gz", test::gzip(test::cifar({{0}})));
  folder.write("cifar100/train.bin", test::cifar({{1, 2}}));
  folder.write("cifar100/test.bin", test::cifar({{1, 2}}));
  folder.write("npy/x.npy", test::npy(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}, {8, 1}));
  folder.write("npy/y.npy", test::npy(std::vector<std::int32_t>{0, 1, 0, 1, 0, 1, 0, 1}, {8}));
  folder.write("t.csv", "size,kind\n1,a\n2,b\n3,a\n4,b\n");
  folder.write("t.svmlight", "-1 1:1 2:2\n1 2:1\n-1 1:3\n1 1:4\n");
}

void remove(const std::string& path) { std::filesystem::remove_all(path); }

constexpr const char* idx_spec = "idx:%/idx";
constexpr const char* ten = "cifar10:%/cifar10";
constexpr const char* hundred = "cifar100:%/cifar100";
constexpr const char* pair = "npy:%/npy/x.npy,%/npy/y.npy";
constexpr const char* csv = "csv:%/t.csv?label=kind&test_fraction=0&split=train";
constexpr const char* svmlight = "svmlight:%/t.svmlight?test_fraction=0&split=train";

std::vector<Case> folder_cases() {
  using Folder = const TemporaryFolder&;
  return {
      {"no folder", idx_spec, [](Folder f) { remove(f / "idx"); }, Type::io, "idx", "No such file"},
      {"file for folder", ten, [](Folder f) { remove(f / "cifar10"), f.write("cifar10", ""); }, Type::io, "cifar10",
       "as a folder"},
      {"missing file", idx_spec, [](Folder f) { remove(f / "idx/t10k-images-idx3-ubyte"); }, Type::io, "idx",
       "no file for the test images"},
      {"two candidates", ten, [](Folder f) { f.write("cifar10/y_train_2.bin", ""); }, Type::io, "cifar10",
       "several files"},
      {"folder for file", pair,
       [](Folder f) { remove(f / "npy/x.npy"), std::filesystem::create_directory(f / "npy/x.npy"); }, Type::io,
       "npy/x.npy", "is a directory"},
      {"missing npy", pair, [](Folder f) { remove(f / "npy/y.npy"); }, Type::io, "npy/y.npy", "No such file"},
  };
}

std::vector<Case> idx_cases() {
  using Folder = const TemporaryFolder&;
  const char* images = "idx/train-images-idx3-ubyte";
  const char* labels = "idx/train-labels-idx1-ubyte";
  return {
      {"empty idx", idx_spec, [=](Folder f) { f.write(images, ""); }, Type::format, images, "too few"},
      {"short idx header", idx_spec,
       [=](Folder f) {
         f.write(images, test::idx({4, 2, 2}, {}).substr(0, 9));
       },
       Type::format, images, "cut short"},
      {"wrong magic", idx_spec, [=](Folder f) { f.write(images, "PNG" + many_zeros(29)); }, Type::format, images,
       "wrong magic number"},
      {"floats in idx", idx_spec, [=](Folder f) { f.write(images, std::string("\0\0\x0d\3", 4) + many_zeros(28)); },
       Type::format, images, "wrong magic number"},
      {"labels for images", idx_spec,
       [=](Folder f) {
         f.write(images, test::idx({4}, {0, 1, 2, 1}));
       },
       Type::format, images, "rank 3 or 4"},
      {"idx count larger than file", idx_spec,
       [=](Folder f) {
         f.write(images, test::idx({5, 2, 2}, std::vector<std::uint8_t>(16)));
       },
       Type::format, images, "16 follow"},
      {"trailing bytes", idx_spec,
       [=](Folder f) {
         f.write(images, test::idx({4, 2, 2}, std::vector<std::uint8_t>(17)));
       },
       Type::format, images, "17 follow"},
      {"overflowing idx", idx_spec,
       [=](Folder f) {
         f.write(images, test::idx({~0u, ~0u, ~0u}, std::vector<std::uint8_t>(16)));
       },
       Type::format, images, "impossible extents"},
      {"no image", idx_spec,
       [=](Folder f) {
         f.write(images, test::idx({0, 2, 2}, {}));
       },
       Type::format, images, "holds no value"},
      {"label count", idx_spec,
       [=](Folder f) {
         f.write(labels, test::idx({3}, {0, 1, 2}));
       },
       Type::format, labels, "3 labels for 4 images"},
      {"wild idx label", idx_spec,
       [=](Folder f) {
         f.write(labels, test::idx({4}, {0, 1, 200, 1}));
       },
       Type::format, labels, "sample 2: label 200 out of range"},
      {"test label", idx_spec,
       [](Folder f) {
         f.write("idx/t10k-labels-idx1-ubyte", test::idx({2}, {0, 3}));
       },
       Type::format, "idx/t10k-labels-idx1-ubyte", "label 3 out of range [0, 3)"},
      {"other image size in test", idx_spec,
       [](Folder f) {
         f.write("idx/t10k-images-idx3-ubyte", test::idx({2, 1, 1}, {1, 2}));
       },
       Type::format, "idx", "one shape"},
  };
}

std::vector<Case> cifar_cases() {
  using Folder = const TemporaryFolder&;
  return {
      {"empty cifar", ten, [](Folder f) { f.write("cifar10/x_train_2.bin", ""); }, Type::format,
       "cifar10/x_train_2.bin", "no multiple"},
      {"cifar size", ten, [](Folder f) { f.write("cifar10/x_train_2.bin", test::cifar({{1}}) + "x"); }, Type::format,
       "cifar10/x_train_2.bin", "3074 bytes are no multiple"},
      {"cifar label", ten,
       [](Folder f) {
         f.write("cifar10/x_train_2.bin", test::cifar({{1}, {10}}));
       },
       Type::format, "cifar10/x_train_2.bin", "record 1: label 10 out of range"},
      {"fine label", hundred,
       [](Folder f) {
         f.write("cifar100/train.bin", test::cifar({{1, 100}}));
       },
       Type::format, "cifar100/train.bin", "label 100 out of range"},
      {"coarse label", "cifar100:%/cifar100?labels=coarse",
       [](Folder f) {
         f.write("cifar100/test.bin", test::cifar({{20, 1}}));
       },
       Type::format, "cifar100/test.bin", "label 20 out of range"},
      {"truncated gz", ten,
       [](Folder f) { f.write("cifar10/x_test_1.bin.gz", test::gzip(test::cifar({{0}})).substr(0, 200)); },
       Type::format, "cifar10/x_test_1.bin.gz", "truncated .gz"},
      {"damaged gz", ten, [](Folder f) { f.write("cifar10/x_test_1.bin.gz", test::cifar({{0}})); }, Type::format,
       "cifar10/x_test_1.bin.gz", "no intact gzip"},
      {"class names", ten, [](Folder f) { f.write("cifar10/classes.txt", "a\nb\n"); }, Type::format,
       "cifar10/classes.txt", "names 2 classes"},
  };
}

std::string floats(const std::vector<float>& values, const Shape& shape) { return test::npy(values, shape); }
std::string ints(const std::vector<std::int32_t>& values) {
  return test::npy(values, {static_cast<std::int64_t>(values.size())});
}

std::vector<Case> npy_feature_cases() {
  using Folder = const TemporaryFolder&;
  const char* x = "npy/x.npy";
  return {
      {"empty npy", pair, [=](Folder f) { f.write(x, ""); }, Type::format, x, "wrong magic number"},
      {"NaN in features", pair,
       [=](Folder f) {
         f.write(x, floats({1, 2, 3, std::nanf(""), 5, 6, 7, 8}, {8, 1}));
       },
       Type::format, x, "sample 3, feature 0 is nan"},
      {"infinite feature", pair,
       [=](Folder f) {
         f.write(x, floats({1, 2, 3, 4, 5, 6, 7, INFINITY}, {8, 1}));
       },
       Type::format, x, "sample 7, feature 0 is inf"},
      {"rank of features", pair,
       [=](Folder f) {
         f.write(x, floats({1, 2, 3, 4, 5, 6, 7, 8}, {8}));
       },
       Type::format, x, "inputs are"},
      {"no features", pair,
       [=](Folder f) {
         f.write(x, floats({}, {8, 0}));
       },
       Type::format, x, "holds no value"},
  };
}

std::vector<Case> npy_label_cases() {
  using Folder = const TemporaryFolder&;
  const char* y = "npy/y.npy";
  return {
      {"measurements", pair,
       [=](Folder f) {
         f.write(y, floats({0, 1, 0, 1.5, 0, 1, 0, 1}, {8}));
       },
       Type::format, y, "sample 3: the label '1.5' is a number with a fraction"},
      {"NaN in labels", pair,
       [=](Folder f) {
         f.write(y, floats({0, 1, 0, 1, std::nanf(""), 1, 0, 1}, {8}));
       },
       Type::format, y, "sample 4: the label is nan"},
      {"shape of labels", pair,
       [=](Folder f) {
         f.write(y, floats({0, 1, 0, 2, 0, 1, 0, 1}, {4, 2}));
       },
       Type::format, y, "labels are [N] or [N, 1]"},
      {"label count", pair,
       [=](Folder f) {
         f.write(y, ints({0, 1}));
       },
       Type::format, y, "2 labels for 8 samples"},
      {"label beyond classes", "npy:%/npy/x.npy,%/npy/y.npy?classes=2",
       [=](Folder f) {
         f.write(y, ints({0, 1, 0, 1, 0, 1, 0, 2}));
       },
       Type::format, y, "sample 7: the label '2' is none of the classes 0, 1"},
      {"fewer samples than classes", "npy:%/npy/x.npy,%/npy/y.npy?classes=20", [](Folder) {}, Type::value, "npy/x.npy",
       "fewer than the 20 classes"},
      {"classes beyond memory", "npy:%/npy/x.npy,%/npy/y.npy?classes=2147483647", [](Folder) {}, Type::value,
       "npy/x.npy", "from 1 to 1000000"},
      {"a single class", pair,
       [=](Folder f) {
         f.write(y, ints({0, 0, 0, 0, 0, 0, 0, 0}));
       },
       Type::value, "npy/x.npy", "one class"},
  };
}

/// What the files' own tests (csv_test, svmlight_test) have not.
std::vector<Case> table_cases() {
  using Folder = const TemporaryFolder&;
  const char* t = "t.csv";
  const char* s = "t.svmlight";
  return {
      {"missing csv", csv, [=](Folder f) { remove(f / t); }, Type::io, t, "No such file"},
      {"empty csv", csv, [=](Folder f) { f.write(t, ""); }, Type::format, t, "is empty"},
      {"ragged csv", csv, [=](Folder f) { f.write(t, "size,kind\n1,a\n2,b,c\n"); }, Type::format, t, "line 3"},
      {"text among numbers", csv, [=](Folder f) { f.write(t, "size,kind\n1,a\nbig,b\n"); }, Type::format, t,
       "line 3, column 'size'"},
      {"missing value", csv, [=](Folder f) { f.write(t, "size,kind\n?,a\n2,b\n"); }, Type::format, t,
       "line 2: column 'size' has no value"},
      {"nothing left", "csv:%/t.csv?label=kind&missing=drop", [=](Folder f) { f.write(t, "size,kind\n?,a\n,b\n"); },
       Type::format, t, "no row without a missing value"},
      {"missing label", csv, [=](Folder f) { f.write(t, "size,kind\n1,a\n2,\n"); }, Type::format, t,
       "line 3: the label"},
      {"too large for f32", csv, [=](Folder f) { f.write(t, "size,kind\n1,a\n1e39,b\n"); }, Type::format, t,
       "line 3, column 'size': 1e+39 is too large"},
      {"no label option", "csv:%/t.csv", [](Folder) {}, Type::value, t, "which column holds the classes or targets"},
      {"no such label", "csv:%/t.csv?label=colour", [](Folder) {}, Type::value, t, "no column 'colour'"},
      {"one class in csv", csv, [=](Folder f) { f.write(t, "size,kind\n1,a\n2,a\n"); }, Type::value, t, "one class"},
      {"empty svmlight", svmlight, [=](Folder f) { f.write(s, "\n"); }, Type::format, s, "no sample"},
      {"text in svmlight", svmlight, [=](Folder f) { f.write(s, "1 1:1\n-1 1:one\n"); }, Type::format, s, "line 2"},
      {"unsorted svmlight", svmlight, [=](Folder f) { f.write(s, "1 2:1 1:1\n"); }, Type::format, s, "line 1: index 1"},
      {"narrow svmlight", "svmlight:%/t.svmlight?features=1", [](Folder) {}, Type::format, s, "line 1: index 2"},
      {"targets of regression", svmlight, [=](Folder f) { f.write(s, "1 1:1\n0.5 1:1\n"); }, Type::format, s,
       "line 2: the target 0.5 is no whole number"},
      {"class not named", "svmlight:%/t.svmlight?classes=1,2", [](Folder) {}, Type::format, s,
       "line 1: the label '-1' is none"},
  };
}

std::string expanded(std::string spec, const std::string& folder) {
  for (std::size_t at = 0; (at = spec.find("%/", at)) != std::string::npos;) spec.replace(at, 1, folder);
  return spec;
}

/// Loads and validates for training, as every command does.
void use(const std::string& spec) { load(spec, Device::cpu()).train.validate(true); }

void check(const Case& bad) {
  SCOPED_TRACE(bad.what);
  const TemporaryFolder folder;
  write_valid(folder);
  const std::string spec = expanded(bad.kind, folder.path());
  bad.spoil(folder);
  std::string text;
  Type type{};
  try {
    use(spec);
    FAIL() << "no error";
  } catch (const FormatError& error) {
    type = Type::format;
    text = error.what();
    EXPECT_EQ(error.file(), folder / bad.file);
  } catch (const IoError& error) {
    type = Type::io;
    text = error.what();
    EXPECT_EQ(error.file(), folder / bad.file);
  } catch (const ValueError& error) {
    type = Type::value;
    text = error.what();
    EXPECT_NE(text.find(folder / bad.file), std::string::npos);
  }
  EXPECT_EQ(type, bad.type) << text;
  EXPECT_NE(text.find(bad.fault), std::string::npos) << text;
}

TEST(BadInput, Folders) {
  for (const Case& bad : folder_cases()) check(bad);
}
TEST(BadInput, Images) {
  for (const Case& bad : idx_cases()) check(bad);
  for (const Case& bad : cifar_cases()) check(bad);
}
TEST(BadInput, Arrays) {
  for (const Case& bad : npy_feature_cases()) check(bad);
  for (const Case& bad : npy_label_cases()) check(bad);
}

TEST(BadInput, Tables) {
  for (const Case& bad : table_cases()) check(bad);
}

TEST(BadInput, TheValidFilesAreValid) {
  const TemporaryFolder folder;
  write_valid(folder);
  EXPECT_NO_THROW(use(expanded(idx_spec, folder.path())));
  EXPECT_NO_THROW(use(expanded(pair, folder.path())));
  EXPECT_NO_THROW(use(expanded(csv, folder.path())));
  EXPECT_NO_THROW(use(expanded(svmlight, folder.path())));
  EXPECT_NO_THROW(load(expanded(ten, folder.path()), Device::cpu()));
  EXPECT_NO_THROW(load(expanded(hundred, folder.path()), Device::cpu()));
}

TEST(BadInput, RandomDamageNeverCrashes) {
  const TemporaryFolder folder;
  write_valid(folder);
  struct Target {
    const char* spec;
    const char* file;
  };
  const Target targets[] = {{idx_spec, "idx/train-images-idx3-ubyte"},
                            {idx_spec, "idx/train-labels-idx1-ubyte"},
                            {ten, "cifar10/x_test_1.bin.gz"},
                            {pair, "npy/x.npy"},
                            {pair, "npy/y.npy"},
                            {csv, "t.csv"},
                            {svmlight, "t.svmlight"}};
  RandomSequence random(4711);
  for (const Target& target : targets) {
    const std::string valid = test::content_of(folder / target.file);
    for (int trial = 0; trial < 150; ++trial) {
      std::string damaged = valid;
      for (std::uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
        damaged[random.below(std::min<std::size_t>(damaged.size(), 160))] = static_cast<char>(random.bits());
      }
      if (random.below(4) == 0) damaged.resize(random.below(damaged.size() + 1));
      folder.write(target.file, damaged);
      try {
        use(expanded(target.spec, folder.path()));
      } catch (const Error& error) {
        ASSERT_NE(std::string(error.what()).find(folder.path()), std::string::npos) << error.what();
      }
    }
    folder.write(target.file, valid);
  }
}

}  // namespace
}  // namespace rtl::data
