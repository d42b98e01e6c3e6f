// The feature cache: reuse, damage, foreign entries, killed and concurrent writers.
#include "rtl/transfer/feature_cache.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "support/damage.hpp"
#include "support/file_size_limit.hpp"
#include "support/random.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;

class FeatureCacheTest : public ::testing::Test {
 protected:
  FeatureCacheTest()
      : device_(Device::cpu(1)),
        data_(testing::make_vectors(3, 41, 6, 3, 2.0, device_)),
        source_(testing::make("mlp", "9", {6}, 3, 5, device_)) {}

  FeatureKey key(DType storage = DType::f32) const { return FeatureKey::of(source_, data_, storage); }
  std::vector<float> expected() const { return source_.features(data_).to_vector<float>(); }
  std::vector<float> found(FeatureCache& cache) const {
    return cache.get(source_, data_)->gather(nullptr, device_).to_vector<float>();
  }

  Device device_;
  data::Dataset data_;
  FrozenSource source_;
  Folder folder_;
};

std::string read(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST_F(FeatureCacheTest, ComputesOnceAndReadsBack) {
  FeatureCache first(folder_.path());
  EXPECT_TRUE(testing::same_bytes(found(first), expected()));
  EXPECT_TRUE(testing::same_bytes(found(first), expected()));
  EXPECT_EQ(first.statistics().computed, 1);
  EXPECT_EQ(first.statistics().reused, 1);
  FeatureCache second(folder_.path());
  EXPECT_TRUE(testing::same_bytes(found(second), expected()));
  EXPECT_EQ(second.statistics().computed, 0);
  EXPECT_EQ(second.statistics().read, 1);
  EXPECT_TRUE(second.get(source_, data_)->is_mapped());
  EXPECT_EQ(folder_.files(), 1U);
}

TEST_F(FeatureCacheTest, WorksInMemoryAlone) {
  FeatureCache cache;
  EXPECT_TRUE(testing::same_bytes(found(cache), expected()));
  found(cache);
  EXPECT_EQ(cache.statistics().computed, 1);
  EXPECT_EQ(cache.path_of(key()), "");
  cache.clear();
  found(cache);
  EXPECT_EQ(cache.statistics().computed, 2);
}

TEST_F(FeatureCacheTest, Bf16HalvesTheBytesAndRoundsToNearest) {
  FeatureCache cache(folder_.path(), DType::bf16);
  const std::vector<float> values = found(cache), exact = expected();
  for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_EQ(values[i], to_float(to_bfloat16(exact[i])));
  EXPECT_EQ(std::filesystem::file_size(cache.path_of(key(DType::bf16))), 128 + exact.size() * 2);
  EXPECT_NE(cache.path_of(key(DType::bf16)), cache.path_of(key(DType::f32)));
  FeatureCache again(folder_.path(), DType::bf16);
  EXPECT_TRUE(testing::same_bytes(found(again), values));
  EXPECT_EQ(again.statistics().read, 1);
  EXPECT_THROW(FeatureCache(folder_.path(), DType::i32), DTypeError);
}

TEST_F(FeatureCacheTest, EveryStorageKeepsItsBoundAndItsBytes) {
  const std::vector<float> exact = expected();
  const std::vector<std::int64_t> rows{40, 0, 7, 7};
  for (const DType storage : {DType::f32, DType::bf16, DType::f16, DType::u8}) {
    SCOPED_TRACE(name_of(storage));
    FeatureCache cache(folder_.path(), storage);
    const std::vector<float> values = found(cache);
    ASSERT_EQ(values.size(), exact.size());
    for (std::size_t c = 0; c < 9; ++c) {
      float least = exact[c], largest = exact[c];
      for (std::size_t i = c; i < exact.size(); i += 9) {
        least = std::min(least, exact[i]);
        largest = std::max(largest, exact[i]);
      }
      for (std::size_t i = c; i < exact.size(); i += 9) {
        const float size = std::abs(exact[i]);
        const float bound = storage == DType::f32    ? 0
                            : storage == DType::bf16 ? size / 256
                            : storage == DType::f16  ? std::max(size, 6.2e-5F) / 2048
                                                     : (largest - least) / 509 + 1e-6F * largest;
        EXPECT_LE(std::abs(values[i] - exact[i]), bound) << "column " << c << ", row " << i / 9;
      }
    }
    const std::size_t stored = exact.size() * size_of(storage) + (storage == DType::u8 ? 72 : 0);
    EXPECT_EQ(std::filesystem::file_size(cache.path_of(key(storage))), 128 + stored);
    FeatureCache again(folder_.path(), storage);
    const auto table = again.get(source_, data_);
    EXPECT_TRUE(table->is_mapped());
    EXPECT_TRUE(table->is_finite());
    for (const Device& device : testing::devices()) {
      const std::vector<float> all = table->gather(nullptr, device).to_vector<float>();
      // Where numbers are scaled, one device may round twice and the other once.
      for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_NEAR(all[i], values[i], storage == DType::u8 ? 2e-7F * std::abs(values[i]) + 1e-6F : 0) << device.name();
      }
      for (int twice = 0; twice < 2; ++twice) {
        const std::vector<float> some = table->gather(&rows, device).to_vector<float>();
        for (std::size_t i = 0; i < some.size(); ++i) {
          EXPECT_EQ(some[i], all[static_cast<std::size_t>(rows[i / 9]) * 9 + i % 9]) << device.name();
        }
      }
    }
  }
}

