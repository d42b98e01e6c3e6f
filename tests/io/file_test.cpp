#include "rtl/io/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <filesystem>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "support/file_size_limit.hpp"
#include "support/gzip.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::io {
namespace {

using test::content_of;
using test::TemporaryFolder;

std::string text_of(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string random_text(std::size_t size) {
  RandomSequence random(11);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random.bits() & 15u);
  return text;
}

TEST(ReadFile, GivesTheWholeContent) {
  const TemporaryFolder folder;
  for (const std::size_t size : {0u, 1u, 1025u, 300000u}) {
    const std::string text = random_text(size);
    EXPECT_EQ(text_of(read_file(folder.write("plain", text))), text);
    EXPECT_EQ(text_of(read_file_gz(folder.write("plain", text))), text);
    EXPECT_EQ(text_of(read_file_gz(folder.write("packed.gz", test::gzip(text)))), text);
  }
  EXPECT_GT(read_file("/proc/self/status").size(), 0u) << "a file that announces size 0";
}

TEST(ReadFile, JoinsGzipMembers) {
  const TemporaryFolder folder;
  const std::string a = random_text(5000), b = "second member";
  EXPECT_EQ(text_of(read_file_gz(folder.write("two.gz", test::gzip(a) + test::gzip(b)))), a + b);
}

TEST(ReadFile, KeepsToItsLimit) {
  const TemporaryFolder folder;
  const std::string plain = folder.write("plain", std::string(1000, 'x'));
  EXPECT_EQ(read_file(plain, 1000).size(), 1000u);
  EXPECT_THROW(read_file(plain, 999), FormatError);
  const std::string packed = folder.write("bomb.gz", test::gzip(std::string(10'000'000, '\0')));
  EXPECT_EQ(read_file_gz(packed, 10'000'000).size(), 10'000'000u);
  EXPECT_THROW(read_file_gz(packed, 9'999'999), FormatError);
}

TEST(ReadFile, RefusesEveryTruncationAndTrailingBytesOfGzip) {
  const std::string packed = test::gzip(random_text(600));
  for (std::size_t size = 0; size < packed.size(); ++size) {
    const auto bytes = std::as_bytes(std::span(packed)).first(size);
    EXPECT_THROW(gunzip(bytes, "cut.gz"), FormatError) << size << " of " << packed.size() << " bytes";
  }
  for (const std::string& tail : {std::string("x"), std::string(20, '\0'), packed.substr(0, 10)}) {
    const std::string longer = packed + tail;
    EXPECT_THROW(gunzip(std::as_bytes(std::span(longer)), "long.gz"), FormatError);
  }
}

TEST(ReadFile, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  EXPECT_THROW(read_file(folder / "missing"), IoError);
  EXPECT_THROW(read_file(folder.path()), IoError);
  try {
    const std::string packed = test::gzip(random_text(600));
    read_file_gz(folder.write("cut.gz", packed.substr(0, 100)));
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_EQ(error.file(), folder / "cut.gz");
    EXPECT_NE(std::string(error.what()).find("truncated .gz"), std::string::npos) << error.what();
  }
}

TEST(MappedFile, ShowsTheBytes) {
  const TemporaryFolder folder;
  MappedFile mapped(folder.write("file", "content"));
  const MappedFile moved = std::move(mapped);
  EXPECT_EQ(text_of({moved.bytes().begin(), moved.bytes().end()}), "content");
  EXPECT_TRUE(MappedFile(folder.write("empty", "")).bytes().empty());
  EXPECT_THROW(MappedFile(folder.path()), IoError);
  EXPECT_THROW(MappedFile("/dev/null"), IoError);
  EXPECT_THROW(MappedFile(folder / "missing"), IoError);
}

TEST(AtomicFile, AProgramThatEndsAtOnceLeavesNoTemporaries) {
  const TemporaryFolder folder;
  const std::string path = folder.write("target", "old");
  const auto end = [&] {
    AtomicFile file(path);
    file.write("new");
    abandon_writes();
    _exit(3);
  };
  EXPECT_EXIT(end(), ::testing::ExitedWithCode(3), "");
  EXPECT_EQ(text_of(read_file(path)), "old");
  const std::filesystem::directory_iterator files(std::filesystem::path(path).parent_path());
  EXPECT_EQ(std::distance(begin(files), std::filesystem::end(files)), 1);
}

TEST(AtomicFile, ReplacesOnCommitOnly) {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "old");
  {
    AtomicFile file(path);
    file.write("new");
    EXPECT_EQ(content_of(path), "old");
    EXPECT_EQ(folder.entries(), 2u);
  }
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(folder.entries(), 1u) << "an abandoned file stays behind";
  AtomicFile file(path);
  file.write("new");
  EXPECT_EQ(file.size(), 3u);
  file.commit();
  EXPECT_EQ(content_of(path), "new");
  EXPECT_EQ(folder.entries(), 1u);
  EXPECT_THROW(file.write("more"), IoError);
  EXPECT_THROW(file.commit(), IoError);
}

