// The form in which a model takes images, and how pictures of another are brought into it.
#pragma once

#include <cstdint>
#include <string>

#include "rtl/core/shape.hpp"

namespace rtl::data {

struct Spec;

/// How the images were made that a model was trained on: what the SPEC of its training data asked for, and what came of
/// it.
struct ImageForm {
  std::int64_t resize = 0;  ///< pixels of the shorter side; 0 if images were taken in the size that they had
  std::int64_t crop = 0;    ///< pixels of the middle square; 0 if none was taken
  Shape sample;             ///< [H, W, C]

  friend bool operator==(const ImageForm&, const ImageForm&) = default;
  /// A line: "32 by 32 pixels in colour (resize=40, crop=32)".
  std::string describe() const;
  /// JSON.
  std::string to_text() const;
  /// Throws FormatError, naming `file`, for what to_text() did not write.
  static ImageForm parse(const std::string& file, const std::string& text);

  /// Of a SPEC with options of images: the same with this form's resize and crop where it has neither, and with the
  /// form's number of channels where it has no color. So what a SPEC says of itself goes before.
  Spec complete(Spec spec) const;
};

/// The key under which the metadata of a model's file have the form of its images.
inline constexpr const char* image_form_key = "rtl.images";

}  // namespace rtl::data
