// Images made up.
#include "rtl/data/glyphs.hpp"

#include "data/format.hpp"
#include "data/format_options.hpp"
#include "data/glyph_part.hpp"

namespace rtl::data::formats {
namespace {

using namespace options;

TrainTest load(const Spec& spec, const Device& host) {
  GlyphOptions glyphs;
  if (spec.text("domain") == "source") glyphs.domain = GlyphDomain::source;
  if (spec.text("shift") == "none") glyphs.shift = GlyphShift::none;
  if (spec.text("shift") == "conflict") glyphs.shift = GlyphShift::conflict;
  glyphs.classes = spec.whole("classes", glyphs.classes);
  glyphs.size = spec.whole("size", glyphs.size);
  glyphs.channels = spec.whole("channels", glyphs.channels);
  glyphs.train = spec.whole("train", glyphs.train);
  glyphs.test = spec.whole("test", glyphs.test);
  glyphs.seed = static_cast<std::uint64_t>(spec.whole("seed", 0));
  return assemble(spec, [&](Part part) -> LoadedPart { return {make_glyph_part(glyphs, part, host)}; });
}

std::string fault(const Spec& spec) {
  const bool both = spec.has("shift") && spec.text("domain") == "source";
  return both ? "shift is how the target differs; domain=source has none" : "";
}

SpecKind kind() {
  constexpr double samples = 1e7;
  return {
      "glyphs", "", 0, "nothing: images made up, see docs/glyphs.md",
      together({{choice("domain", {"target", "source"}, "target if not given"),
                 choice("shift", {"mild", "none", "conflict"}, "how the target differs; mild if not given"),
                 whole("classes", 2, 10, "10 if not given"), whole("size", 8, 256, "height and width; 32 if not given"),
                 choice("channels", {"3", "1"}, "3 if not given"),
                 whole("train", 1, samples, "training samples; 2000 if not given"),
                 whole("test", 1, samples, "test samples; 1000 if not given"),
                 whole("seed", 0, most_whole, "0 if not given")},
                images(),
                parts()})};
}

}  // namespace

const Format& glyphs() {
  static const Format format{kind(), load, fault};
  return format;
}

}  // namespace rtl::data::formats
