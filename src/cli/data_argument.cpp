#include "cli/data_argument.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "cli/commands.hpp"
#include "cli/table.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/safetensors.hpp"
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
  FileArguments files;
  const auto add = [&](const std::string& named) {
    for (const data::SpecFile& file : parsed.files(named)) files.push_back({option, file.path});
  };
  add("");
  for (const auto& [name, value] : parsed.options) add(name);
  return files;
}

data::TrainTest load_data(const std::string& spec, const Device& device, const data::FittedInputs& fitted) {
  data::TrainTest parts = data::load(spec, device, fitted);
  for (const std::string& note : parts.notes) fmt::print(stderr, "rtl: note: {}\n", printable(note));
  return parts;
}

data::FittedInputs fitted_inputs_of(const std::string& model_file) {
  io::Metadata metadata;
  try {
    metadata = io::SafetensorsFile(model_file).metadata();
  } catch (const Error&) {
    return {};  // whoever loads the model tells more
  }
  return data::FittedInputs::parse(model_file, metadata);
}

std::string without_labels(const std::string& spec) {
  const auto& kinds = data::spec_kinds();
  const auto kind = std::find_if(kinds.begin(), kinds.end(),
                                 [&](const data::SpecKind& one) { return spec.starts_with(one.name + ":"); });
  const data::SpecOption* label = kind == kinds.end() ? nullptr : kind->option("label");
  if (label == nullptr || label->required.empty()) return spec;
  const auto question = spec.find('?');
  if (question == std::string::npos) return spec + "?label=";
  const bool given = spec.find("?label=", question) == question || spec.find("&label=", question) != std::string::npos;
  return given ? spec : spec + "&label=";
}

void require_test_part(const data::TrainTest& parts, const std::string& purpose) {
  if (parts.test.size() > 0) return;
  throw ValueError(
      fmt::format("data set '{}': the test part is empty, and {} needs it; take a larger test_fraction, or "
                  "split=train, so that both parts are all samples",
                  parts.train.name, purpose));
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
