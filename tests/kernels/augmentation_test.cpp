// gather_augmented_images against a plain reference, and what its draws are like.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "rtl/core/random.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/step_state.hpp"
#include "support/devices.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::ImageAugmentation;

constexpr std::uint64_t name_used = 0xabcdef;

/// One image and its change, as a person would write it: positions as numbers, black outside of the image.
class PlainImage {
 public:
  PlainImage(const long double* bytes, const Shape& table, const ImageAugmentation& augmentation, std::uint64_t seed,
             std::uint64_t step, std::uint64_t position)
      : bytes_(bytes),
        height_(table[1]),
        width_(table[2]),
        channels_(table[3]),
        augmentation_(augmentation),
        philox_(seed, mix(name_used, step)),
        position_(position) {}

  /// A byte of the result, or -1 where it is cut out.
  long double byte(std::int64_t y, std::int64_t x, std::int64_t c) const {
    if (augmentation_.cutout > 0) {
      const std::int64_t side = augmentation_.cutout;
      const std::int64_t top = below(4, height_) - side / 2, left = below(5, width_) - side / 2;
      if (y >= top && y < top + side && x >= left && x < left + side) return -1;
    }
    if (augmentation_.flip && uniform(0) >= 0.5L) x = width_ - 1 - x;
    long double value = 0;
    if (augmentation_.resized_crop > 0) {
      value = enlarged(y, x, c);
    } else {
      const std::int64_t pad = augmentation_.crop;
      value = pad == 0 ? at(y, x, c) : at(y + below(1, 2 * pad + 1) - pad, x + below(2, 2 * pad + 1) - pad, c);
    }
    const long double change = 2 * uniform(3) - 1;
    const long double factor = std::floor((1 + augmentation_.brightness * change) * 65536 + 0.5L) / 65536;
    return augmentation_.brightness > 0 ? std::min(255.0L, std::floor(value * factor + 0.5L)) : value;
  }

 private:
  /// Draw `k` of this position: of the box's row and column 1 and 2, ..
  std::uint32_t bits(std::uint64_t k) const { return philox_.bits(8 * position_ + k); }
  long double uniform(std::uint64_t k) const { return static_cast<long double>(bits(k) >> 8) / (1 << 24); }
  std::int64_t below(std::uint64_t k, std::int64_t count) const {
    return static_cast<std::int64_t>(static_cast<long double>(bits(k)) * static_cast<long double>(count) /
                                     4294967296.0L);
  }
  long double at(std::int64_t y, std::int64_t x, std::int64_t c) const {
    const bool inside = y >= 0 && y < height_ && x >= 0 && x < width_;
    return inside ? bytes_[(y * width_ + x) * channels_ + c] : 0;
  }
  long double enlarged(std::int64_t y, std::int64_t x, std::int64_t c) const {
    const double least = augmentation_.resized_crop, share = least + (1 - least) * static_cast<double>(uniform(6));
    const double area = share * static_cast<double>(height_ * width_);
    const double ratio = std::pow(4.0 / 3, 2 * static_cast<double>(uniform(7)) - 1);
    const auto side = [](double length, std::int64_t most) {
      return std::clamp<std::int64_t>(std::llround(length), 1, most);
    };
    const std::int64_t h = side(std::sqrt(area / ratio), height_), w = side(std::sqrt(area * ratio), width_);
    const std::int64_t top = below(1, height_ - h + 1), left = below(2, width_ - w + 1);
    // Exact: what is divided by 4 H W is a whole number.
    const auto place = [](std::int64_t i, std::int64_t box, std::int64_t extent) {
      return std::clamp<std::int64_t>((2 * i + 1) * box - extent, 0, 2 * extent * (box - 1));
    };
    const std::int64_t rows = 2 * height_, columns = 2 * width_;
    const std::int64_t down = place(y, h, height_), right = place(x, w, width_);
    long double sum = 0;
    for (const std::int64_t i : {0, 1}) {
      for (const std::int64_t j : {0, 1}) {
        const std::int64_t weight_y = i == 0 ? rows - down % rows : down % rows;
        const std::int64_t weight_x = j == 0 ? columns - right % columns : right % columns;
        sum += static_cast<long double>(weight_y * weight_x) * at(top + down / rows + i, left + right / columns + j, c);
      }
    }
    return std::floor(sum / static_cast<long double>(rows * columns) + 0.5L);
  }

