#include "cli/data_argument.hpp"

#include <fmt/core.h>

#include "cli/commands.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::cli {

void check_data_spec(const std::string& option, const std::string& spec) {
  try {
    data::Spec::parse(spec);
  } catch (const ValueError& error) {
    throw UsageError(fmt::format("{}: {}", option, error.what()));
  }
}

std::string model_help() {
  std::string text = "architecture:";
  for (const auto& description : models::descriptions()) text += " " + description;
  return text;
}

}  // namespace rtl::cli
