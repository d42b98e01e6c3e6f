#include "rtl/data/glyphs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "data/glyph_part.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"

namespace rtl::data {
namespace {

struct Point {
  std::int64_t x;
  std::int64_t y;
};

/// One shape: polylines in units of 1/1000 of its radius. A polyline ends where the next `begins` is set.
struct Vertex {
  Point at;
  bool begins;
};
struct ShapeTemplate {
  const char* name;
  std::array<Vertex, 13> vertices;
  std::size_t count;
};

// clang-format off
constexpr ShapeTemplate shapes[] = {
    {"ring", {{{{1000, 0}, true}, {{866, 500}, false}, {{500, 866}, false}, {{0, 1000}, false}, {{-500, 866}, false},
      {{-866, 500}, false}, {{-1000, 0}, false}, {{-866, -500}, false}, {{-500, -866}, false}, {{0, -1000}, false},
      {{500, -866}, false}, {{866, -500}, false}, {{1000, 0}, false}}}, 13},
    {"bar", {{{{0, -1000}, true}, {{0, 1000}, false}}}, 2},
    {"cross", {{{{0, -1000}, true}, {{0, 1000}, false}, {{-1000, 0}, true}, {{1000, 0}, false}}}, 4},
    {"triangle", {{{{0, -1000}, true}, {{900, 800}, false}, {{-900, 800}, false}, {{0, -1000}, false}}}, 4},
    {"ell", {{{{-600, -1000}, true}, {{-600, 1000}, false}, {{800, 1000}, false}}}, 3},
    {"zigzag", {{{{-800, -900}, true}, {{800, -900}, false}, {{-800, 900}, false}, {{800, 900}, false}}}, 4},
    {"square", {{{{-800, -800}, true}, {{800, -800}, false}, {{800, 800}, false}, {{-800, 800}, false},
      {{-800, -800}, false}}}, 5},
    {"tee", {{{{-1000, -900}, true}, {{1000, -900}, false}, {{0, -900}, true}, {{0, 1000}, false}}}, 4},
    {"cup", {{{{-800, -1000}, true}, {{-800, 300}, false}, {{-500, 800}, false}, {{0, 1000}, false},
      {{500, 800}, false}, {{800, 300}, false}, {{800, -1000}, false}}}, 7},
    {"wye", {{{{0, 0}, true}, {{0, 1000}, false}, {{0, 0}, true}, {{-870, -700}, false}, {{0, 0}, true},
      {{870, -700}, false}}}, 6}};
// clang-format on
constexpr std::int64_t shape_count = std::size(shapes);

/// Ranges of what is random in an image. Lengths are in thousandths of the image's size, brightness in grey levels.
struct Style {
  std::int64_t least_turn, most_turn;          ///< tan(angle / 2), thousandths
  std::int64_t least_contrast, most_contrast;  ///< of a glyph against the background
  std::int64_t noise;                          ///< largest deviation of a pixel
};
constexpr Style source_style = {-170, 170, 80, 110, 16};
constexpr Style mild_style = {90, 490, 45, 80, 24};

/// Coordinates are in 1/256 of a pixel, so that an image of 256 pixels keeps products below 2^53.
constexpr std::int64_t subpixels = 256;

std::int64_t between(RandomSequence& random, std::int64_t least, std::int64_t most) {
  return least + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(most - least + 1)));
}

/// Exact: the argument is below 2^53, and IEEE square roots are correctly rounded.
std::int64_t root(std::int64_t value) { return static_cast<std::int64_t>(std::sqrt(static_cast<double>(value))); }

struct Segment {
  Point from;
  Point along;
  std::int64_t length;
};

struct Glyph {
  std::vector<Segment> segments;
  std::int64_t half_width = 0;
};

