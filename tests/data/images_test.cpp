// Pictures in folders, and images brought into another form.
#include "rtl/data/images.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "rtl/core/error.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/image.hpp"
#include "support/png.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using Pixels = std::vector<std::uint8_t>;

Tensor images(const Shape& shape, const Pixels& pixels) { return Tensor::from(pixels, shape, Device::cpu(1)); }

Pixels random_pixels(std::int64_t count, unsigned seed = 5) {
  Pixels pixels(static_cast<std::size_t>(count));
  std::mt19937 random(seed);
  for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(random());
  return pixels;
}

TEST(Images, AreResizedBilinearly) {
  const Shape from{2, 5, 7, 3};
  const Pixels pixels = random_pixels(from.count());
  for (const auto& [height, width] : {std::pair(12, 9), std::pair(3, 14), std::pair(5, 7), std::pair(1, 1)}) {
    const Pixels found = resized(images(from, pixels), height, width).to_vector<std::uint8_t>();
    const auto at = [&](std::int64_t n, double row, double column, std::int64_t c) {
      const double y = std::clamp(row, 0.0, 4.0), x = std::clamp(column, 0.0, 6.0);
      double sum = 0;
      for (std::int64_t i = 0; i < 5; ++i) {
        for (std::int64_t j = 0; j < 7; ++j) {
          const double share = std::max(0.0, 1 - std::abs(y - static_cast<double>(i))) *
                               std::max(0.0, 1 - std::abs(x - static_cast<double>(j)));
          sum += share * pixels[static_cast<std::size_t>(((n * 5 + i) * 7 + j) * 3 + c)];
        }
      }
      return sum;
    };
    ASSERT_EQ(found.size(), static_cast<std::size_t>(2 * height * width * 3));
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(found.size()); ++i) {
      const std::int64_t c = i % 3, column = i / 3 % width, row = i / 3 / width % height, n = i / 3 / width / height;
      const double wanted = at(n, (static_cast<double>(row) + 0.5) * 5 / height - 0.5,
                               (static_cast<double>(column) + 0.5) * 7 / width - 0.5, c);
      ASSERT_NEAR(found[static_cast<std::size_t>(i)], wanted, 0.5 + 1e-3) << height << " by " << width << ", " << i;
    }
  }
  EXPECT_THROW(resized(images(from, pixels), 0, 3), ValueError);
  EXPECT_THROW(resized(Tensor({2, 2}, DType::u8, Device::cpu(1)), 3, 3), ShapeError);
  EXPECT_THROW(resized(Tensor({1, 2, 2, 1}, DType::f32, Device::cpu(1)), 3, 3), DTypeError);
}

TEST(Images, AreCroppedInTheMiddle) {
  Pixels pixels(20);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(centre_cropped(images({1, 4, 5, 1}, pixels), 2, 2).to_vector<std::uint8_t>(), (Pixels{6, 7, 11, 12}));
  EXPECT_THROW(centre_cropped(images({1, 4, 5, 1}, pixels), 5, 2), ValueError);
}

TEST(Images, ChangeTheirChannels) {
  EXPECT_EQ(with_channels(images({1, 1, 2, 1}, {3, 200}), 3).to_vector<std::uint8_t>(),
            (Pixels{3, 3, 3, 200, 200, 200}));
  EXPECT_EQ(with_channels(images({1, 1, 2, 3}, {255, 255, 255, 100, 0, 0}), 1).to_vector<std::uint8_t>(),
            (Pixels{255, 30}));
  EXPECT_THROW(with_channels(images({1, 1, 1, 4}, {1, 2, 3, 4}), 3), ValueError);
}

TEST(Images, EveryKindTakesTheOptions) {
  const TrainTest plain = load("glyphs:?train=20&test=20&size=16", Device::cpu(1));
  const TrainTest changed = load("glyphs:?train=20&test=20&size=16&resize=24&crop=20&color=grey", Device::cpu(1));
  EXPECT_EQ(changed.train.sample_shape(), (Shape{20, 20, 1}));
  EXPECT_EQ(changed.test.sample_shape(), (Shape{20, 20, 1}));
  const Tensor by_hand = with_channels(centre_cropped(resized(plain.train.inputs, 24, 24), 20, 20), 1);
  EXPECT_EQ(changed.train.inputs.to_vector<std::uint8_t>(), by_hand.to_vector<std::uint8_t>());
  EXPECT_EQ(changed.train.labels.to_vector<std::int32_t>(), plain.train.labels.to_vector<std::int32_t>());
}

