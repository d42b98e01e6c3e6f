// bench/run's JSON is part of the interface; and every kernel function has a benchmark.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "support/paths.hpp"
#include "support/temporary_folder.hpp"

namespace rtl {
namespace {

const std::filesystem::path source_folder = test::source_folder();

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

nlohmann::json run_bench(const std::string& arguments) {
  const test::TemporaryFolder folder;
  const std::string json = (std::filesystem::path(folder.path()) / "bench.json").string();
  const std::string command = "RTL_PEERS_PYTHON= RTL_BENCH='" + test::binary_folder() + "/bench/rtl_bench' '" +
                              (source_folder / "bench/run").string() + "' --quick " + arguments + " --json '" + json +
                              "' > /dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  return nlohmann::json::parse(text_of(json));
}

void expect_positive(const nlohmann::json& object, const char* key) {
  ASSERT_TRUE(object.contains(key)) << object << " has no " << key;
  EXPECT_GT(object[key].get<double>(), 0) << key;
}

TEST(Bench, WritesItsJobs) {
  const nlohmann::json report = run_bench("--no-kernels --only mlp_head");
  for (const char* key : {"date", "device", "clock", "rtl", "openblas_core", "onednn"}) {
    EXPECT_FALSE(report["machine"][key].get<std::string>().empty()) << key;
  }
  expect_positive(report["machine"], "peak_gflops_f32");
  expect_positive(report["machine"], "bandwidth_gb_s");
  ASSERT_EQ(report["jobs"].size(), 1U);
  const nlohmann::json& job = report["jobs"][0];
  EXPECT_EQ(job["name"], "mlp_head");
  EXPECT_EQ(job["threads"], 1);
  EXPECT_EQ(job["unit"], "steps/s");
  EXPECT_FALSE(job["limit_from"].get<std::string>().empty());
  EXPECT_TRUE(job["peers"].is_array());
  expect_positive(job, "rate");
  expect_positive(job, "limit");
}

TEST(Bench, WritesItsKernels) {
  const nlohmann::json report = run_bench("--no-jobs --only gemm");
  ASSERT_FALSE(report["kernels"].empty());
  for (const nlohmann::json& kernel : report["kernels"]) {
    EXPECT_EQ(kernel["name"], "gemm");
    for (const char* key : {"microseconds", "bytes", "flop", "gb_s", "gflops", "percent_of_roofline"}) {
      expect_positive(kernel, key);
    }
  }
}

TEST(Bench, CoversEveryKernelFunction) {
  std::string benchmarks;
  for (const auto& entry : std::filesystem::directory_iterator(source_folder / "bench/kernels")) {
    benchmarks += text_of(entry.path());
  }
  const std::regex declaration(R"((?:^|\n)(?:void|bool) (\w+)\(const Device& device)");
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source_folder / "include/rtl/kernels")) {
    const std::string header = text_of(entry.path());
    for (std::sregex_iterator match(header.begin(), header.end(), declaration), end; match != end; ++match) {
      const std::string name = (*match)[1];
      EXPECT_NE(benchmarks.find("\"" + name + "\""), std::string::npos)
          << name << " of " << entry.path().filename() << " has no case in bench/kernels";
      ++found;
    }
  }
  EXPECT_GT(found, 30);
}

}  // namespace
}  // namespace rtl