  const long double* bytes_;
  std::int64_t height_, width_, channels_;
  ImageAugmentation augmentation_;
  Philox philox_;
  std::uint64_t position_;
};

/// From the table, the order [replicas, epoch], scale, shift and the counters of each replica.
Expected reference(const std::vector<Reals>& in, const Shape& table, const ImageAugmentation& augmentation,
                   std::size_t batch) {
  Expected out;
  const std::size_t replicas = in[4].size() / 4, epoch = in[1].size() / replicas;
  const auto size = static_cast<std::size_t>(table.count() / table[0]);
  for (std::size_t r = 0; r < replicas; ++r) {
    const long double* counters = in[4].data() + 4 * r;
    for (std::size_t i = 0; i < batch; ++i) {
      const auto row = static_cast<std::size_t>(in[1][r * epoch + static_cast<std::size_t>(counters[2]) + i]);
      const PlainImage image(in[0].data() + row * size, table, augmentation, static_cast<std::uint64_t>(counters[0]),
                             static_cast<std::uint64_t>(counters[1]), i);
      for (std::size_t k = 0; k < size; ++k) {
        const auto at = static_cast<std::int64_t>(k), x = at / table[3];
        const std::size_t c = k % static_cast<std::size_t>(table[3]);
        const long double byte = image.byte(x / table[2], x % table[2], at % table[3]);
        out.value.push_back(byte < 0 ? 0 : byte * in[2][c] + in[3][c]);
        out.scale.push_back(byte < 0 ? 0 : byte * in[2][c] + std::fabs(in[3][c]));
      }
    }
  }
  return out;
}

struct Change {
  const char* label;
  ImageAugmentation augmentation;
};

const Change changes[] = {{"nothing", {}},
                          {"flip", {.flip = true}},
                          {"crop", {.crop = 2}},
                          {"cutout", {.cutout = 3}},
                          {"brightness", {.brightness = 0.9}},
                          {"resized_crop", {.resized_crop = 0.1}},
                          {"crop_and_all", {.crop = 1, .flip = true, .brightness = 0.5, .cutout = 2}},
                          {"resized_and_all", {.resized_crop = 0.3, .flip = true, .brightness = 1, .cutout = 3}}};

KernelCase make_case(const Change& change, const Shape& table, std::int64_t batch, std::int64_t replicas, DType index,
                     Random& random) {
  constexpr std::int64_t epoch = 40;
  KernelCase c;
  c.label = fmt::format("{}_{}_of_{}x{}x{}_replicas_{}", change.label, batch, table[1], table[2], table[3], replicas);
  const std::int64_t copies = std::max<std::int64_t>(replicas, 1);
  Reals counters;
  for (std::int64_t r = 0; r < copies; ++r) {
    counters.insert(counters.end(), {static_cast<long double>(3 + r % 2), static_cast<long double>(1000003 * r), 0, 5});
    counters[counters.size() - 2] = random.below({1}, static_cast<std::uint64_t>(epoch - batch + 1)).front();
  }
  const Shape channels{table[3]};
  c.inputs = {{"table", table, random.below(table, 256), DType::u8},
              {"order", replicas == 0 ? Shape{epoch} : Shape{replicas, epoch},
               random.below({copies * epoch}, static_cast<std::uint64_t>(table[0])), index},
              {"scale", channels, random.uniform(channels, 0.001, 0.02), {}, Role::parameter},
              {"shift", channels, random.normal(channels), {}, Role::parameter},
              {"counters", replicas == 0 ? Shape{4} : Shape{replicas, 4}, counters, DType::i64}};
  const Shape images = table.with(0, batch);
  c.outputs = {{"out", replicas == 0 ? images : Shape{replicas, batch, table[1], table[2], table[3]}, 2}};
  c.outputs[0].roundoffs_bf16 = rounded_once;
  c.dtypes = activation_dtypes;
  c.run = [augmentation = change.augmentation](const Device& device, auto& in, auto& out) {
    kernels::gather_augmented_images(device, in[0], in[1], in[2], in[3], augmentation, name_used, in[4], out[0]);
  };
  c.reference = [=, augmentation = change.augmentation](auto& in, auto&) {
    return std::vector<Expected>{reference(in, table, augmentation, static_cast<std::size_t>(batch))};
  };
  return c;
}