TEST(AtomicFile, KeepsPermissionsAndLinks) {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "old");
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  ASSERT_EQ(::symlink("file", (folder / "link").c_str()), 0);
  write_file(folder / "link", std::string_view("new"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(content_of(path), "new");
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST(AtomicFile, FollowsLinksToFilesThatAreNotThereYet) {
  const TemporaryFolder folder;
  ASSERT_TRUE(std::filesystem::create_directory(folder / "below"));
  ASSERT_EQ(::symlink("below/second", (folder / "first").c_str()), 0);
  ASSERT_EQ(::symlink((folder / "file").c_str(), (folder / "below/second").c_str()), 0);
  write_file(folder / "first", std::string_view("text"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "first"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "below/second"));
  EXPECT_EQ(content_of(folder / "file"), "text");
  ASSERT_EQ(::symlink("circle", (folder / "circle").c_str()), 0);
  EXPECT_THROW(write_file(folder / "circle", std::string_view("text")), IoError);
}

TEST(AtomicFile, WritesWhereStandardOutputLeadsTo) {
  const TemporaryFolder folder;
  std::fflush(stdout);
  const int kept = ::dup(STDOUT_FILENO);
  const int file = ::open((folder / "file").c_str(), O_WRONLY | O_CREAT, 0600);
  ASSERT_GE(::dup2(file, STDOUT_FILENO), 0);
  const ssize_t before = ::write(STDOUT_FILENO, "before ", 7);
  write_file("/dev/stdout", std::string_view("between "));
  const ssize_t after = ::write(STDOUT_FILENO, "after", 5);
  ::dup2(kept, STDOUT_FILENO);
  ::close(kept);
  ::close(file);
  EXPECT_EQ(before + after, 12);
  EXPECT_EQ(content_of(folder / "file"), "before between after");
}

TEST(AtomicFile, WritesDevicesDirectly) {
  write_file("/dev/null", std::string_view("gone"));
  try {
    write_file("/dev/full", std::string_view("text"));
    FAIL();
  } catch (const IoError& error) {
    EXPECT_EQ(error.file(), "/dev/full");
    EXPECT_NE(std::string(error.what()).find("No space left"), std::string::npos) << error.what();
  }
}

TEST(AtomicFile, RefusesWhereNothingCanBeWritten) {
  const TemporaryFolder folder;
  EXPECT_THROW(AtomicFile(folder.path()), IoError);
  EXPECT_THROW(AtomicFile(folder / "no/such/folder"), IoError);
  EXPECT_THROW(AtomicFile("/proc/rtl-test"), IoError);
  EXPECT_THROW(AtomicFile(folder.write("file", "text") + "/below"), IoError);
  if (::geteuid() == 0) return;  // root may write everywhere
  ASSERT_EQ(::chmod(folder.path().c_str(), 0500), 0);
  EXPECT_THROW(AtomicFile(folder / "new"), IoError);
  ASSERT_EQ(::chmod(folder.path().c_str(), 0700), 0);
}

TEST(AtomicFile, KeepsTheOldFileWhenTheDiskIsFull) {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "old");
  {
    const test::FileSizeLimit limit(100'000);
    EXPECT_THROW(write_file(path, std::string_view(random_text(200'000))), IoError);
    AtomicFile pieces(path);
    EXPECT_THROW(
        {
          for (int i = 0; i < 300; ++i) pieces.write(random_text(1000));
        },
        IoError);
    EXPECT_THROW(pieces.commit(), IoError);
  }
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(folder.entries(), 1u) << "a failed file stays behind";
}

}  // namespace
}  // namespace rtl::io
