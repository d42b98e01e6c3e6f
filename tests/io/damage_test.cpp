// Damaged archives: all of it is found, or changes nothing.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "io/safetensors_seal.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/io/safetensors.hpp"
#include "support/damage.hpp"
#include "support/random.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::io {
namespace {

using test::content_of;
using test::TemporaryFolder;

/// Everything that a reader learns from a file.
std::string all_of(const SafetensorsFile& file) {
  std::string all;
  for (const auto& [key, value] : file.metadata()) all += key + '\1' + value + '\2';
  for (const TensorEntry& entry : file.tensors()) {
    const auto bytes = file.bytes(entry.name);
    all += entry.name + '\1' + entry.shape.to_string() + std::string(name_of(entry.dtype));
    all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return all;
}

/// None of the damaged copies of `folder`/file is read without an error and gives something else.
void expect_no_silent_damage(const TemporaryFolder& folder) {
  const std::string whole = content_of(folder / "file"), right = all_of(SafetensorsFile(folder / "file"));
  RandomSequence random(test::seed());
  int silently_wrong = 0, found = 0;
  for (int i = 0; i < test::damages; ++i) {
    try {
      const std::string path = folder.write("damaged", test::damaged_copy(whole, random));
      if (all_of(SafetensorsFile(path)) != right) ++silently_wrong;
    } catch (const FormatError&) {
      ++found;
    }
  }
  EXPECT_EQ(silently_wrong, 0) << "seed " << test::seed();
  EXPECT_GT(found, test::damages / 2);
}

Tensor some_floats(std::uint64_t seed, const Shape& shape) {
  RandomSequence random(seed);
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  for (float& value : values) value = static_cast<float>(random.normal());
  return Tensor::from(values, shape, Device::cpu(1));
}

TEST(Damage, OfSafetensorsIsFound) {
  const TemporaryFolder folder;
  const Tensor weight = some_floats(1, {8, 6}), bias = some_floats(2, {8}), empty({0, 3}, DType::f64, Device::cpu(1));
  write_safetensors(folder / "file", {{"fc.weight", weight}, {"fc.bias", bias}, {"empty", empty}},
                    {{"architecture", "mlp"}, {"classes", "8"}});
  expect_no_silent_damage(folder);
  write_safetensors(folder / "file", {{"a", bias}});
  expect_no_silent_damage(folder);
  write_safetensors(folder / "file", {}, {{"key", "value"}});
  expect_no_silent_damage(folder);
}

TEST(Damage, OfNpzIsFound) {
  const TemporaryFolder folder;
  const Tensor weight = some_floats(1, {8, 6}), bias = some_floats(2, {8});
  for (const bool compress : {false, true}) {
    write_npz(folder / "file", {{"weight", weight}, {"bias", bias}}, compress);
    const std::string whole = content_of(folder / "file");
    RandomSequence random(test::seed());
    int silently_wrong = 0;
    for (int i = 0; i < test::damages; ++i) {
      folder.write("damaged", test::damaged_copy(whole, random));
      try {
        // A reader asks by name: other names are as good as none.
        const NpzFile file(folder / "damaged");
        const auto values = [&](const char* name) { return file.load(name, Device::cpu(1)).to_vector<float>(); };
        if (values("weight") != weight.to_vector<float>() || values("bias") != bias.to_vector<float>()) {
          ++silently_wrong;
        }
      } catch (const FormatError&) {
        // found
      }
    }
    EXPECT_EQ(silently_wrong, 0) << "seed " << test::seed();
  }
}

TEST(Seal, CoversEveryByte) {
  const TemporaryFolder folder;
  const Tensor values = some_floats(3, {5});
  write_safetensors(folder / "file", {{"a", values}}, {{"x", "y"}});
  const std::string whole = content_of(folder / "file"), right = all_of(SafetensorsFile(folder / "file"));
  EXPECT_EQ(SafetensorsFile(folder / "file").content_hash().size(), 16u);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int change : {1, 4, 32, 128}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      folder.write("damaged", damaged);
      EXPECT_THROW(SafetensorsFile(folder / "damaged"), FormatError) << at << " ^ " << change;
    }
  }
}

TEST(Seal, IsNotLostByDamageToItself) {
  const TemporaryFolder folder;
  const Tensor values = some_floats(4, {5});
  write_safetensors(folder / "file", {{"a", values}});
  const std::string whole = content_of(folder / "file");
  const std::size_t key = whole.find(seal_key);
  ASSERT_NE(key, std::string::npos);
  for (std::size_t length = 1; length <= std::string(seal_key).size(); ++length) {
    std::string damaged = whole;
    damaged.replace(key, length, std::string(length, 'z'));
    damaged.back() = static_cast<char>(damaged.back() ^ 1);
    folder.write("damaged", damaged);
    EXPECT_THROW(SafetensorsFile(folder / "damaged"), FormatError) << damaged.substr(8, 80);
  }
}

TEST(Seal, FilesFromElsewhereNeedNone) {
  const TemporaryFolder folder;
  const std::string header =
      R"({"__metadata__":{"format":"pt","hash":"0123456789abcdef"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::uint64_t length = header.size();
  std::string content(reinterpret_cast<const char*>(&length), sizeof length);
  folder.write("file", content + header + std::string(4, '\0'));
  const SafetensorsFile file(folder / "file");
  EXPECT_EQ(file.content_hash(), "");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.load("a", Device::cpu(1)).item<float>(), 0);
}

TEST(Seal, IsReservedAndNotShown) {
  const TemporaryFolder folder;
  const Tensor values = some_floats(5, {2});
  EXPECT_THROW(write_safetensors(folder / "file", {{"a", values}}, {{seal_key, "x"}}), ValueError);
  write_safetensors(folder / "file", {{"a", values}}, {{"text", "\"rtl.content_hash\":\"xxh64-of-this-file:"}});
  const SafetensorsFile file(folder / "file");
  EXPECT_EQ(file.metadata().size(), 1u);
  write_safetensors(folder / "copy", {{"a", file.view("a")}}, file.metadata());
  EXPECT_EQ(content_of(folder / "file"), content_of(folder / "copy"));
}

TEST(Seal, TellsWhatToDo) {
  const TemporaryFolder folder;
  write_safetensors(folder / "file", {{"a", some_floats(6, {4})}});
  std::string damaged = content_of(folder / "file");
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  folder.write("file", damaged);
  try {
    const SafetensorsFile file(folder / "file");
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_EQ(error.file(), folder / "file");
    EXPECT_NE(std::string(error.what()).find("fetch or make it again"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace rtl::io
