#include "rtl/data/image_form.hpp"

#include <fmt/format.h>

#include <utility>

#include "io/json.hpp"
#include "rtl/data/spec.hpp"

namespace rtl::data {
namespace {

constexpr int version = 1;
constexpr std::int64_t most_asked = 1 << 14;  // as in a SPEC
constexpr std::int64_t most_pixels = 1 << 20, most_channels = 1 << 10;

std::string colours(std::int64_t channels) {
  return channels == 1 ? "in grey" : channels == 3 ? "in colour" : fmt::format("of {} channels", channels);
}

std::int64_t whole(const std::string& file, const io::Json& json, const char* key, std::int64_t least,
                   std::int64_t most) {
  const auto number = json.at(key).get<std::int64_t>();
  if (number >= least && number <= most) return number;
  throw FormatError(file, fmt::format("the form of its images has {} = {}, not {} to {}", key, number, least, most));
}

}  // namespace

std::string ImageForm::describe() const {
  std::string made;
  if (resize > 0) made += fmt::format("resize={}", resize);
  if (crop > 0) made += fmt::format("{}crop={}", made.empty() ? "" : ", ", crop);
  return fmt::format("{} by {} pixels {}{}", sample[1], sample[0], colours(sample[2]),
                     made.empty() ? "" : " (" + made + ")");
}

std::string ImageForm::to_text() const {
  return io::Json{{"version", version},  {"resize", resize},   {"crop", crop},
                  {"height", sample[0]}, {"width", sample[1]}, {"channels", sample[2]}}
      .dump();
}

ImageForm ImageForm::parse(const std::string& file, const std::string& text) {
  const io::Json json = io::parse_json(file, text, "the form of its images");
  return io::decode_json(file, [&] {
    if (json.at("version") != version) {
      throw FormatError(file, fmt::format("the form of its images has the version {}; this program reads {}",
                                          json.at("version").dump(), version));
    }
    return ImageForm{whole(file, json, "resize", 0, most_asked),
                     whole(file, json, "crop", 0, most_asked),
                     {whole(file, json, "height", 1, most_pixels), whole(file, json, "width", 1, most_pixels),
                      whole(file, json, "channels", 1, most_channels)}};
  });
}

Spec ImageForm::complete(Spec spec) const {
  if (!spec.has("resize") && !spec.has("crop")) {
    if (resize > 0) spec.options["resize"] = std::to_string(resize);
    if (crop > 0) spec.options["crop"] = std::to_string(crop);
  }
  const std::int64_t channels = sample[2];
  if (!spec.has("color") && (channels == 1 || channels == 3)) spec.options["color"] = channels == 3 ? "rgb" : "grey";
  return spec;
}

}  // namespace rtl::data