bool reads_png() {
  try {
    (void)io::decode_png({}, "nothing");
  } catch (const NotCompiled&) {
    return false;
  } catch (const Error&) {
  }
  return true;
}

#define NEEDS_PNG \
  if (!reads_png()) GTEST_SKIP() << "NOT TESTED without libpng"

void write(const std::string& file, std::uint32_t height, std::uint32_t width, std::uint32_t channels,
           std::uint8_t value) {
  std::filesystem::create_directories(std::filesystem::path(file).parent_path());
  io::write_file(file, test::png_of(height, width, channels, Pixels(height * width * channels, value)));
}

TEST(ImageFolders, HaveAClassAFolder) {
  NEEDS_PNG;
  const test::TemporaryFolder folder;
  for (int i = 0; i < 5; ++i) {
    write(folder / ("b/" + std::to_string(i) + ".png"), 4, 4, 3, static_cast<std::uint8_t>(10 + i));
    write(folder / ("a/" + std::to_string(i) + ".PNG"), 4, 4, 1, static_cast<std::uint8_t>(20 + i));
  }
  io::write_file(folder / "a/notes.txt", std::string_view("no picture"));
  const TrainTest all = load("images:" + folder.path() + "?test_fraction=0", Device::cpu(1));
  EXPECT_EQ(all.train.class_names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(all.train.inputs.shape(), (Shape{10, 4, 4, 3})) << "grey ones are coloured";
  EXPECT_EQ(all.train.labels.to_vector<std::int32_t>(), (std::vector<std::int32_t>{0, 0, 0, 0, 0, 1, 1, 1, 1, 1}));
  const Pixels pixels = all.train.inputs.to_vector<std::uint8_t>();
  EXPECT_EQ(pixels.front(), 20);
  EXPECT_EQ(pixels.back(), 14);
  const TrainTest parted = load("images:" + folder.path() + "?color=grey&resize=6", Device::cpu(1));
  EXPECT_EQ(parted.train.inputs.shape(), (Shape{8, 6, 6, 1}));
  EXPECT_EQ(parted.test.size(), 2);
}

TEST(ImageFolders, MayHavePartsAndSizes) {
  NEEDS_PNG;
  const test::TemporaryFolder folder;
  write(folder / "train/cat/x.png", 4, 6, 3, 1);
  write(folder / "train/dog/x.png", 5, 5, 3, 2);
  write(folder / "val/dog/y.png", 9, 5, 3, 3);
  const std::string spec = "images:" + folder.path();
  const TrainTest parts = load(spec + "?resize=8", Device::cpu(1));
  EXPECT_EQ(parts.train.inputs.shape(), (Shape{2, 8, 8, 3}));
  EXPECT_EQ(parts.test.labels.to_vector<std::int32_t>(), std::vector<std::int32_t>{1});
  EXPECT_EQ(parts.test.classes, 2);
  try {
    (void)load(spec, Device::cpu(1));
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("resize=N"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("dog/x.png"), std::string::npos) << error.what();
  }
  EXPECT_THROW((void)load(spec + "?test_fraction=0.5", Device::cpu(1)), ValueError);
  write(folder / "val/cow/z.png", 4, 4, 3, 3);
  EXPECT_THROW((void)load(spec + "?resize=8", Device::cpu(1)), FormatError) << "a class that is only tested";
}

TEST(ImageFolders, NameWhatIsWrong) {
  NEEDS_PNG;
  const test::TemporaryFolder folder;
  EXPECT_THROW((void)load("images:" + folder.path(), Device::cpu(1)), FormatError);
  EXPECT_THROW((void)load("images:" + (folder / "missing"), Device::cpu(1)), IoError);
  write(folder / "a/good.png", 4, 4, 3, 1);
  io::write_file(folder / "a/cut.png", test::png_of(4, 4, 3, Pixels(48)).substr(0, 60));
  try {
    (void)load("images:" + folder.path() + "?test_fraction=0", Device::cpu(1));
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("a/cut.png: "), std::string::npos) << error.what();
  }
}

TEST(Images, VectorsAreNone) {
  const test::TemporaryFolder folder;
  io::write_file(folder / "x.csv", std::string_view("a,b\n1,2\n3,4\n"));
  EXPECT_THROW((void)load("npy:" + (folder / "x.csv") + "?resize=4", Device::cpu(1)), ValueError);
}

}  // namespace
}  // namespace rtl::data
