// Errors of the library, told in the words of the command line.
#pragma once

#include <string>

#include "rtl/core/error.hpp"

namespace rtl::cli {

/// What a person at the command line can use of an error of the library: without the call's name at its beginning, and
/// with options where it names members and methods.
std::string in_user_words(std::string text);

/// What `work` returns; its ValueError and ShapeError are thrown on as such, in the user's words, with `context` before
/// them.
template <typename Work>
auto with_context(const std::string& context, const Work& work) {
  try {
    return work();
  } catch (const ValueError& error) {
    throw ValueError(context + ": " + in_user_words(error.what()));
  } catch (const ShapeError& error) {
    throw ShapeError(context + ": " + in_user_words(error.what()));
  }
}

}  // namespace rtl::cli
