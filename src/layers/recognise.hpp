// What recognition and the checkpoint reader share.
#pragma once

#include <string>
#include <vector>

#include "rtl/layers/checkpoint.hpp"

namespace rtl::layers {

/// Without the prefix "module." that parallel training leaves.
std::string canonical_name(std::string name);

/// PyTorch's batch counters, which nothing here needs.
bool is_counter(const std::string& name);

/// The public one, with the shape of one input if it is known (else null).
Architecture recognise(const std::vector<io::TensorEntry>& tensors, const std::string& name, const Shape* input);

/// Names and shapes of the parameters and buffers of a network of that architecture.
std::vector<io::TensorEntry> tensors_of(const Architecture& architecture);

}  // namespace rtl::layers
