// What AtomicFile leaves when its process is killed, and who clears it up.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::io {
namespace {

using test::content_of;
using test::TemporaryFolder;

std::vector<std::string> temporaries(const TemporaryFolder& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    const std::string name = entry.path().filename().string();
    if (name.find(".tmp-") != std::string::npos) names.push_back(name);
  }
  return names;
}

/// Runs `work` in a process of its own, which is killed when it is done.
void run_and_kill(const std::function<void()>& work) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    work();
    ::kill(::getpid(), SIGKILL);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
}

/// The same, as the first process of a container, so that every such process has the number 1. Where containers are
/// not allowed its number is an ordinary one.
void run_and_kill_in_container(const std::function<void()>& work) {
  const pid_t outer = ::fork();
  ASSERT_GE(outer, 0);
  if (outer == 0) {
    // Without a container the test still tests a killed process.
    if (::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) errno = 0;
    const pid_t inner = ::fork();
    if (inner == 0) {
      work();
      ::kill(::getpid(), SIGKILL);  // which the first process of a container does not feel
      ::_exit(0);
    }
    ::waitpid(inner, nullptr, 0);
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(outer, nullptr, 0), outer);
}

TEST(Temporaries, OfAKilledWriterAreClearedByTheNext) {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "old");
  run_and_kill([&] {
    AtomicFile file(path);
    file.write("half of the new");
    ::kill(::getpid(), SIGKILL);
  });
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(temporaries(folder).size(), 1u) << "the test does not test";
  write_file(folder / "another", std::string_view("text"));
  EXPECT_EQ(temporaries(folder).size(), 1u) << "those of another target are not this writer's";
  write_file(path, std::string_view("new"));
  EXPECT_EQ(content_of(path), "new");
  EXPECT_TRUE(temporaries(folder).empty());
}

TEST(Temporaries, ProcessesWithOneNumberDoNotMeet) {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  for (int repeat = 0; repeat < 5; ++repeat) {
    run_and_kill_in_container([&] {
      static AtomicFile file(path);
      file.write("half");
    });
    EXPECT_FALSE(file_exists(path));
    EXPECT_EQ(temporaries(folder).size(), 1u);
  }
  run_and_kill_in_container([&] { write_file(path, std::string_view("whole")); });
  EXPECT_EQ(content_of(path), "whole");
  EXPECT_TRUE(temporaries(folder).empty());
}

TEST(Temporaries, OfALivingWriterAreKept) {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "old");
  int ready[2], go[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(go), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  char signal = 'x';
  if (child == 0) {
    AtomicFile file(path);
    file.write("of the ");
    if (::write(ready[1], &signal, 1) != 1 || ::read(go[0], &signal, 1) != 1) ::_exit(1);
    file.write("child");
    file.commit();
    ::_exit(0);
  }
  ASSERT_EQ(::read(ready[0], &signal, 1), 1);
  AtomicFile mine(path);
  mine.write("mine");
  write_file(path, std::string_view("between"));
  remove_abandoned(folder.path());
  EXPECT_EQ(temporaries(folder).size(), 2u);
  EXPECT_EQ(content_of(path), "between");
  ASSERT_EQ(::write(go[1], &signal, 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(content_of(path), "of the child");
  mine.commit();
  EXPECT_EQ(content_of(path), "mine");
  EXPECT_TRUE(temporaries(folder).empty());
  for (const int end : {ready[0], ready[1], go[0], go[1]}) ::close(end);
}

TEST(Temporaries, OfAWholeFolderAreCleared) {
  const TemporaryFolder folder;
  run_and_kill([&] {
    static AtomicFile one(folder / "one"), two(folder / "two");
    one.write("1");
  });
  EXPECT_EQ(temporaries(folder).size(), 2u);
  const std::string names[] = {"x.tmp-1-2", "x.tmp-0123456789abcde", ".tmp-0123456789abcdef", "x.tmp-0123456789abcdeF"};
  for (const std::string& name : names) folder.write(name, "a file of somebody else");
  remove_abandoned(folder.path());
  EXPECT_EQ(temporaries(folder).size(), std::size(names));
  remove_abandoned(folder / "missing");
}

TEST(Temporaries, ManyWritersOfOneTargetDoNotDisturbEachOther) {
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  std::atomic<int> wrong = 0;
  std::vector<std::thread> writers;
  for (char name : {'a', 'b', 'c', 'd'}) {
    writers.emplace_back([&, name] {
      for (int repeat = 0; repeat < 25; ++repeat) {
        try {
          write_file(path, std::string_view(std::string(5000, name)));
          const std::string found = content_of(path);
          if (found.size() != 5000 || found.find_first_not_of(found.front()) != std::string::npos) ++wrong;
        } catch (const Error&) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(folder.entries(), 1u);
}

}  // namespace
}  // namespace rtl::io
