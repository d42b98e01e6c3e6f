#include "rtl/data/glyphs.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>

#include "rtl/core/error.hpp"
#include "rtl/data/load.hpp"
#include "support/devices.hpp"

namespace rtl::data {
namespace {

constexpr GlyphOptions source{.domain = GlyphDomain::source, .train = 40, .test = 10};

TEST(Glyphs, HaveTheStatedShapesAndBalancedLabels) {
  for (const Device& device : test::devices()) {
    GlyphOptions options = source;
    options.size = 16;
    options.channels = 1;
    options.classes = 4;
    const TrainTest parts = make_glyphs(options, device);
    EXPECT_EQ(parts.train.inputs.shape(), (Shape{40, 16, 16, 1}));
    EXPECT_EQ(parts.test.size(), 10);
    EXPECT_EQ(parts.train.class_names.size(), 4u);
    const std::vector<std::int32_t> labels = parts.train.labels.to_vector<std::int32_t>();
    for (std::size_t i = 0; i < labels.size(); ++i) EXPECT_EQ(labels[i], static_cast<std::int32_t>(i % 4));
    parts.train.validate(true);
  }
}

TEST(Glyphs, AreTheSameBytesOnEveryMachine) {
  // Recorded once; integers alone make the images, so no other value is right anywhere.
  const Device host = Device::cpu();
  EXPECT_EQ(make_glyphs(source, host).train.input_hash(), 18106329152037273207u);
  EXPECT_EQ(load("glyphs:?shift=mild&train=40&test=10", host).train.input_hash(), 10738550688784809026u);
  EXPECT_EQ(load("glyphs:?shift=conflict&train=40&test=10&channels=1&size=16&seed=5", host).test.input_hash(),
            1550624057617003655u);
}

TEST(Glyphs, DoNotDependOnThreadsOrOnHowManyAreMade) {
  const Device host = Device::cpu();
  GlyphOptions more = source;
  more.train = 55;
  const TrainTest few = make_glyphs(source, host);
  const int threads = omp_get_max_threads();
  omp_set_num_threads(3);
  const TrainTest many = make_glyphs(more, host);
  omp_set_num_threads(threads);
  const std::vector<std::uint8_t> a = few.train.inputs.to_vector<std::uint8_t>();
  const std::vector<std::uint8_t> b = many.train.inputs.to_vector<std::uint8_t>();
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin()));
  EXPECT_EQ(few.test.input_hash(), many.test.input_hash());
}

TEST(Glyphs, SeedsPartsAndDomainsDiffer) {
  const Device host = Device::cpu();
  GlyphOptions options = source;
  options.test = options.train;
  const TrainTest parts = make_glyphs(options, host);
  EXPECT_NE(parts.train.input_hash(), parts.test.input_hash());
  options.seed = 1;
  EXPECT_NE(make_glyphs(options, host).train.input_hash(), parts.train.input_hash());
  options.seed = 0;
  options.domain = GlyphDomain::target;
  for (const GlyphShift shift : {GlyphShift::none, GlyphShift::mild, GlyphShift::conflict}) {
    options.shift = shift;
    EXPECT_NE(make_glyphs(options, host).train.input_hash(), parts.train.input_hash());
  }
}

/// Mean over a class's images of how much redder (or bluer) than grey each pixel is.
std::vector<double> colour_map(const Dataset& dataset, std::int32_t label, bool warm) {
  const std::vector<std::uint8_t> pixels = dataset.inputs.to_vector<std::uint8_t>();
  const std::vector<std::int32_t> labels = dataset.labels.to_vector<std::int32_t>();
  std::vector<double> map(1024);
  for (std::size_t n = 0; n < labels.size(); ++n) {
    if (labels[n] != label) continue;
    for (std::size_t p = 0; p < map.size(); ++p) {
      const double red = pixels[(n * 1024 + p) * 3], blue = pixels[(n * 1024 + p) * 3 + 2];
      map[p] += std::max(0.0, warm ? red - blue : blue - red);
    }
  }
  return map;
}

/// Cosine distance between the maps of two classes.
double class_distance(const Dataset& dataset, bool warm) {
  const std::vector<double> a = colour_map(dataset, 0, warm), b = colour_map(dataset, 1, warm);
  double aa = 0, bb = 0, ab = 0;
  for (std::size_t p = 0; p < a.size(); ++p) {
    aa += a[p] * a[p];
    bb += b[p] * b[p];
    ab += a[p] * b[p];
  }
  return 1 - ab / std::sqrt(aa * bb);
}

TEST(Glyphs, TheLabelIsInTheWarmGlyphOrInConflictInTheColdOne) {
  for (const char* spec : {"glyphs:?domain=source&train=1000", "glyphs:?shift=none&train=1000",
                           "glyphs:?shift=mild&train=1000", "glyphs:?shift=conflict&train=1000"}) {
    const Dataset dataset = load(spec, Device::cpu()).train;
    const double warm = class_distance(dataset, true), cold = class_distance(dataset, false);
    const bool conflict = std::string(spec).find("conflict") != std::string::npos;
    EXPECT_GT(conflict ? cold : warm, 4 * (conflict ? warm : cold)) << spec << ": warm " << warm << ", cold " << cold;
  }
}

TEST(Glyphs, RefuseOptionsOutOfRange) {
  for (const char* spec : {"glyphs:?classes=1", "glyphs:?classes=11", "glyphs:?size=4", "glyphs:?size=1000",
                           "glyphs:?channels=2", "glyphs:?train=0", "glyphs:?shift=strong", "glyphs:?domain=both",
                           "glyphs:?domain=source&shift=mild", "glyphs:?colour=red", "glyphs:?seed=-1"}) {
    EXPECT_THROW(load(spec, Device::cpu()), ValueError) << spec;
  }
  GlyphOptions options = source;
  options.channels = 2;
  EXPECT_THROW(make_glyphs(options, Device::cpu()), ValueError);
}

TEST(Glyphs, LargestSizeStaysInRange) {
  const TrainTest parts = load("glyphs:?size=256&train=3&test=1&channels=1", Device::cpu());
  EXPECT_EQ(parts.train.inputs.shape(), (Shape{3, 256, 256, 1}));
}

}  // namespace
}  // namespace rtl::data
