// Ctrl-C, kill and a terminal that goes away: every command ends soon, wherever it is, and says only what is true.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "cli/program.hpp"
#include "rtl/core/random.hpp"
#include "rtl/io/npy.hpp"
#include "support/random.hpp"

namespace rtl::test {
namespace {

using Seconds = std::chrono::duration<double>;

void write_random(const Workplace& place, const std::string& name, std::int64_t rows, std::int64_t columns) {
  RandomSequence random(static_cast<std::uint64_t>(rows * 100 + columns));
  std::vector<double> values(static_cast<std::size_t>(rows * columns));
  for (double& value : values) value = random.normal();
  io::write_npy(place.path(name), Tensor::from(values, {rows, columns}, Device::cpu(1)));
}

bool ended(pid_t process) {
  siginfo_t state = {};
  return waitid(P_PID, static_cast<id_t>(process), &state, WEXITED | WNOHANG | WNOWAIT) == 0 && state.si_pid == process;
}

/// Sends the signal to the command after some time; what it then says, within a generous time.
Outcome stop(const Workplace& place, const Words& words, int signal, Seconds delay) {
  const pid_t process = place.start(words);
  const auto start = std::chrono::steady_clock::now();
  while (!ended(process) && std::chrono::steady_clock::now() - start < delay) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(process, signal);
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!ended(process) && std::chrono::steady_clock::now() < limit) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (!ended(process)) {
    kill(process, SIGKILL);
    ADD_FAILURE() << "the command did not end";
  }
  return place.wait(process);
}

/// Long work of every command but those that end at once.
std::vector<Words> long_commands() {
  const std::string glyphs = "glyphs:?train=4000&test=4000";
  return {{"ridge", "--features", "X.npy", "--targets", "Y.npy", "--penalties", "1e-4:1e2:200000"},
          {"ridge", "--features", "X.npy", "--targets", "Y.npy", "--penalties", "1,2", "--method", "svd"},
          {"decide", "--source-features", "X.npy", "--source-targets", "Y.npy", "--target-features", "X.npy",
           "--target-targets", "Y.npy"},
          {"pretrain", "--data", glyphs, "--epochs", "500", "--out", "new.safetensors"},
          {"transfer", "--source", "source.safetensors", "--target", "glyphs:?classes=3&size=16&train=4000", "--model",
           "paper_cnn:16-16-32-64", "--epochs", "500"},
          {"predict", "--model", "source.safetensors", "--data", "glyphs:?classes=3&size=16&test=200000"},
          {"features", "--model", "source.safetensors", "--data", "glyphs:?classes=3&size=16&train=200000", "--out",
           "features.npy"},
          {"inspect", "glyphs:?train=200000"},
          {"reproduce", "l2sp", "--full"},
          {"reproduce", "optimal-features", "--full"}};
}

TEST(Interrupt, EveryCommandEndsAtARandomMomentAndLeavesNothingBehind) {
  const Workplace place;
  make_source(place);
  write_random(place, "X.npy", 2000, 1500);
  write_random(place, "Y.npy", 2000, 2);
  const Words before = place.files();
  RandomSequence random(seed());
  SCOPED_TRACE(fmt::format("RTL_TEST_SEED={}", seed()));
  const int signals[] = {SIGINT, SIGTERM, SIGHUP};
  std::size_t turn = 0;
  for (const Words& words : long_commands()) {
    const int signal = signals[turn++ % 3];
    // From the moment on at which the handlers stand.
    const Outcome outcome = stop(place, words, signal, Seconds(0.3 + 0.5 * random.uniform()));
    SCOPED_TRACE(fmt::format("{}: {}{}", fmt::join(words, " "), outcome.output, outcome.errors));
    EXPECT_EQ(outcome.code, 128 + signal);
    EXPECT_NE(outcome.errors.find(signal == SIGINT   ? "SIGINT"
                                  : signal == SIGHUP ? "SIGHUP"
                                                     : "SIGTERM"),
              std::string::npos);
    if (words[0] == "pretrain") {
      std::filesystem::remove(place.path("new.safetensors.unfinished"));  // from which it would go on
    } else {
      EXPECT_NE(outcome.errors.find("nothing of this run is kept"), std::string::npos);
    }
    EXPECT_EQ(place.files(), before);
  }
}

TEST(Interrupt, WhatIsSaidToBeKeptIsKept) {
  const Workplace place;
  make_source(place);
  ASSERT_EQ(place.run(small_transfer({"--epochs", "40", "--json", "whole.json"})).code, 0);
  const Words words = small_transfer({"--epochs", "40", "--state", "state", "--json", "parts.json"});
  Words resumed = words;
  resumed.emplace_back("--resume");
  Outcome outcome = stop(place, words, SIGINT, Seconds(0.4));
  for (int turn = 0; turn < 3 && outcome.code != 0; ++turn) {
    EXPECT_EQ(outcome.code, 128 + SIGINT) << outcome.errors;
    int finished = 0, unfinished = 0;
    for (const auto& entry : std::filesystem::directory_iterator(place.path("state"))) {
      finished += entry.path().extension() == ".json" ? 1 : 0;
      unfinished += entry.path().extension() == ".checkpoint" ? 1 : 0;
    }
    const bool kept = outcome.errors.find("nothing of this run is kept") == std::string::npos;
    EXPECT_EQ(kept, finished + unfinished > 0) << outcome.errors;
    if (kept) {
      EXPECT_NE(outcome.errors.find("--state state"), std::string::npos) << outcome.errors;
      EXPECT_NE(outcome.errors.find("--resume"), std::string::npos) << outcome.errors;
    }
    outcome = stop(place, resumed, SIGINT, Seconds(0.4));
  }
  outcome = place.run(resumed);
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto accuracies = [&](const char* file) {
    std::vector<nlohmann::json> all;
    for (const auto& strategy : place.json(file).at("strategies")) all.push_back(strategy.at("accuracy"));
    return all;
  };
  EXPECT_EQ(accuracies("whole.json"), accuracies("parts.json"));
}

TEST(Interrupt, AHangUpThatIsIgnoredStaysIgnored) {
  const Workplace place;
  std::signal(SIGHUP, SIG_IGN);
  const pid_t process = place.start({"pretrain", "--data", "glyphs:?classes=3&size=16&train=300&test=30", "--model",
                                     "paper_cnn:2-2-2-8", "--epochs", "40", "--out", "m.safetensors"});
  std::signal(SIGHUP, SIG_DFL);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  kill(process, SIGHUP);
  const Outcome outcome = place.wait(process);
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
}

}  // namespace
}  // namespace rtl::test
