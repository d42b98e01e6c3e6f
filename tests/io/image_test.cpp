// PNG and JPEG: values, forms, and what is damaged.
#include "rtl/io/image.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"
#include "support/golden.hpp"
#include "support/png.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::io {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::vector<std::uint8_t> random_pixels(std::size_t count) {
  std::vector<std::uint8_t> pixels(count);
  std::mt19937 random(7);
  for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(random());
  return pixels;
}

/// Skips, loudly, in a build without the decoder.
template <typename Decode>
bool is_compiled(const Decode& decode) {
  try {
    decode({}, "nothing");
  } catch (const NotCompiled&) {
    return false;
  } catch (const FormatError&) {
    return true;
  }
  return true;
}

#define NEEDS_DECODER(decode) \
  if (!is_compiled(decode)) GTEST_SKIP() << "NOT TESTED without " #decode

TEST(Png, GivesItsPixels) {
  NEEDS_DECODER(decode_png);
  for (const std::uint32_t channels : {1u, 3u}) {
    const std::vector<std::uint8_t> pixels = random_pixels(5 * 7 * channels);
    const Image image = decode_png(bytes_of(test::png_of(5, 7, channels, pixels)), "x.png");
    EXPECT_EQ(image.height, 5);
    EXPECT_EQ(image.width, 7);
    EXPECT_EQ(image.channels, channels);
    EXPECT_EQ(image.pixels, pixels);
  }
}

TEST(Png, LaysTransparentPixelsOnBlack) {
  NEEDS_DECODER(decode_png);
  const Image image = decode_png(bytes_of(test::png_of(1, 2, 4, {9, 8, 7, 255, 200, 100, 50, 0})), "x.png");
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(image.pixels, (std::vector<std::uint8_t>{9, 8, 7, 0, 0, 0}));
}

TEST(Png, RefusesWhatIsDamaged) {
  NEEDS_DECODER(decode_png);
  const std::string whole = test::png_of(6, 6, 3, random_pixels(108));
  for (std::size_t size = 0; size + 12 < whole.size(); ++size) {
    EXPECT_THROW(decode_png(bytes_of(whole.substr(0, size)), "x.png"), FormatError) << "cut at " << size;
  }
  std::mt19937 random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = whole;
    damaged[random() % damaged.size()] = static_cast<char>(random());
    try {
      (void)decode_png(bytes_of(damaged), "x.png");
    } catch (const FormatError& error) {
      ASSERT_EQ(std::string(error.what()).rfind("x.png: ", 0), 0u) << error.what();
    }
  }
}

TEST(Png, AHeaderAloneCannotAskForMemory) {
  NEEDS_DECODER(decode_png);
  std::string huge = test::png_of(1, 1, 1, {5});
  // As libpng checks the header's sum before its size is seen, a file of another size is made whole.
  const std::string wide = test::png_of(60000, 1, 1, std::vector<std::uint8_t>(60000));
  huge = wide.substr(0, 33) + huge.substr(33);
  EXPECT_THROW(decode_png(bytes_of(huge), "huge.png"), FormatError);
}

/// Fields of one colour, which survive compression.
void check_blocks(const std::string& file) {
  const Image image = read_image(test::golden_file("files/images/" + file));
  ASSERT_EQ(image.height, 16);
  ASSERT_EQ(image.width, 24);
  ASSERT_EQ(image.channels, 3);
  const int colours[3][3] = {{200, 40, 30}, {20, 180, 50}, {60, 60, 220}};
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    EXPECT_LE(std::abs(int{image.pixels[i]} - colours[i / 3 % 24 / 8][i % 3]), 3) << file << " at " << i;
  }
}

TEST(Jpeg, GivesItsPixels) {
  NEEDS_DECODER(decode_jpeg);
  check_blocks("blocks.jpg");
  check_blocks("progressive.jpg");
  const Image grey = read_image(test::golden_file("files/images/grey.jpg"));
  EXPECT_EQ(grey.channels, 1);
  ASSERT_EQ(grey.pixels.size(), 16u * 8);
  for (std::size_t i = 0; i < grey.pixels.size(); ++i) {
    EXPECT_LE(std::abs(int{grey.pixels[i]} - (i < 64 ? 50 : 210)), 3) << i;
  }
}

TEST(Jpeg, RefusesWhatIsDamaged) {
  NEEDS_DECODER(decode_jpeg);
  for (const char* file : {"blocks.jpg", "progressive.jpg"}) {
    const Bytes whole = read_file(test::golden_file(std::string("files/images/") + file));
    for (std::size_t size = 0; size + 3 < whole.size(); ++size) {
      EXPECT_THROW(decode_jpeg(std::span(whole).first(size), "x.jpg"), FormatError) << file << " cut at " << size;
    }
    std::mt19937 random(3);
    for (int i = 0; i < 2000; ++i) {
      Bytes damaged = whole;
      damaged[random() % damaged.size()] = static_cast<std::byte>(random());
      try {
        (void)decode_jpeg(damaged, "x.jpg");
      } catch (const FormatError& error) {
        ASSERT_EQ(std::string(error.what()).rfind("x.jpg: ", 0), 0u) << error.what();
      }
    }
  }
}

TEST(Images, AreToldByTheirFirstBytes) {
  const test::TemporaryFolder folder;
  write_file(folder / "empty.png", std::string_view());
  write_file(folder / "text.png", std::string_view("no picture"));
  EXPECT_THROW(read_image(folder / "empty.png"), FormatError);
  EXPECT_THROW(read_image(folder / "text.png"), FormatError);
  EXPECT_THROW(read_image(folder / "missing.png"), IoError);
  if (!is_compiled(decode_png)) return;
  write_file(folder / "grey.jpg", test::png_of(1, 1, 1, {5}));
  EXPECT_EQ(read_image(folder / "grey.jpg").pixels, std::vector<std::uint8_t>{5});
}

}  // namespace
}  // namespace rtl::io
