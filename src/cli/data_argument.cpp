#include "cli/data_argument.hpp"

#include <fmt/core.h>

#include "cli/commands.hpp"
#include "cli/table.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::cli {

void check_data_spec(const std::string& option, const std::string& spec) {
  try {
    data::check_data_set(data::Spec::parse(spec));
  } catch (const ValueError& error) {
    throw UsageError(fmt::format("{}: {}", option, error.what()));
  }
}

FileArguments data_files(const std::string& option, const std::string& spec) {
  const data::Spec parsed = data::Spec::parse(spec);
  const auto test = parsed.options.find("test");
  FileArguments files;
  for (const std::string& names : {parsed.path, test == parsed.options.end() ? std::string() : test->second}) {
    // Two files with a comma between for npy; elsewhere a comma is a part of the name.
    const auto comma = parsed.kind == "npy" ? names.find(',') : std::string::npos;
    files.push_back({option, data::decode_path(names.substr(0, comma))});
    if (comma != std::string::npos) files.push_back({option, data::decode_path(names.substr(comma + 1))});
  }
  return files;
}

data::TrainTest load_data(const std::string& spec, const Device& device) {
  data::TrainTest parts = data::load(spec, device);
  for (const std::string& note : parts.notes) fmt::print(stderr, "rtl: note: {}\n", printable(note));
  return parts;
}

std::string data_help() { return data::spec_help(); }

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