/// A shape at a random place, size and angle.
Glyph place(const ShapeTemplate& shape, const Style& style, std::int64_t size, RandomSequence& random) {
  const std::int64_t extent = size * subpixels;
  const Point centre{extent * between(random, 420, 580) / 1000, extent * between(random, 420, 580) / 1000};
  const std::int64_t radius_x = extent * between(random, 240, 330) / 1000;
  const std::int64_t radius_y = radius_x * between(random, 850, 1150) / 1000;
  // With t = tan(angle / 2), the cosine is (1 - t^2) / (1 + t^2) and the sine 2 t / (1 + t^2): no transcendental
  // function, whose last bits differ between machines.
  const std::int64_t t = between(random, style.least_turn, style.most_turn);
  const std::int64_t unit = 1'000'000 + t * t;
  const std::int64_t cosine = (1'000'000 - t * t) * 1000 / unit;
  const std::int64_t sine = 2 * t * 1'000'000 / unit;
  Glyph glyph;
  glyph.half_width = extent * between(random, 34, 52) / 1000;
  Point last{};
  for (std::size_t i = 0; i < shape.count; ++i) {
    const Point corner{shape.vertices[i].at.x * radius_x / 1000, shape.vertices[i].at.y * radius_y / 1000};
    const Point turned{centre.x + (corner.x * cosine - corner.y * sine) / 1000,
                       centre.y + (corner.x * sine + corner.y * cosine) / 1000};
    if (!shape.vertices[i].begins) {
      const Point along{turned.x - last.x, turned.y - last.y};
      glyph.segments.push_back({last, along, std::max<std::int64_t>(1, root(along.x * along.x + along.y * along.y))});
    }
    last = turned;
  }
  return glyph;
}

std::int64_t distance(const Segment& segment, Point point) {
  const Point to{point.x - segment.from.x, point.y - segment.from.y};
  const std::int64_t dot = to.x * segment.along.x + to.y * segment.along.y;
  if (dot <= 0) return root(to.x * to.x + to.y * to.y);
  if (dot >= segment.along.x * segment.along.x + segment.along.y * segment.along.y) {
    const Point past{to.x - segment.along.x, to.y - segment.along.y};
    return root(past.x * past.x + past.y * past.y);
  }
  return std::abs(to.x * segment.along.y - to.y * segment.along.x) / segment.length;
}

/// How much of a pixel the glyph covers, 0 to 256, from the distance of the pixel's centre to its strokes.
std::int64_t coverage(const Glyph& glyph, Point pixel) {
  std::int64_t nearest = INT64_MAX;
  for (const Segment& segment : glyph.segments) nearest = std::min(nearest, distance(segment, pixel));
  return std::clamp<std::int64_t>(subpixels / 2 + glyph.half_width - nearest, 0, subpixels);
}

using Colour = std::array<std::int64_t, 3>;

/// Red and orange, or blue and azure, with one channel: light or dark.
Colour draw_colour(bool warm, std::int64_t background, std::int64_t channels, const Style& style,
                   RandomSequence& random) {
  const std::int64_t strong = between(random, style.least_contrast, style.most_contrast);
  const std::int64_t weak = between(random, -10, style.least_contrast / 2);
  const std::int64_t opposite = between(random, style.least_contrast / 2, style.least_contrast);
  if (channels == 1) return {warm ? background + strong : background - strong, 0, 0};
  Colour colour{background + strong, background + weak, background - opposite};
  if (!warm) std::swap(colour[0], colour[2]);
  return colour;
}

