// What the files of src/layers/models share.
#pragma once

#include <cstdint>
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

/// The fault of a file whose tensors have fewer than half of the elements that a trunk of a fixed size has: building it
/// would take more memory than the file has. Empty if there are enough.
std::string too_few_elements(const CheckpointTensors& tensors, std::int64_t parameters);

}  // namespace rtl::layers
