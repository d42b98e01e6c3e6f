// Compiled kernels use the stack pointer as an ordinary register, so that a signal's handler must never run on a thread
// that computes: which threads take signals, and that none of them does harm.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cli/program.hpp"

namespace rtl::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

bool ended(pid_t process) {
  siginfo_t state = {};
  return waitid(P_PID, static_cast<id_t>(process), &state, WEXITED | WNOHANG | WNOWAIT) == 0 && state.si_pid == process;
}

void pause_for(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }
constexpr std::uint64_t handled = bit(SIGINT) | bit(SIGTERM) | bit(SIGHUP);

/// A line "NAME: HEXADECIMAL" of a process' status.
std::uint64_t mask_of(const std::string& status, const std::string& name) {
  std::ifstream file(status);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name)) return std::stoull(line.substr(name.size() + 1), nullptr, 16);
  }
  return 0;
}

struct Task {
  pid_t id = 0;
  bool takes = false;  ///< some of the handled signals
};

std::vector<Task> tasks_of(pid_t process) {
  std::vector<Task> tasks;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/task", process), gone)) {
    const std::uint64_t blocked = mask_of(entry.path() / "status", "SigBlk");
    tasks.push_back({std::stoi(entry.path().filename().string()), (blocked & handled) != handled});
  }
  return tasks;
}