/// A device without room for the table reads it from page-locked memory of the host.
TEST(FeatureTable, GathersForADeviceThatHasNoRoomForAll) {
  if (Device::cuda_count() == 0) GTEST_SKIP() << "no CUDA device: the host has all";
  constexpr std::int64_t count = 30011, width = 67;  // 8 MB
  std::vector<float> values(count * width);
  RandomSequence random(3, 4);
  for (float& value : values) value = static_cast<float>(random.uniform());
  std::vector<std::int64_t> rows(19997);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i * 7919) % count;
  for (const DType storage : {DType::f32, DType::bf16, DType::f16, DType::u8}) {
    const FeatureTable table = FeatureTable::stored_as(Tensor::from(values, {count, width}, Device::cpu(1)), storage);
    const std::vector<float> expected = table.gather(&rows, Device::cpu(1)).to_vector<float>();
    const std::size_t room = expected.size() * sizeof(float) + table.bytes().size() - 1000;
    ASSERT_EQ(setenv("RTL_EMULATED_MEMORY", std::to_string(room).c_str(), 1), 0);
    const Device small = Device::cuda(0).separate();
    unsetenv("RTL_EMULATED_MEMORY");
    const std::vector<float> found = table.gather(&rows, small).to_vector<float>();
    ASSERT_EQ(found.size(), expected.size());
    // Where numbers are scaled, one device may round twice and the other once.
    const float bound = storage == DType::u8 ? 1e-6F : 0;
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], bound) << name_of(storage);
  }
}

TEST(FeatureTable, StoresConstantColumnsExactlyAndSaysWhatItCannotStore) {
  const Device device = Device::cpu(1);
  const auto stored = [&](std::vector<float> values, DType storage) {
    return FeatureTable::stored_as(Tensor::from(values, {2, 2}, device), storage);
  };
  const FeatureTable table = stored({0.1F, -1.6e38F, 0.1F, 1.6e38F}, DType::u8);
  EXPECT_EQ(table.gather(nullptr, device).to_vector<float>()[0], 0.1F);
  EXPECT_NEAR(table.gather(nullptr, device).to_vector<float>()[3] / 1.6e38, 1, 1e-5);
  EXPECT_THROW(stored({1, -3e38F, 1, 3e38F}, DType::u8), ValueError);
  EXPECT_THROW(stored({1, 2, 3, 65520}, DType::f16), ValueError);
  EXPECT_NO_THROW(stored({1, 2, 3, 65504}, DType::f16));
  EXPECT_THROW(stored({1, 2, 3, NAN}, DType::u8), ValueError);
  EXPECT_FALSE(stored({1, 2, 3, NAN}, DType::f16).is_finite());
  EXPECT_THROW(stored({1, 2, 3, 4}, DType::f64), DTypeError);
  const std::vector<std::int64_t> outside{2};
  EXPECT_THROW(table.gather(&outside, device), ValueError);
  const FeatureTable empty = FeatureTable::stored_as(Tensor({0, 3}, DType::f32, device), DType::u8);
  EXPECT_EQ(empty.gather(nullptr, device).count(), 0);
}

