#include "cli/training_arguments.hpp"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <numeric>

#include "cli/commands.hpp"
#include "cli/interrupt.hpp"
#include "cli/number_checks.hpp"

namespace rtl::cli {

void DeviceArguments::add_to(CLI::App& command) {
  command.add_option("--device", device, "cpu, cuda or cuda:N; default: a GPU if there is one, else the CPU");
  command.add_option("--threads", threads, "host threads; 0: all cores")->check(at_least(0));
}

Device DeviceArguments::open() const {
  if (device == "preferred") return Device::cuda_count() > 0 ? Device::preferred() : Device::cpu(threads);
  try {
    return Device::parse(device, threads);
  } catch (const ValueError& error) {
    throw UsageError(fmt::format("--device: {}", error.what()));
  }
}

CLI::Option* add_precision(CLI::App& command, std::string& precision, const std::string& what) {
  return command
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

void TrainingArguments::add_to(CLI::App& command) {
  const std::string group = "Training";
  command.add_option("--epochs", options.epochs, "passes over the training samples")
      ->capture_default_str()
      ->group(group);
  command.add_option("--batch-size", options.batch_size, "samples a step")->capture_default_str()->group(group);
  command.add_option("--learning-rate", options.learning_rate, "of the optimizer")->capture_default_str()->group(group);
  command.add_option("--momentum", options.momentum, "of sgd")->capture_default_str()->group(group);
  command.add_option("--optimizer", optimizer, "sgd, adam or adamw")->capture_default_str()->group(group);
  command.add_flag("--nesterov", options.nesterov, "Nesterov's momentum, for sgd")->group(group);
  command.add_option("--weight-decay", options.weight_decay, "of the optimizer")->capture_default_str()->group(group);
  command
      .add_option("--l2sp-strength", options.l2sp_strength,
                  "L2-SP: draws all weights to those that the training starts from; in a comparison only where these "
                  "are a source's, in fine-tune and its like and in probe with the source's own head")
      ->capture_default_str()
      ->group(group);
  command.add_option("--schedule", schedule, "constant, step or cosine")->capture_default_str()->group(group);
  command.add_option("--schedule-epochs", options.schedule_epochs, "of step: epochs between two changes of the rate")
      ->capture_default_str()
      ->group(group);
  command.add_option("--schedule-factor", options.schedule_factor, "of step: what the rate is multiplied by")
      ->capture_default_str()
      ->group(group);
  add_precision(command, precision, "of training and of frozen sources")->group(group);
  command
      .add_option("--normalize", normalization,
                  "inputs of the trained network: half, imagenet, lite, cifar or none for images, standardize (by the "
                  "training rows) or none for vectors; auto: half, or standardize")
      ->capture_default_str()
      ->group(group);
  command
      .add_option("--checkpoint-interval", options.checkpoint_interval,
                  "epochs after which an unfinished training is kept, where it is")
      ->capture_default_str()
      ->group(group);
  const std::string protocol = "Protocol";
  command
      .add_option(
          "--train-limit", train_limit,
          "training samples to use, drawn at random by the seed; 0: all. (limit=N in the SPEC takes the first N)")
      ->check(at_least(0))
      ->group(protocol);
  command.add_option("--train-offset", train_offset, "leave out the first N training samples")
      ->check(at_least(0))
      ->group(protocol);
  command
      .add_option("--label-flips", options.label_flips,
                  "probability with which a training label becomes another class, each equally likely")
      ->check(CLI::Range(0.0, 1.0))
      ->group(protocol);
  command.add_flag("--flip-each-epoch", options.flip_each_epoch, "draw the label flips anew in every epoch")
      ->group(protocol);
}

transfer::TrainingOptions TrainingArguments::training() const {
  try {
    transfer::TrainingOptions all = options;
    all.optimizer = transfer::parse_optimizer(optimizer);
    all.schedule = transfer::parse_schedule(schedule);
    all.precision = parsed_precision(precision);
    all.stop = interrupted;
    all.validate();
    return all;
  } catch (const ValueError& error) {
    throw UsageError(error.what());
  }
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
