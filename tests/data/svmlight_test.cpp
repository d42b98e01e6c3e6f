// The svmlight format: values, either way of counting, and what is refused.
#include "rtl/data/svmlight.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "support/gzip.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using test::TemporaryFolder;

TEST(Svmlight, FillsInZeros) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.svmlight", "# made up\n-1 2:0.5 4:-3\n\n+1\r\n2.5 1:1e2 # 2:7\n");
  const SvmlightData samples = read_svmlight(file);
  EXPECT_EQ(samples.features.shape(), (Shape{3, 4}));
  EXPECT_EQ(samples.features.to_vector<float>(), (std::vector<float>{0, 0.5f, 0, -3, 0, 0, 0, 0, 100, 0, 0, 0}));
  EXPECT_EQ(samples.targets.to_vector<double>(), (std::vector<double>{-1, 1, 2.5}));
  EXPECT_EQ(samples.lines, (std::vector<std::int64_t>{2, 4, 5}));
  EXPECT_EQ(read_svmlight(file, 6).features.shape(), (Shape{3, 6}));
  EXPECT_EQ(read_svmlight(file, 0, {.first_index = 0}).features.shape(), (Shape{3, 5}));
  EXPECT_EQ(
      read_svmlight(folder.write("zero.svmlight", "1 0:2 1:3"), 2, {.first_index = 0}).features.to_vector<float>(),
      (std::vector<float>{2, 3}));
}

TEST(Svmlight, ReadsWhatWasWritten) {
  const std::uint64_t seed = 77001;
  SCOPED_TRACE(seed);
  RandomSequence random(seed);
  for (const std::int64_t features : {1, 31, 1025}) {
    std::vector<float> dense;
    std::vector<double> targets;
    std::string text;
    for (int row = 0; row < 33; ++row) {
      targets.push_back(random.normal());
      text += fmt::format("{}", targets.back());
      for (std::int64_t c = 0; c < features; ++c) {
        dense.push_back(random.below(3) == 0 ? static_cast<float>(random.normal()) : 0.0f);
        if (dense.back() != 0) text += fmt::format(" {}:{}", c + 1, dense.back());
      }
      text += "\n";
    }
    const TemporaryFolder folder;
    const SvmlightData samples = read_svmlight(folder.write("t.svmlight.gz", test::gzip(text)), features);
    EXPECT_EQ(samples.features.to_vector<float>(), dense);
    EXPECT_EQ(samples.targets.to_vector<double>(), targets);
  }
}

TEST(Svmlight, SkipsQueryNumbersAndComments) {
  const TemporaryFolder folder;
  const SvmlightData ranking =
      read_svmlight(folder.write("q.svmlight", "# ranking\n2 qid:1 1:0.5 3:1 # doc a\n1 qid:2 2:0.25\n"));
  EXPECT_EQ(ranking.features.to_vector<float>(), (std::vector<float>{0.5f, 0, 1, 0, 0.25f, 0}));
  EXPECT_EQ(ranking.targets.to_vector<double>(), (std::vector<double>{2, 1}));
}

TEST(Svmlight, TakesNoMemoryThatTheFileDoesNotWarrant) {
  const TemporaryFolder folder;
  const auto fault_of = [](const std::string& file, std::int64_t features, const SvmlightOptions& options) {
    try {
      read_svmlight(file, features, options);
    } catch (const FormatError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string wide = folder.write("wide.svmlight", "1 1:1\n1 2000000000:1\n2 1:1\n");
  const std::string fault = fault_of(wide, 0, {});
  EXPECT_NE(fault.find("3 samples of 2000000000 features (line 2 has the largest index)"), std::string::npos) << fault;
  EXPECT_NE(fault.find("where 64 are allowed"), std::string::npos) << fault;
  EXPECT_NE(fault.find("dense_mib=22889 allows it"), std::string::npos) << fault;
  EXPECT_NE(fault_of(wide, 2'000'000'000, {}).find("3 samples of 2000000000 features would take"), std::string::npos);
  // 1,000 times the text: 70,000 bytes of it warrant more than the floor's 64 MiB.
  std::string text = "1 20000000:1\n";
  EXPECT_NE(fault_of(folder.write("short.svmlight", text), 0, {}), "");
  text.append("#").append(90'000, ' ').append("\n");
  EXPECT_EQ(read_svmlight(folder.write("long.svmlight", text)).features.extent(1), 20'000'000);
  EXPECT_EQ(read_svmlight(folder / "short.svmlight", 0, {.dense_limit = 80'000'000}).features.extent(1), 20'000'000);
  EXPECT_NE(fault_of(folder / "short.svmlight", 0, {.dense_limit = 79'999'999}), "");
}

struct BadLine {
  const char* content;
  const char* fault;
};

TEST(Svmlight, RefusesWithFileLineAndFault) {
  const BadLine cases[] = {
      {"", "holds no sample"},
      {"# only a comment\n", "holds no sample"},
      {"1 1:1\ncat 1:1\n", "line 2: the target 'cat' is no number"},
      {"nan 1:1\n", "line 1: the target 'nan' is not finite"},
      {"1 1:x\n", "line 1: the value 'x' is no number"},
      {"1 1:\n", "line 1: the value '' is no number"},
      {"1 1:NaN\n", "line 1: the value 'NaN' is not finite"},
      {"1 1:inf\n", "line 1: the value 'inf' is not finite"},
      {"1 1:1e39\n", "line 1: the value '1e39' is too large for float32"},
      {"1 1:1 7\n", "line 1: '7' is not index:value"},
      {"1,2 1:1\n", "line 1: the target '1,2' is several labels"},
      {"1 1.5:3\n", "line 1: the index '1.5' is no whole number"},
      {"1 1:1\n1 6:1\n", "line 2: index 6 out of range [1, 5]"},
      {"1 -1:1\n", "line 1: index -1 out of range [1, 5]"},
      {"1 99999999999999999999:1\n", "line 1: index 99999999999999999999 out of range"},
      {"1 0:1\n", "index 0 out of range [1, 5]; this file counts from 0: say first_index=0"},
      {"1 2:1 2:1\n", "line 1: index 2 is there twice"},
      {"1 3:1 2:1\n", "line 1: index 2 stands behind a larger one"},
  };
  for (const BadLine& bad : cases) {
    SCOPED_TRACE(bad.content);
    const TemporaryFolder folder;
    const std::string file = folder.write("bad.svmlight", bad.content);
    try {
      read_svmlight(file, 5);
      ADD_FAILURE() << "no error";
    } catch (const FormatError& error) {
      EXPECT_EQ(error.file(), file);
      const std::string text = error.what(), remedy = "first_index=0";
      EXPECT_NE(text.find(bad.fault), std::string::npos) << text;
      EXPECT_EQ(text.ends_with(remedy), std::string(bad.fault).ends_with(remedy)) << text;
    }
  }
}

TEST(Svmlight, RefusesWhatDoesNotFit) {
  const TemporaryFolder folder;
  const std::string file = folder.write("t.svmlight", "1 1:1\n");
  EXPECT_THROW(read_svmlight(file, -1), ValueError);
  EXPECT_THROW(read_svmlight(file, 1, {.first_index = 2}), ValueError);
  EXPECT_THROW(read_svmlight(folder / "nowhere"), IoError);
  EXPECT_THROW(read_svmlight(folder.write("none.svmlight", "1\n2\n")), FormatError) << "no feature";
  EXPECT_THROW(read_svmlight(file, 1, {.dense_limit = -1}), ValueError);
}

}  // namespace
}  // namespace rtl::data