TEST_F(FeatureCacheTest, EveryPartOfTheKeyCounts) {
  const FeatureKey plain = key();
  const data::Dataset other_data = testing::make_vectors(4, 41, 6, 3, 2.0, device_);
  const FrozenSource other_source(testing::make("mlp", "9", {6}, 3, 6, device_));
  const std::vector<double> zeros(6, 0.0), ones(6, 1.0), twos(6, 2.0);
  const FrozenSource other_normalization(testing::make("mlp", "9", {6}, 3, 5, device_),
                                         data::InputNormalization(zeros, ones));
  const FrozenSource other_numbers(testing::make("mlp", "9", {6}, 3, 5, device_),
                                   data::InputNormalization(zeros, twos));
  EXPECT_NE(FeatureKey::of(source_, other_data, DType::f32).hash(), plain.hash());
  EXPECT_NE(FeatureKey::of(other_source, data_, DType::f32).hash(), plain.hash());
  EXPECT_NE(FeatureKey::of(other_normalization, data_, DType::f32).hash(), plain.hash());
  EXPECT_NE(FeatureKey::of(other_numbers, data_, DType::f32).hash(), plain.hash());
  EXPECT_NE(FeatureKey::of(other_numbers, data_, DType::f32).hash(),
            FeatureKey::of(other_normalization, data_, DType::f32).hash());
  EXPECT_NE(key(DType::bf16).hash(), plain.hash());
  const FrozenSource other_threads(testing::make("mlp", "9", {6}, 3, 5, Device::cpu(2)));
  EXPECT_NE(FeatureKey::of(other_threads, data_, DType::f32).hash(), plain.hash());
  const FrozenSource twin(testing::make("mlp", "9", {6}, 3, 5, device_));
  EXPECT_EQ(FeatureKey::of(twin, data_, DType::f32), plain);
}

TEST_F(FeatureCacheTest, AnyDamageIsFoundAndMended) {
  FeatureCache writer(folder_.path());
  found(writer);
  const std::string path = writer.path_of(key()), whole = read(path);
  std::vector<std::string> damaged{"", whole.substr(0, 50), whole.substr(0, whole.size() - 1), whole + "x"};
  for (const std::size_t at : {std::size_t{0}, std::size_t{8}, std::size_t{20}, std::size_t{75}, std::size_t{100},
                               std::size_t{127}, std::size_t{128}, whole.size() - 1}) {
    damaged.push_back(whole);
    damaged.back()[at] = static_cast<char>(damaged.back()[at] ^ 4);
  }
  for (std::size_t i = 0; i < damaged.size(); ++i) {
    SCOPED_TRACE(i);
    io::write_file(path, damaged[i]);
    FeatureCache cache(folder_.path());
    EXPECT_TRUE(testing::same_bytes(found(cache), expected()));
    EXPECT_EQ(cache.statistics().rejected, 1);
    EXPECT_EQ(cache.statistics().computed, 1);
    EXPECT_EQ(read(path), whole);
  }
}

TEST_F(FeatureCacheTest, NoRandomDamageIsTakenForFeatures) {
  FeatureCache writer(folder_.path());
  const std::vector<float> right = found(writer);
  const std::string path = writer.path_of(key()), whole = read(path);
  RandomSequence random(test::seed());
  for (int i = 0; i < test::damages; ++i) {
    std::ofstream(path, std::ios::binary) << test::damaged_copy(whole, random);
    FeatureCache cache(folder_.path());
    const test::FileSizeLimit full(0);  // spares the flush of a new entry to the disk
    ASSERT_TRUE(testing::same_bytes(found(cache), right)) << "seed " << test::seed();
    ASSERT_EQ(cache.statistics().rejected, 1);
  }
}

TEST_F(FeatureCacheTest, ForeignEntryIsNotUsed) {
  const FrozenSource other(testing::make("mlp", "9", {6}, 3, 6, device_));
  FeatureCache cache(folder_.path());
  cache.get(other, data_);
  std::filesystem::copy_file(cache.path_of(FeatureKey::of(other, data_, DType::f32)), cache.path_of(key()));
  EXPECT_TRUE(testing::same_bytes(found(cache), expected()));
  EXPECT_EQ(cache.statistics().rejected, 1);
}

