// Work that was interrupted or killed goes on with --resume, and ends in the same bytes.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <thread>

#include "cli/program.hpp"

namespace rtl::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json timeless(json result) {
  result.erase("feature_seconds");
  for (json& strategy : result.at("strategies")) {
    strategy.erase("seconds");
    strategy.erase("peak_memory_bytes");
  }
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
    EXPECT_EQ(first.code, 128 + SIGINT) << first.errors;
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
  std::vector<std::string> more = {"--epochs", "10", "--state", "state", "--json", "parts.json", "--resume"};
  const pid_t process = place.start(small_transfer(more));
  wait_for(place.path("state"), ".json", 3, process);
  kill(process, SIGKILL);
  place.wait(process);
  more.insert(more.end(), {"--replicas", "2"});
  const auto second = place.run(small_transfer(more));
  ASSERT_EQ(second.code, 0) << second.errors;
  EXPECT_EQ(timeless(place.json("whole.json")), timeless(place.json("parts.json")));
}

std::map<std::string, std::string> contents_of(const std::string& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::ifstream stream(entry.path(), std::ios::binary);
    contents[entry.path().filename().string()] = {std::istreambuf_iterator<char>(stream), {}};
  }
  return contents;
}

TEST(Resume, RunsOfAnotherProtocolAreToldAndKept) {
  const Workplace place;
  make_source(place);
  ASSERT_EQ(place.run(small_transfer({"--state", "state", "--strategy", "probe"})).code, 0);
  const auto before = contents_of(place.path("state"));
  for (const bool resume : {false, true}) {
    std::vector<std::string> words = small_transfer({"--learning-rate", "0.05", "--state", "state"});
    if (resume) words.push_back("--resume");
    const auto outcome = place.run(words);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.output, "");
    EXPECT_NE(outcome.errors.find("learning rate is 0.05 here and 0.01 there"), std::string::npos) << outcome.errors;
    EXPECT_NE(outcome.errors.find("for example state-2"), std::string::npos) << outcome.errors;
    EXPECT_EQ(contents_of(place.path("state")), before);
  }
  const auto three_seeds = [](const std::vector<std::string>& more) {
    std::vector<std::string> words = small_transfer(more);
    *(std::find(words.begin(), words.end(), "--seeds") + 1) = "3";
    return words;
  };
  const auto more =
      place.run(three_seeds({"--state", "state", "--strategy", "probe,fine-tune", "--resume", "--json", "more.json"}));
  ASSERT_EQ(more.code, 0) << more.errors;
  ASSERT_EQ(place.run(three_seeds({"--strategy", "probe,fine-tune", "--json", "whole.json"})).code, 0);
  EXPECT_EQ(timeless(place.json("whole.json")), timeless(place.json("more.json")));
}

TEST(Resume, DamagedFilesAreToldAndNotUsed) {
  const Workplace place;
  make_source(place);
  const auto words = small_transfer({"--state", "state", "--strategy", "probe", "--resume", "--json", "result.json"});
  ASSERT_EQ(place.run(words).code, 0);
  const json before = timeless(place.json("result.json"));
  std::string run = place.read("state/probe_seed2.json");
  const std::size_t digit = run.find_first_of("123456789", run.find("\"accuracy\""));
  run[digit] = run[digit] == '1' ? '2' : '1';
  place.write("state/probe_seed2.json", run);
  const auto again = place.run(words);
  ASSERT_EQ(again.code, 0) << again.errors;
  EXPECT_EQ(again.errors.find("rtl: state/probe_seed2.json: is damaged"), 0u) << again.errors;
  EXPECT_EQ(std::count(again.errors.begin(), again.errors.end(), '\n'), 1) << again.errors;
  EXPECT_EQ(timeless(place.json("result.json")), before);
  EXPECT_EQ(place.run(words).errors, "");
}