const bool registered = register_cases("gather_augmented_images", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Change& change : changes) {
    for (const std::int64_t replicas : {0, 1, 3}) {
      cases.push_back(make_case(change, {5, 5, 7, 1}, 9, replicas, DType::i32, random));
      cases.push_back(make_case(change, {9, 8, 31, 3}, 7, replicas, DType::i64, random));
    }
    cases.push_back(make_case(change, {40, 32, 32, 3}, 31, 0, DType::i64, random));
    for (const std::int64_t channels : {5, 8, 9, 33}) {
      cases.push_back(make_case(change, {3, 3, 4, channels}, 6, 0, DType::i32, random));
    }
    cases.push_back(make_case(change, {3, 33, 17, 2}, 5, 2, DType::i32, random));
    cases.push_back(make_case(change, {3, 3, 3, 3}, 0, 0, DType::i32, random));
  }
  return cases;
});

/// The bytes of a batch of copies of one image of H x W pixels, in each of which the value tells the place.
class Copies {
 public:
  static constexpr std::int64_t height = 9, width = 11, count = 4000;

  std::vector<double> operator()(const Device& device, const ImageAugmentation& augmentation, std::int64_t seed = 5,
                                 std::int64_t step = 7) const {
    std::vector<std::uint8_t> bytes(height * width);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i + 1);
    const Tensor table = Tensor::from(bytes, {1, height, width, 1}, device);
    const Tensor order = Tensor::zeros({count}, DType::i32, device);
    const Tensor counters = Tensor::from(std::vector<std::int64_t>{seed, step, 0, 0}, {4}, device);
    const Tensor one = Tensor::from(std::vector<double>{1}, {1}, device);
    const Tensor zero = Tensor::zeros({1}, DType::f64, device);
    Tensor out({count, height, width, 1}, DType::f64, device);
    kernels::gather_augmented_images(device, table, order, one, zero, augmentation, name_used, counters, out);
    return out.to_vector<double>();
  }
  /// Pixel (y, x) of image i.
  static double at(const std::vector<double>& all, std::int64_t i, std::int64_t y, std::int64_t x) {
    return all[static_cast<std::size_t>((i * height + y) * width + x)];
  }
};

TEST(Augmentation, GivesTheSameBytesOnEveryDevice) {
  for (const Change& change : changes) {
    std::vector<double> first;
    for (const Device& device : devices_and_threads()) {
      const std::vector<double> bytes = Copies()(device, change.augmentation);
      if (first.empty()) first = bytes;
      EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), first.begin(), first.end()))
          << name_of(device) << " " << change.label;
    }
  }
}

/// Five standard deviations of a share of independent draws; the seed is fixed, so these hold or do not for good.
void expect_share(double found, double wanted) {
  EXPECT_NEAR(found, wanted, 5 * std::sqrt(wanted * (1 - wanted) / Copies::count));
}

TEST(Augmentation, FlipsHalfOfTheImages) {
  const std::vector<double> all = Copies()(Device::cpu(1), {.flip = true});
  double flipped = 0, both = 0;
  bool before = false;
  for (std::int64_t i = 0; i < Copies::count; ++i) {
    const bool now = Copies::at(all, i, 0, 0) == Copies::width;
    EXPECT_EQ(Copies::at(all, i, 0, Copies::width - 1), now ? 1 : Copies::width);
    flipped += now ? 1 : 0;
    both += now && before ? 1 : 0;
    before = now;
  }
  expect_share(flipped / Copies::count, 0.5);
  expect_share(both / Copies::count, 0.25);  // one image's draw says nothing of the next one's
}

TEST(Augmentation, CropsAtEveryPlaceAlike) {
  constexpr std::int64_t pad = 2, places = 2 * pad + 1;
  const std::vector<double> all = Copies()(Device::cpu(1), {.crop = pad});
  std::vector<double> counts(places * places);
  for (std::int64_t i = 0; i < Copies::count; ++i) {
    // The pixel in the middle is there whatever the place, and tells it.
    const auto middle = static_cast<std::int64_t>(Copies::at(all, i, 4, 5)) - 1;
    const std::int64_t y = middle / Copies::width - 4 + pad, x = middle % Copies::width - 5 + pad;
    ASSERT_TRUE(y >= 0 && y < places && x >= 0 && x < places);
    counts[static_cast<std::size_t>(y * places + x)] += 1;
    EXPECT_EQ(Copies::at(all, i, 0, 5) == 0, y < pad);
  }
  for (const double count : counts) expect_share(count / Copies::count, 1.0 / (places * places));
}

