#include "cli/training_arguments.hpp"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <numeric>

#include "cli/commands.hpp"
#include "cli/interrupt.hpp"
#include "cli/number_checks.hpp"
#include "cli/strategy_list.hpp"
#include "core/joined.hpp"

namespace rtl::cli {

void DeviceArguments::add_to(CLI::App& command) {
  command.add_option("--device", device, "cpu, cuda or cuda:N; default: a GPU if there is one, else the CPU");
  command.add_option("--threads", threads, "host threads; 0: all cores")->check(at_least(0));
}

Device DeviceArguments::open() const {
  try {
    if (device != "preferred") return Device::parse(device, threads);
    return Device::cuda_count() > 0 ? Device::preferred() : Device::cpu(threads);
  } catch (const ValueError& error) {
    throw UsageError(fmt::format("--device, --threads: {}", error.what()));
  }
}

void add_precision(CLI::App& command, std::string& precision, const std::string& what) {
  command
      .add_option("--precision", precision,
                  "arithmetic " + what + ": f32, or bf16, whose weights and sums of products stay f32")
      ->capture_default_str();
}

Precision parsed_precision(const std::string& precision) {
  try {
    return parse_precision(precision);
  } catch (const ValueError& error) {
    throw UsageError(fmt::format("--precision: {}", error.what()));
  }
}

namespace {

/// A flag of an option that options are described with, which puts its value into `options`.
void add_flag_of(CLI::App& command, const transfer::OptionInfo& info, transfer::TrainingOptions& options) {
  const std::string flag = flag_of(info.name);
  const auto put = [&options, flag, name = info.name](const std::string& value) {
    try {
      transfer::fill_options(options, {{name, value}});
    } catch (const ValueError& error) {
      throw CLI::ValidationError(flag, error.what());
    }
  };
  const std::string group = "Training";
  if (info.choices == std::vector<std::string>{"no", "yes"}) {
    command
        .add_flag_callback(
            flag, [put] { put("yes"); }, info.help)
        ->group(group);
    return;
  }
  std::string help = info.help;
  if (!info.choices.empty()) help += ": " + joined(info.choices, ", ");
  if (!info.range.empty()) help += "; " + info.range;
  command.add_option_function<std::string>(flag, put, help)
      ->default_str(info.default_value)
      ->type_name(info.range.empty() ? "TEXT" : "NUMBER")
      ->group(group);
}

}  // namespace

void TrainingArguments::add_to(CLI::App& command) {
  for (const transfer::OptionInfo& info : transfer::describe_options<transfer::TrainingOptions>()) {
    add_flag_of(command, info, options);
  }
  command
      .add_option("--normalize", normalization,
                  "inputs of the trained network: half, imagenet, lite, cifar or none for images, standardize (by the "
                  "training rows) or none for vectors; auto: half, or standardize")
      ->capture_default_str()
      ->group("Training");
  const std::string protocol = "Protocol";
  command
      .add_option(
          "--train-limit", train_limit,
          "training samples to use, drawn at random by the seed; 0: all. (limit=N in the SPEC takes the first N)")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(protocol);
  command.add_option("--train-offset", train_offset, "leave out the first N training samples")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(protocol);
}

transfer::TrainingOptions TrainingArguments::training() const {
  try {
    options.validate();
  } catch (const ValueError& error) {
    throw UsageError(error.what());
  }
  transfer::TrainingOptions all = options;
  all.stop = interrupted;
  return all;
}

data::Normalization TrainingArguments::parsed_normalization(const data::Dataset& train) const {
  using data::Normalization;
  const Normalization asked = parsed_normalization();
  if (asked == Normalization::automatic || asked == Normalization::none) return asked;
  if ((asked == Normalization::standardize) != train.has_images()) return asked;
  throw UsageError(fmt::format("--normalize {}: {} has {}, which take {} or none", normalization, train.name,
                               train.has_images() ? "images" : "vectors",
                               train.has_images() ? "half, imagenet, lite, cifar" : "standardize"));
}

data::Normalization TrainingArguments::parsed_normalization() const {
  try {
    return data::parse_normalization(normalization);
  } catch (const ValueError& error) {
    throw UsageError(fmt::format("--normalize: {}", error.what()));
  }
}

data::Dataset drop_first(data::Dataset dataset, std::int64_t offset) {
  if (offset == 0) return dataset;
  if (offset >= dataset.size()) {
    throw ValueError(fmt::format("--train-offset {} leaves nothing of the {} training samples of {}", offset,
                                 dataset.size(), dataset.name));
  }
  std::vector<std::int64_t> rows(static_cast<std::size_t>(dataset.size() - offset));
  std::iota(rows.begin(), rows.end(), offset);
  return dataset.subset(rows);
}

}  // namespace rtl::cli
