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

void check_model(const std::string& option, const std::string& model) {
  const std::string name = model.substr(0, model.find(':'));
  for (const auto& description : models::descriptions()) {
    if (description.substr(0, description.find('[')) == name) return;
  }
  throw UsageError(fmt::format("{}: there is no '{}'; {}", option, name, model_help()));
}

std::string model_help() {
  std::string text = "architecture:";
  for (const auto& description : models::descriptions()) text += " " + description;
  return text;
}

}  // namespace rtl::cli