TEST(Resume, PretrainKeepsAnotherTrainingsState) {
  const Workplace place;
  const pid_t process = place.start(pretrain("out.safetensors"));
  wait_for(place.path("."), ".unfinished", 1, process);
  kill(process, SIGKILL);
  place.wait(process);
  ASSERT_TRUE(place.has("out.safetensors.unfinished"));
  const std::string before = place.read("out.safetensors.unfinished");
  for (const std::string resume : {"--resume", ""}) {
    SCOPED_TRACE(resume);
    place.write("out.safetensors.unfinished", before);
    std::vector<std::string> words = pretrain("out.safetensors", resume);
    words.insert(words.end(), {"--learning-rate", "0.5"});
    const auto outcome = place.run(words);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.errors.find("learning rate is 0.5 here and 0.01 there"), std::string::npos) << outcome.errors;
    EXPECT_EQ(place.read("out.safetensors.unfinished"), before);
    place.write("out.safetensors.unfinished", before.substr(0, before.size() / 2));
    const auto damaged = place.run(pretrain("out.safetensors", resume));
    EXPECT_EQ(damaged.code, 0);
    EXPECT_NE(damaged.errors.find("starts from its beginning"), std::string::npos) << damaged.errors;
  }
  place.write("out.safetensors.unfinished", before);
  const auto same = place.run(pretrain("out.safetensors"));
  EXPECT_EQ(same.code, 0);
  EXPECT_NE(same.errors.find("out.safetensors.unfinished: keeps this training, begun before; it was not asked to "
                             "resume"),
            std::string::npos)
      << same.errors;
  EXPECT_FALSE(place.has("out.safetensors.unfinished"));
}

TEST(Resume, NamesOfFilesNeedNotBeUtf8) {
  const Workplace place;
  const std::string name = "caf\xe9";
  std::string table = "a,b,kind\n";
  for (int i = 0; i < 24; ++i) {
    table += std::to_string(i % 5) + "," + std::to_string(i % 7) + "," + (i % 2 == 0 ? "x" : "y") + "\n";
  }
  place.write(name + ".csv", table);
  const std::string spec = "csv:" + name + ".csv?label=kind";
  const auto pretrained = place.run({"pretrain", "--data", spec, "--model", "mlp:4", "--epochs", "1", "--out",
                                     name + ".safetensors", "--json", "p.json"});
  ASSERT_EQ(pretrained.code, 0) << pretrained.errors;
  const std::vector<std::string> words = {"transfer", "--source", name + ".safetensors",
                                          "--target", spec,       "--model",
                                          "mlp:4",    "--seeds",  "2",
                                          "--epochs", "1",        "--state",
                                          "state",    "--resume", "--json",
                                          "t.json"};
  ASSERT_EQ(place.run(words).code, 0);
  const json first = timeless(place.json("t.json"));
  const auto again = place.run(words);
  ASSERT_EQ(again.code, 0) << again.errors;
  EXPECT_EQ(again.errors, "");
  EXPECT_EQ(timeless(place.json("t.json")), first);
}

TEST(Resume, AnUnwritableFeatureCacheIsSaid) {
  const Workplace place;
  make_source(place);
  const auto words = [](const std::string& json) {
    return small_transfer({"--strategy", "probe", "--feature-cache", "cache", "--json", json});
  };
  const auto first = place.run(words("first.json"));
  ASSERT_EQ(first.code, 0) << first.errors;
  EXPECT_EQ(first.errors, "");
  for (const auto& [name, content] : contents_of(place.path("cache"))) {
    fs::remove(place.path("cache/" + name));
    fs::create_directory(place.path("cache/" + name));  // where no file can be put
  }
  const auto second = place.run(words("second.json"));
  ASSERT_EQ(second.code, 0) << second.errors;
  EXPECT_EQ(second.errors.find("rtl: the feature cache could not be written"), 0u) << second.errors;
  EXPECT_EQ(std::count(second.errors.begin(), second.errors.end(), '\n'), 1) << second.errors;
  EXPECT_EQ(timeless(place.json("first.json")), timeless(place.json("second.json")));
}

}  // namespace
}  // namespace rtl::test