Words pretrain(const std::string& out, const Words& more = {}) {
  Words words = {"pretrain",
                 "--data",
                 "glyphs:?classes=3&size=16&train=240&test=30",
                 "--model",
                 "paper_cnn:8-8-16-32",
                 "--epochs",
                 "500",
                 "--batch-size",
                 "16",
                 "--threads",
                 "2",
                 "--out",
                 out};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

fs::file_time_type written(const Workplace& place, const std::string& file) {
  std::error_code none;
  const auto time = fs::last_write_time(place.path(file), none);
  return none ? fs::file_time_type::min() : time;
}

/// Until the file is there, or is not any more that of `before`.
void wait_for(const Workplace& place, const std::string& file, pid_t process,
              fs::file_time_type before = fs::file_time_type::min()) {
  while (written(place, file) == before && !ended(process)) pause_for(1);
}

TEST(SignalThreads, OneThatComputesNothingTakesThem) {
  const Workplace place;
  const auto executes_itself_again = [] {
    unsetenv("OMP_WAIT_POLICY");
    unsetenv("GOMP_SPINCOUNT");
  };
  for (const bool again : {false, true}) {
    SCOPED_TRACE(again);
    const pid_t process = again ? place.start(pretrain("m.safetensors"), {}, executes_itself_again)
                                : place.start(pretrain("m.safetensors"));
    wait_for(place, "m.safetensors.unfinished", process);
    const std::vector<Task> tasks = tasks_of(process);
    kill(process, SIGINT);
    const Outcome outcome = place.wait(process);
    EXPECT_EQ(outcome.code, 128 + SIGINT) << outcome.errors;
    ASSERT_GT(tasks.size(), 2U);  // the main thread, the one that takes signals, those that compute
    std::size_t taking = 0;
    for (const Task& task : tasks) {
      taking += task.takes ? 1 : 0;
      EXPECT_FALSE(task.takes && task.id == process);
    }
    EXPECT_EQ(taking, 1U);
    fs::remove(place.path("m.safetensors.unfinished"));
  }
}

void wait_until_it_listens(pid_t process) {
  const auto listens = [&] {
    for (const Task& task : tasks_of(process)) {
      if (task.id != process && task.takes) return true;
    }
    return ended(process);
  };
  while (!listens()) pause_for(1);
}

/// Whether a turn's signal comes while the program still begins.
bool early(std::size_t turn) { return turn % 4 == 3; }

/// Offers the signal to a thread: the system delivers it there if that thread takes it, else to another of the process.
Outcome stop_by(const Workplace& place, const Words& words, std::size_t turn, int signal, int after) {
  const std::string unfinished = "parts.safetensors.unfinished";
  const auto before = written(place, unfinished);
  const pid_t process = place.start(words);
  if (early(turn)) {
    wait_until_it_listens(process);
  } else {
    wait_for(place, unfinished, process, before);
    pause_for(after);
  }
  std::vector<Task> tasks = tasks_of(process);
  // To a thread alone: no shell does so, and it must do no harm there.
  for (const Task& task : tasks) {
    if (!task.takes) tgkill(process, task.id, signal);
  }
  if (!tasks.empty()) kill(tasks[turn % tasks.size()].id, signal);
  const auto sent = Clock::now();
  while (!ended(process) && Clock::now() - sent < std::chrono::seconds(10)) pause_for(2);
  EXPECT_TRUE(ended(process));
  if (!ended(process)) kill(process, SIGKILL);
  return place.wait(process);
}

TEST(SignalThreads, AResumableTrainingSurvivesSignalsToEachOfThem) {
  const Workplace place;
  ASSERT_EQ(place.run(pretrain("whole.safetensors")).code, 0);
  Outcome outcome;
  for (std::size_t turn = 0; turn < 16; ++turn) {
    SCOPED_TRACE(turn);
    const int signal = turn % 2 == 0 ? SIGINT : SIGTERM;
    outcome = stop_by(place, pretrain("parts.safetensors", turn == 0 ? Words{} : Words{"--resume"}), turn, signal,
                      static_cast<int>(7 * turn));
    if (outcome.code == 0) break;  // it was faster
    ASSERT_EQ(outcome.code, 128 + signal) << outcome.errors;
    ASSERT_TRUE(place.has("parts.safetensors.unfinished"));
    const bool kept = outcome.errors.find("parts.safetensors.unfinished keeps the training") != std::string::npos;
    ASSERT_TRUE(kept || (early(turn) && outcome.errors.find("nothing of this run is kept") != std::string::npos))
        << outcome.errors;
  }
  if (outcome.code != 0) outcome = place.run(pretrain("parts.safetensors", {"--resume"}));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(place.read("whole.safetensors"), place.read("parts.safetensors"));
}

TEST(SignalThreads, ASecondSignalEndsAtOnce) {
  const Workplace place;
  // A step of it takes seconds, so that the grace of the first signal runs out.
  const Words words = {"pretrain",
                       "--data",
                       "glyphs:?train=3000&test=10",
                       "--model",
                       "paper_cnn:64-64-128-256",
                       "--batch-size",
                       "3000",
                       "--epochs",
                       "1",
                       "--out",
                       "m.safetensors"};
  for (int attempt = 0; attempt < 5; ++attempt) {
    const pid_t process = place.start(words);
    wait_until_it_listens(process);
    pause_for(1000);
    const auto first = Clock::now();
    kill(process, SIGINT);
    pause_for(300);
    kill(process, SIGTERM);
    const bool in_time = Clock::now() - first < std::chrono::milliseconds(500);
    const Outcome outcome = place.wait(process);
    if (!in_time) continue;  // the machine was busy
    EXPECT_EQ(outcome.code, 128 + SIGTERM) << outcome.errors;
    EXPECT_EQ(outcome.errors.find("stopped by"), std::string::npos) << outcome.errors;
    return;
  }
  GTEST_SKIP() << "this machine is too busy to send two signals half a second apart";
}

TEST(SignalThreads, ProgramsThatAreStartedTakeSignals) {
  const Workplace place;
  make_source(place);
  place.write("gnuplot",
              fmt::format("#!/bin/sh\ncat /proc/self/status >'{}'\nif [ \"$1\" = --version ]; then echo gnuplot 5.4\n"
                          "else cat >/dev/null; fi\n",
                          place.path("status")));
  ASSERT_EQ(chmod(place.path("gnuplot").c_str(), 0700), 0);
  const Outcome outcome = place.run(small_transfer({"--html", "report.html"}),
                                    {fmt::format("PATH={}:{}", place.path("."), std::getenv("PATH"))});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(mask_of(place.path("status"), "SigBlk") & (handled | bit(SIGPIPE)), 0U);
  EXPECT_EQ(mask_of(place.path("status"), "SigIgn") & (handled | bit(SIGPIPE)), 0U);
}

}  // namespace
}  // namespace rtl::test