/// One image, size * size * channels values at `pixels`.
void draw(const GlyphOptions& options, std::int64_t label, std::uint64_t stream, std::uint8_t* pixels) {
  const bool target = options.domain == GlyphDomain::target;
  const Style& style = target && options.shift == GlyphShift::mild ? mild_style : source_style;
  RandomSequence random(options.seed, stream);
  const std::int64_t distractor = between(random, 0, options.classes - 1);
  const bool label_is_cold = target && options.shift == GlyphShift::conflict;
  const std::int64_t background = between(random, 112, 144);
  const Glyph warm = place(shapes[label_is_cold ? distractor : label], style, options.size, random);
  const Colour warm_colour = draw_colour(true, background, options.channels, style, random);
  const Glyph cold = place(shapes[label_is_cold ? label : distractor], style, options.size, random);
  const Colour cold_colour = draw_colour(false, background, options.channels, style, random);
  const bool warm_on_top = between(random, 0, 1) == 1;
  const Philox noise(options.seed, mix(stream, 1));
  PhiloxBlock noise_block{};
  std::uint64_t drawn = 0;
  for (std::int64_t row = 0; row < options.size; ++row) {
    for (std::int64_t column = 0; column < options.size; ++column) {
      const Point centre{column * subpixels + subpixels / 2, row * subpixels + subpixels / 2};
      std::array<std::int64_t, 2> cover{coverage(cold, centre), coverage(warm, centre)};
      std::array<const Colour*, 2> colour{&cold_colour, &warm_colour};
      if (!warm_on_top) {
        std::swap(cover[0], cover[1]);
        std::swap(colour[0], colour[1]);
      }
      for (std::size_t c = 0; c < static_cast<std::size_t>(options.channels); ++c) {
        std::int64_t value = background;
        for (std::size_t layer = 0; layer < 2; ++layer) {
          value = (value * (subpixels - cover[layer]) + (*colour[layer])[c] * cover[layer]) / subpixels;
        }
        if (drawn % 8 == 0) noise_block = noise.block(drawn / 8);
        const std::uint32_t bits = (noise_block.word[drawn % 8 / 2] >> (drawn % 2 * 16)) & 0xffffu;
        ++drawn;
        value += static_cast<std::int64_t>(bits) * (2 * style.noise + 1) / 65536 - style.noise;
        *pixels++ = static_cast<std::uint8_t>(std::clamp<std::int64_t>(value, 0, 255));
      }
    }
  }
}

void check(const char* option, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value < least || value > most) {
    throw ValueError(fmt::format("make_glyphs: {} = {} is not in [{}, {}]", option, value, least, most));
  }
}

constexpr std::int64_t most_samples = 10'000'000;

void check(const GlyphOptions& options) {
  check("classes", options.classes, 2, shape_count);
  check("size", options.size, 8, 256);
  check("train", options.train, 1, most_samples);
  check("test", options.test, 1, most_samples);
  if (options.channels != 1 && options.channels != 3) {
    throw ValueError(fmt::format("make_glyphs: channels = {}; choose 1 or 3", options.channels));
  }
}

}  // namespace

Dataset make_glyph_part(const GlyphOptions& options, Part part, const Device& device) {
  check(options);
  const std::int64_t count = part == Part::train ? options.train : options.test;
  // Every domain, shift and part has its own samples.
  constexpr std::uint64_t glyph_stream = 0x676c7970;
  const auto domain = static_cast<std::uint64_t>(options.domain) * 3 +
                      (options.domain == GlyphDomain::target ? static_cast<std::uint64_t>(options.shift) : 0);
  const std::uint64_t part_stream = mix(mix(glyph_stream, domain), static_cast<std::uint64_t>(part));
  const std::int64_t sample = options.size * options.size * options.channels;
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count * sample));
  std::vector<std::int32_t> labels(static_cast<std::size_t>(count));
#pragma omp parallel for schedule(static) num_threads(device.host().threads())
  for (std::int64_t i = 0; i < count; ++i) {
    labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i % options.classes);
    draw(options, i % options.classes, mix(part_stream, static_cast<std::uint64_t>(i)), pixels.data() + i * sample);
  }
  Dataset dataset{Tensor::from(pixels, {count, options.size, options.size, options.channels}, device),
                  Tensor::from(labels, {count}, device),
                  options.classes,
                  {},
                  "glyphs:"};
  for (std::int64_t c = 0; c < options.classes; ++c) dataset.class_names.emplace_back(shapes[c].name);
  return dataset;
}

TrainTest make_glyphs(const GlyphOptions& options, const Device& device) {
  return {make_glyph_part(options, Part::train, device), make_glyph_part(options, Part::test, device)};
}

}  // namespace rtl::data
