// Synthetic images whose source and target domains help or hurt each other on demand. docs/glyphs.md tells the idea and
// what was measured.
#pragma once

#include <cstdint>

#include "rtl/data/dataset.hpp"

namespace rtl::data {

enum class GlyphDomain : std::uint8_t { source, target };

/// How the target differs from the source. In every image a warm and a cold glyph overlap.
enum class GlyphShift : std::uint8_t {
  none,     ///< as the source: the label is the warm glyph's shape, the cold one is a distractor of random shape
  mild,     ///< the label is still the warm glyph's shape, but glyphs are turned, paler, and the noise is stronger
  conflict  ///< the label is the cold glyph's shape: exactly what a source network was trained to ignore
};

struct GlyphOptions {
  GlyphDomain domain = GlyphDomain::target;
  GlyphShift shift = GlyphShift::mild;  ///< of the target; the source has none
  std::int64_t classes = 10;            ///< 2 to 10 shapes
  std::int64_t size = 32;               ///< height and width in pixels, 8 to 256
  std::int64_t channels = 3;            ///< 3: warm and cold colours; 1: lighter and darker than the background
  std::int64_t train = 2000;
  std::int64_t test = 1000;
  std::uint64_t seed = 0;
};

/// Draws u8 images [N, size, size, channels] with labels i % classes (so every prefix is balanced). Sample i of a part
/// is a pure function of the options without `train` and `test`, made with integers alone: the same bytes on every
/// machine, and more samples only add to fewer. About 0.1 ms an image of 32 x 32 and core. Throws ValueError for
/// options out of range.
TrainTest make_glyphs(const GlyphOptions& options, const Device& device);

}  // namespace rtl::data
