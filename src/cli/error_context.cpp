#include "cli/error_context.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

namespace rtl::cli {

namespace {

/// Words of the library's calls, and what the program calls them.
constexpr std::pair<const char*, const char*> words[] = {
    {"use RidgePath in f64 with RidgeMethod::svd", "take --method svd, without --f32"},
    {"use RidgePath with RidgeMethod::svd", "take --method svd"},
    {"RidgeMethod::primal or svd", "--method primal or svd"},
    {"use RidgeArithmetic::f64", "leave out --f32"},
    {"no intercept, or leave_one_out = false", "or --no-intercept"},
    {"or no intercept", "or --no-intercept"},
    {"all sample_weights are 0", "all weights (--weights) are 0"},
    {"'centre'", "the start (--start)"},
    {"centred x [", "the centred features ["},
    {" x [", " the features ["},
    {"'x'", "the features"},
    {"'y'", "the targets"},
};

/// "RidgePath::evaluate: "
std::size_t call_name_length(const std::string& text) {
  const auto end = text.find(": ");
  if (end == std::string::npos || end == 0) return 0;
  const bool name = std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end),
                                [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == ':'; });
  return name ? end + 2 : 0;
}

}  // namespace

std::string in_user_words(std::string text) {
  text.erase(0, call_name_length(text));
  for (const auto& [from, to] : words) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += std::string(to).size()) {
      text.replace(at, std::string(from).size(), to);
    }
  }
  return text;
}

}  // namespace rtl::cli
