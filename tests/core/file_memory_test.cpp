// Memory whose pages are those of a file, and tensors in it.
#include "rtl/core/file_memory.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "rtl/core/tensor.hpp"
#include "support/file_size_limit.hpp"
#include "support/out_of_core.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::test {
namespace {

FileMemory memory_of(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY);
  FileMemory memory(file, std::filesystem::file_size(path), path);
  ::close(file);
  return memory;
}

/// More than a page, and no whole number of pages.
std::string long_text() {
  std::string text(10001, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 % 251);
  return text;
}

std::string text_of(const FileMemory& memory) { return {reinterpret_cast<const char*>(memory.data()), memory.size()}; }

TEST(FileMemory, ShowsTheFileAndKeepsItAsItWas) {
  const TemporaryFolder folder;
  const std::string text = long_text(), path = folder.write("file", text);
  FileMemory memory = memory_of(path);
  EXPECT_EQ(text_of(memory), text);
  memory.will_need(5000, 100000);
  memory.make_writable();
  memory.data()[3] = std::byte{99};
  EXPECT_EQ(content_of(path), text);
  EXPECT_EQ(memory.data()[3], std::byte{99});
  const FileMemory moved = std::move(memory);
  EXPECT_EQ(moved.data()[3], std::byte{99});
}

TEST(FileMemory, CopiesHaveMemoryOfTheirOwn) {
  const TemporaryFolder folder;
  const std::string text = long_text();
  FileMemory memory = memory_of(folder.write("file", text));
  for (const std::size_t begin : {0, 1, 4095, 4096, 5001, 10000}) {
    SCOPED_TRACE(begin);
    const std::size_t count = std::min<std::size_t>(4999, text.size() - begin);
    FileMemory copy = memory.copy(begin, count);
    EXPECT_EQ(text_of(copy), text.substr(begin, count));
    EXPECT_EQ(text_of(copy.copy(0, 1)), text.substr(begin, 1));
    copy.make_writable();
    copy.data()[0] = std::byte{254};
    EXPECT_EQ(text_of(memory), text);
    EXPECT_EQ(text_of(copy.copy(0, std::min<std::size_t>(2, count))),
              std::string("\xfe") + (count > 1 ? text.substr(begin + 1, 1) : ""))
        << "what was written belongs to the contents";
  }
  EXPECT_EQ(memory.copy(7, 0).size(), 0U);
  EXPECT_THROW(memory.copy(10001, 1), ValueError);
  EXPECT_THROW(memory.copy(1, 10001), ValueError);
}

TEST(FileMemory, ScratchFilesAreZerosAndLeaveNothing) {
  const TemporaryFolder folder;
  const Setting place("TMPDIR", folder.path());
  FileMemory scratch = FileMemory::scratch(10001);
  EXPECT_EQ(text_of(scratch), std::string(10001, '\0'));
  std::memset(scratch.data(), 5, scratch.size());
  FileMemory copy = scratch.copy(1, 10000);
  copy.data()[0] = std::byte{6};
  EXPECT_EQ(text_of(scratch), std::string(10001, '\5'));
  EXPECT_EQ(folder.entries(), 0U);
  EXPECT_EQ(FileMemory::scratch(0).data(), nullptr);
}

TEST(FileMemory, SaysWhereThereIsNoRoom) {
  const TemporaryFolder folder;
  {
    const Setting place("TMPDIR", folder.path());
    const FileSizeLimit full(1 << 20);
    try {
      FileMemory::scratch(2 << 20);
      FAIL() << "there is no room for it";
    } catch (const IoError& error) {
      EXPECT_EQ(error.file(), folder.path());
      EXPECT_NE(std::string(error.what()).find("no room for 2.0 MiB"), std::string::npos) << error.what();
    }
    EXPECT_EQ(FileMemory::scratch(1 << 20).size(), std::size_t{1} << 20);
  }
  EXPECT_EQ(folder.entries(), 0U);
  const Setting nowhere("TMPDIR", folder / "missing");
  EXPECT_THROW(FileMemory::scratch(1), IoError);
}

