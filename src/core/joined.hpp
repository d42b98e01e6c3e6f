// Lists in messages and metadata.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace rtl {

/// The elements as text, with `separator` between them. Not a template: formatted ranges would be compiled anew in
/// every file that prints one.
std::string joined(std::span<const std::string> parts, std::string_view separator);
std::string joined(std::span<const std::string_view> parts, std::string_view separator);
std::string joined(std::span<const std::int64_t> numbers, std::string_view separator);
std::string joined(std::span<const int> numbers, std::string_view separator);
std::string joined(std::span<const double> numbers, std::string_view separator);

}  // namespace rtl