TEST(Augmentation, CutsOutSquaresAroundEveryPixelAlike) {
  const std::vector<double> all = Copies()(Device::cpu(1), {.cutout = 3});
  std::vector<double> counts(Copies::height * Copies::width);
  for (std::size_t i = 0; i < all.size(); ++i) counts[i % counts.size()] += all[i] == 0 ? 1 : 0;
  // A pixel in the middle is cut out by the nine squares around it, one in a corner by four.
  constexpr double pixels = Copies::height * Copies::width;
  expect_share(counts[4 * Copies::width + 5] / Copies::count, 9 / pixels);
  expect_share(counts.front() / Copies::count, 4 / pixels);
  expect_share(counts.back() / Copies::count, 4 / pixels);
}

TEST(Augmentation, ResizedCropsHaveTheirAreas) {
  const std::vector<double> all = Copies()(Device::cpu(1), {.resized_crop = 0.25});
  double mean = 0;
  for (std::int64_t i = 0; i < Copies::count; ++i) {
    // Along a row a pixel adds 1 to the bytes, along a column a whole width.
    const double first = Copies::at(all, i, 0, 0), last = Copies::at(all, i, Copies::height - 1, Copies::width - 1);
    const double rows = std::floor((last - 1) / Copies::width) - std::floor((first - 1) / Copies::width) + 1;
    ASSERT_TRUE(rows >= 4 && rows <= Copies::height) << rows;
    mean += rows / Copies::count;
  }
  double wanted = 0;
  constexpr int grid = 100;
  for (int i = 0; i < grid; ++i) {
    for (int j = 0; j < grid; ++j) {
      const double share = 0.25 + 0.75 * (i + 0.5) / grid, ratio = std::pow(4.0 / 3, 2 * (j + 0.5) / grid - 1);
      const double side = std::sqrt(share * Copies::height * Copies::width / ratio);
      wanted += std::min<double>(Copies::height, std::round(side)) / (grid * grid);
    }
  }
  EXPECT_NEAR(mean, wanted, 5 * 1.3 / std::sqrt(Copies::count));  // the deviation of a height is about 1.2
}

TEST(Augmentation, KindsDrawApart) {
  const Device device = Device::cpu(1);
  const std::vector<double> plain = Copies()(device, {.flip = true});
  const std::vector<double> more = Copies()(device, {.flip = true, .cutout = 3});
  for (std::size_t i = 0; i < plain.size(); ++i) ASSERT_TRUE(more[i] == 0 || more[i] == plain[i]) << i;
  EXPECT_NE(Copies()(device, {.flip = true}, 6), plain);
  EXPECT_NE(Copies()(device, {.flip = true}, 5, 8), plain);
}

TEST(Augmentation, SaysWhatItCannotDo) {
  const auto fault = [](const ImageAugmentation& augmentation) { return augmentation.fault(8, 6); };
  EXPECT_EQ(fault({}), "");
  EXPECT_EQ(fault({.crop = 5, .flip = true, .brightness = 1, .cutout = 6}), "");
  EXPECT_NE(fault({.crop = 6}).find("below 6 for images of 8 x 6"), std::string::npos);
  EXPECT_NE(fault({.crop = -1}), "");
  EXPECT_NE(fault({.cutout = 7}).find("at most 6 for images of 8 x 6"), std::string::npos);
  EXPECT_NE(fault({.cutout = -1}), "");
  EXPECT_NE(fault({.crop = 1, .resized_crop = 0.5}).find("exclude"), std::string::npos);
  for (const double wrong : {-0.1, 1.1, std::nan("")}) {
    EXPECT_NE(fault({.resized_crop = wrong}).find("resized_crop"), std::string::npos);
    EXPECT_NE(fault({.brightness = wrong}).find("brightness"), std::string::npos);
  }
}

}  // namespace
}  // namespace rtl::test
