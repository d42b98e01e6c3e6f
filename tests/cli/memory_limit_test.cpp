// A limited address space: every command gives its result or says that memory is short; it never hangs or crashes.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>

#include "cli/program.hpp"
#include "rtl/core/random.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::test {
namespace {

void write_random(const Workplace& place, const std::string& name, std::int64_t rows, std::int64_t columns) {
  RandomSequence random(static_cast<std::uint64_t>(rows * 100 + columns));
  std::vector<double> values(static_cast<std::size_t>(rows * columns));
  for (double& value : values) value = random.normal();
  io::write_npy(place.path(name), Tensor::from(values, {rows, columns}, Device::cpu(1)));
}

pid_t start_limited(const Workplace& place, const Words& words, std::size_t mebibytes, const Words& settings) {
  return place.start(words, settings, [&] {
    const struct rlimit limit = {mebibytes << 20, mebibytes << 20};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(126);
  });
}

/// 137 if it had to be killed, because it hung.
Outcome run_limited(const Workplace& place, const Words& words, std::size_t mebibytes, const std::string& threads) {
  const pid_t process = start_limited(place, words, mebibytes, {"OMP_NUM_THREADS=" + threads});
  for (int moment = 0; moment < 6000; ++moment) {
    siginfo_t state = {};
    waitid(P_PID, static_cast<id_t>(process), &state, WEXITED | WNOHANG | WNOWAIT);
    if (state.si_pid == process) return place.wait(process);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(process, SIGKILL);
  return place.wait(process);
}

TEST(MemoryLimit, TheAnswerIsAResultOrAWord) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take the whole address space";
#endif
  const Workplace place;
  make_source(place);
  write_random(place, "X.npy", 300, 200);
  write_random(place, "Y.npy", 300, 2);
  const std::vector<Words> commands = {
      {"ridge", "--features", "X.npy", "--targets", "Y.npy", "--penalties", "1e-2:1e2:5"},
      small_transfer({"--epochs", "1"}),
      {"predict", "--model", "source.safetensors", "--data", "glyphs:?classes=3&size=16&train=30&test=300"}};
  int results = 0;
  for (const char* threads : {"1", "2"}) {
    for (const std::size_t mebibytes : {130, 250, 350, 460, 480, 500, 550, 600, 730, 745, 770, 850}) {
      for (const Words& words : commands) {
        const Outcome outcome = run_limited(place, words, mebibytes, threads);
        SCOPED_TRACE(words[0] + " in " + std::to_string(mebibytes) + " MiB, " + threads + ": " + outcome.errors);
        EXPECT_TRUE(outcome.code == 0 || outcome.code == 1);
        EXPECT_TRUE(outcome.code == 0 || outcome.errors.find("memory") != std::string::npos);
        results += outcome.code == 0 ? 1 : 0;
      }
    }
  }
  EXPECT_GT(results, 0) << "the limits are meant to be met by the stated minimum";
}

// An arena of the C library for each thread, taken at any time, once left oneDNN without memory for its code.
TEST(MemoryLimit, OneArenaWhateverElseIsSet) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take the whole address space";
#endif
  const Workplace place;
  make_source(place);
  for (const char* setting : {"OMP_WAIT_POLICY=passive", "OMP_WAIT_POLICY=active", "GOMP_SPINCOUNT=1"}) {
    const pid_t process = start_limited(place, small_transfer({"--epochs", "1"}), 1024, {"OMP_NUM_THREADS=2", setting});
    bool found = false;
    for (siginfo_t state = {}; state.si_pid != process && !found;) {
      std::ifstream file("/proc/" + std::to_string(process) + "/environ", std::ios::binary);
      const std::string settings((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
      found = settings.find("MALLOC_ARENA_MAX=1") != std::string::npos && settings.find(setting) != std::string::npos;
      waitid(P_PID, static_cast<id_t>(process), &state, WEXITED | WNOHANG | WNOWAIT);
    }
    EXPECT_TRUE(found) << setting;
    const Outcome outcome = place.wait(process);
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
  }
}

}  // namespace
}  // namespace rtl::test
