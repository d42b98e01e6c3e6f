// Work that was interrupted or killed goes on with --resume, and ends in the same bytes.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "cli/program.hpp"

namespace rtl::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json timeless(json result) {
  result.erase("feature_seconds");
  for (json& strategy : result.at("strategies")) strategy.erase("seconds");
  return result;
}

bool ended(pid_t process) {
  siginfo_t state = {};
  return waitid(P_PID, static_cast<id_t>(process), &state, WEXITED | WNOHANG | WNOWAIT) == 0 && state.si_pid == process;
}

/// Waits until the folder has `count` files that end in `ending`, or the process has ended.
void wait_for(const std::string& folder, const std::string& ending, int count, pid_t process) {
  for (;;) {
    int found = 0;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder, none)) {
      if (entry.path().string().ends_with(ending)) ++found;
    }
    if (found >= count || ended(process)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

std::vector<std::string> pretrain(const std::string& out, const std::string& more = {}) {
  std::vector<std::string> arguments = {"pretrain",
                                        "--data",
                                        "glyphs:?classes=3&size=16&train=120&test=30",
                                        "--model",
                                        "paper_cnn:4-4-4-8",
                                        "--epochs",
                                        "40",
                                        "--batch-size",
                                        "8",
                                        "--threads",
                                        "1",
                                        "--out",
                                        out};
  if (!more.empty()) arguments.push_back(more);
  return arguments;
}

TEST(Resume, PretrainAfterAnInterruptIsBitForBitTheSame) {
  const Workplace place;
  ASSERT_EQ(place.run(pretrain("whole.safetensors")).code, 0);

  const pid_t process = place.start(pretrain("parts.safetensors"));
  wait_for(place.path("."), ".unfinished", 1, process);
  kill(process, SIGINT);
  const auto first = place.wait(process);
  if (first.code != 0) {
    EXPECT_EQ(first.code, 1) << first.errors;
    EXPECT_NE(first.errors.find("--resume"), std::string::npos) << first.errors;
    EXPECT_FALSE(place.has("parts.safetensors"));
    EXPECT_TRUE(place.has("parts.safetensors.unfinished"));
  }
  const auto second = place.run(pretrain("parts.safetensors", "--resume"));
  ASSERT_EQ(second.code, 0) << second.errors;
  EXPECT_EQ(place.read("whole.safetensors"), place.read("parts.safetensors"));
  EXPECT_FALSE(place.has("parts.safetensors.unfinished"));
}

TEST(Resume, PretrainAfterAKillIsBitForBitTheSame) {
  const Workplace place;
  ASSERT_EQ(place.run(pretrain("whole.safetensors")).code, 0);
  const pid_t process = place.start(pretrain("parts.safetensors"));
  wait_for(place.path("."), ".unfinished", 1, process);
  kill(process, SIGKILL);
  place.wait(process);
  const auto second = place.run(pretrain("parts.safetensors", "--resume"));
  ASSERT_EQ(second.code, 0) << second.errors;
  EXPECT_EQ(place.read("whole.safetensors"), place.read("parts.safetensors"));
}

TEST(Resume, TransferAfterAKillGivesTheSameResult) {
  const Workplace place;
  make_source(place);
  ASSERT_EQ(place.run(small_transfer({"--epochs", "10", "--json", "whole.json"})).code, 0);
  const std::vector<std::string> more = {"--epochs", "10", "--state", "state", "--json", "parts.json", "--resume"};
  const pid_t process = place.start(small_transfer(more));
  wait_for(place.path("state"), ".json", 3, process);
  kill(process, SIGKILL);
  place.wait(process);
  const auto second = place.run(small_transfer(more));
  ASSERT_EQ(second.code, 0) << second.errors;
  EXPECT_EQ(timeless(place.json("whole.json")), timeless(place.json("parts.json")));
}

TEST(Resume, FinishedRunsOfAnotherProtocolAreNotTakenOver) {
  const Workplace place;
  make_source(place);
  ASSERT_EQ(place.run(small_transfer({"--state", "state"})).code, 0);
  ASSERT_EQ(place.run(small_transfer({"--learning-rate", "0.05", "--json", "whole.json"})).code, 0);
  ASSERT_EQ(place.run(small_transfer({"--learning-rate", "0.05", "--state", "state", "--resume", "--json", "j"})).code,
            0);
  EXPECT_EQ(timeless(place.json("whole.json")), timeless(place.json("j")));
}

}  // namespace
}  // namespace rtl::test
