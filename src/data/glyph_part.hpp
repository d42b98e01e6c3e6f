// One part of the glyphs, where the other is not wanted.
#pragma once

#include "data/assemble.hpp"
#include "rtl/data/glyphs.hpp"

namespace rtl::data {

/// The training or test part of make_glyphs. Throws ValueError for options out of range.
Dataset make_glyph_part(const GlyphOptions& options, Part part, const Device& device);

}  // namespace rtl::data
