#include "rtl/core/precision.hpp"

#include <fmt/format.h>

#include "rtl/core/error.hpp"

namespace rtl {

std::string to_string(Precision precision) { return precision == Precision::bf16 ? "bf16" : "f32"; }

Precision parse_precision(std::string_view text) {
  if (text == "f32") return Precision::f32;
  if (text == "bf16") return Precision::bf16;
  throw ValueError(fmt::format("there is no precision \"{}\"; use f32 or bf16", text));
}

}  // namespace rtl
