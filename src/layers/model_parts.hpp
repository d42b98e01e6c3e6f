// What the files of src/layers/models share.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "rtl/layers/model.hpp"

namespace rtl::layers {

/// "32-64-64-512" (commas do too) to numbers. Throws ValueError, with what the architecture takes, for anything else.
std::vector<std::int64_t> parse_widths(const Architecture& architecture, const std::string& text);

/// Throws ValueError for inputs that are no images of at least `smallest` pixels in height and width.
void check_images(const Architecture& architecture, std::int64_t smallest);

/// Shapes of the named weights. Sets the fault if one is missing or does not continue the one before it: then building
/// the network could need far more memory than the file has.
std::vector<Shape> weight_chain(const std::map<std::string, Shape>& shapes, const std::vector<std::string>& names,
                                std::string& fault);

/// The words between the hyphens of a variant.
std::vector<std::string> variant_words(const std::string& variant);

/// `words` as positive numbers, `count` of them. Throws ValueError as parse_widths.
std::vector<std::int64_t> parse_sizes(const Architecture& architecture, const std::vector<std::string>& words,
                                      std::size_t count);

/// Throws ValueError for inputs that are not sequences [T] of tokens.
void check_tokens(const Architecture& architecture);

/// The shapes of a checkpoint's tensors, asked for one after the other. The first that is missing or of another shape
/// is the fault; what is asked for afterwards is not looked at.
class ShapeReader {
 public:
  explicit ShapeReader(const std::map<std::string, Shape>& shapes) : shapes_(shapes) {}
  /// The shape of a tensor of that rank and of positive extents; extents of 1 if there is none.
  Shape read(const std::string& name, int rank);
  void expect(const std::string& name, const Shape& shape);
  /// How many i from 0 on have a tensor `before` + i + `behind`.
  std::int64_t count(const std::string& before, const std::string& behind) const;
  bool contains(const std::string& name) const { return shapes_.contains(name); }
  const std::string& fault() const noexcept { return fault_; }

 private:
  const std::map<std::string, Shape>& shapes_;
  std::string fault_;
};
/// The fault of a file whose tensors have fewer than half of the elements that a trunk of a fixed size has: building it
/// would take more memory than the file has. Empty if there are enough.
std::string too_few_elements(const CheckpointTensors& tensors, std::int64_t parameters);

}  // namespace rtl::layers
