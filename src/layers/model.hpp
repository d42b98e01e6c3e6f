// The architectures of the library and of the program.
#pragma once

#include <string>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/layers/model.hpp"

namespace rtl::layers {

/// For a name that is none.
ValueError no_architecture(const std::string& name);

/// Throws no_architecture.
const Model& architecture_named(const std::string& name);

}  // namespace rtl::layers

namespace rtl::layers::architectures {

/// Each file of src/layers/models defines one; CMake lists them.
const std::vector<const Model*>& built_in();

}  // namespace rtl::layers::architectures
