// Errors of the library that know no files, told with the files they are about.
#pragma once

#include <string>

#include "rtl/core/error.hpp"

namespace rtl::cli {

/// What `work` returns; its ValueError and ShapeError are thrown on as such with `context` before their text.
template <typename Work>
auto with_context(const std::string& context, const Work& work) {
  try {
    return work();
  } catch (const ValueError& error) {
    throw ValueError(context + ": " + error.what());
  } catch (const ShapeError& error) {
    throw ShapeError(context + ": " + error.what());
  }
}

}  // namespace rtl::cli