TEST_F(FeatureCacheTest, UnwritableFolderStillGivesFeatures) {
  FeatureCache cache(folder_.path());
  std::filesystem::create_directory(cache.path_of(key()));  // nothing can be renamed onto a directory
  EXPECT_TRUE(testing::same_bytes(found(cache), expected()));
  EXPECT_EQ(cache.statistics().write_failures, 1);
  io::write_file(folder_ / "file", "text");
  EXPECT_THROW(FeatureCache(folder_ / "file"), IoError);
}

TEST_F(FeatureCacheTest, KilledWriterLeavesNoEntry) {
  const std::string entry = FeatureCache(folder_.path()).path_of(key());
  const pid_t child = ::fork();
  if (child == 0) {
    io::AtomicFile file(entry);
    file.write(std::string(4096, 'x'));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_FALSE(io::file_exists(entry));
  EXPECT_EQ(folder_.files(), 1U);  // what it had written beside
  FeatureCache cache(folder_.path());
  EXPECT_EQ(folder_.files(), 0U);
  EXPECT_TRUE(testing::same_bytes(found(cache), expected()));
  EXPECT_EQ(cache.statistics().rejected, 0);
}

TEST_F(FeatureCacheTest, WritersKilledAtAnyTimeDoNoHarm) {
  for (int delay = 0; delay < 12; ++delay) {
    const pid_t child = ::fork();
    if (child == 0) {
      while (true) {
        const Device device = Device::cpu(1).separate();
        FeatureCache cache(folder_.path());
        FeatureTable table(Tensor::zeros({1, 1}, DType::f32, device));
        io::write_file(cache.path_of(FeatureKey{1, 2, 3, 1, 1, DType::f32}), std::string(1 << 16, 'y'));
      }
    }
    ::usleep(static_cast<useconds_t>(500 + 700 * delay));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string written = FeatureCache(folder_.path()).path_of(FeatureKey{1, 2, 3, 1, 1, DType::f32});
    EXPECT_TRUE(!io::file_exists(written) || read(written).size() == std::size_t{1} << 16);
    FeatureCache cache(folder_.path());
    EXPECT_TRUE(testing::same_bytes(found(cache), expected()));
  }
}

TEST_F(FeatureCacheTest, ConcurrentWritersAgree) {
  const std::vector<float> values = expected();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int repeat = 0; repeat < 10; ++repeat) {
        FeatureCache cache(folder_.path());
        const auto table = cache.get(source_, data_);
        const std::vector<float> rows = table->gather(nullptr, Device::cpu(1).separate()).to_vector<float>();
        EXPECT_TRUE(testing::same_bytes(rows, values));
        std::error_code ignored;
        if (repeat % 3 == 0) std::filesystem::remove(cache.path_of(key()), ignored);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(FeatureCacheTest, GatherTakesRowsInAnyOrder) {
  FeatureCache cache(folder_.path());
  const auto table = cache.get(source_, data_);
  const std::vector<std::int64_t> rows{40, 0, 7, 7};
  const std::vector<float> all = expected(), chosen = table->gather(&rows, device_).to_vector<float>();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t j = 0; j < 9; ++j) EXPECT_EQ(chosen[i * 9 + j], all[static_cast<std::size_t>(rows[i]) * 9 + j]);
  }
  const std::vector<std::int64_t> outside{41};
  EXPECT_THROW(table->gather(&outside, device_), ValueError);
}

TEST_F(FeatureCacheTest, NaNInFeaturesIsAnError) {
  auto network = testing::make("mlp", "9", {6}, 3, 5, device_);
  network->state().parameters.front().value().data_as<float>()[0] = NAN;
  EXPECT_THROW(FrozenSource{std::move(network)}, ValueError);
  auto large = testing::make("mlp", "9", {6}, 3, 5, device_);
  Tensor& weight = large->state().parameters.front().value();
  for (std::int64_t i = 0; i < weight.count(); ++i) weight.data_as<float>()[i] = 3e38F;
  const FrozenSource source(std::move(large));
  FeatureCache cache(folder_.path());
  EXPECT_THROW(cache.get(source, data_), ValueError);
  EXPECT_EQ(folder_.files(), 0U);
}

}  // namespace
}  // namespace rtl::transfer