TEST(InMemoryLimit, IsOfTheMachineOrTheEnvironment) {
  {
    const Setting unset("RTL_OUT_OF_CORE", "");
    EXPECT_GT(in_memory_limit(), std::size_t{1} << 20);
  }
  for (const auto& [text, bytes] : {std::pair<const char*, std::size_t>{"0", 0},
                                    {"17", 17},
                                    {"3K", 3 << 10},
                                    {"500M", std::size_t{500} << 20},
                                    {"2G", std::size_t{2} << 30},
                                    {"1T", std::size_t{1} << 40}}) {
    const Setting limit("RTL_OUT_OF_CORE", text);
    EXPECT_EQ(in_memory_limit(), bytes) << text;
  }
  for (const char* text : {"x", "-1", "3X", "3MB", "K", "1.5G", "99999999999999999999", "99999999999T"}) {
    const Setting limit("RTL_OUT_OF_CORE", text);
    EXPECT_THROW(in_memory_limit(), ValueError) << text;
  }
}

TEST(FileTensor, IsATensorLikeOthers) {
  const TemporaryFolder folder;
  const Device host = Device::cpu(1);
  std::vector<std::int32_t> values(4 * 3 * 700);
  std::iota(values.begin(), values.end(), 0);
  const std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(std::int32_t));
  const std::string path = folder.write("file", "head" + bytes);
  Tensor tensor(memory_of(path), 4, {4, 3, 700}, DType::i32, host);
  EXPECT_TRUE(tensor.in_file());
  EXPECT_EQ(tensor.to_vector<std::int32_t>(), values);
  const Tensor part = tensor.rows(1, 3);
  EXPECT_TRUE(part.in_file());
  EXPECT_EQ(part.shape(), (Shape{2, 3, 700}));
  EXPECT_EQ(part.to_vector<std::int32_t>(), std::vector(values.begin() + 2100, values.begin() + 6300));
  part.will_need(-5, 100);
  part.will_need(2, 1);
  EXPECT_EQ(part.rows(1, 1).count(), 0);
  EXPECT_THROW(tensor.rows(3, 5), ShapeError);
  Tensor clone = tensor.clone();
  clone.data_as<std::int32_t>()[5] = -1;
  EXPECT_EQ(tensor.to_vector<std::int32_t>(), values);
  EXPECT_EQ(clone.clone().to_vector<std::int32_t>()[5], -1);
  tensor = std::move(clone);
  EXPECT_EQ(std::move(tensor).reshaped({8400}).to_vector<std::int32_t>()[5], -1);
  EXPECT_EQ(content_of(path), "head" + bytes);
}

TEST(FileTensor, RefusesMemoryThatDoesNotFit) {
  const TemporaryFolder folder;
  const Device host = Device::cpu(1);
  const std::string path = folder.write("file", std::string(64, 'x'));
  EXPECT_EQ(Tensor(memory_of(path), 4, {15}, DType::f32, host).count(), 15);
  EXPECT_THROW(Tensor(memory_of(path), 4, {16}, DType::f32, host), ShapeError);
  EXPECT_THROW(Tensor(memory_of(path), 65, {0}, DType::f32, host), ShapeError);
  EXPECT_THROW(Tensor(memory_of(path), 2, {3}, DType::f32, host), ShapeError);
}

TEST(FileTensor, LiesInAFileFromTheLimitOn) {
  const Device host = Device::cpu(1);
  const Setting limit("RTL_OUT_OF_CORE", "1K");
  EXPECT_FALSE(Tensor::out_of_core({256}, DType::f32, host).in_file());
  Tensor large = Tensor::out_of_core({257}, DType::f32, host);
  EXPECT_TRUE(large.in_file());
  large.data_as<float>()[256] = 3;
  EXPECT_EQ(large.to_vector<float>()[256], 3);
  EXPECT_EQ(large.rows(256, 257).item<float>(), 3);
  EXPECT_FALSE(Tensor({1024}, DType::f32, host).in_file());
}

}  // namespace
}  // namespace rtl::test
