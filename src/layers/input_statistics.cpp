#include "layers/input_statistics.hpp"

#include <fmt/format.h>

#include "rtl/core/error.hpp"

namespace rtl::layers {
namespace {

const char* const mean_name = "input.mean";
const char* const deviation_name = "input.deviation";

Tensor to_tensor(const std::vector<double>& values, const Device& host) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())}, host);
}

std::vector<double> read_column_numbers(const io::SafetensorsFile& file, const std::string& name) {
  if (!file.contains(name)) {
    throw FormatError(file.path(), fmt::format("its inputs are standardised, but tensor '{}' is missing", name));
  }
  const io::TensorEntry& entry = file.entry(name);
  if (entry.dtype != DType::f64 || entry.shape.rank() != 1) {
    throw FormatError(file.path(), fmt::format("tensor '{}' is {} {}, not f64 [columns]", name, name_of(entry.dtype),
                                               entry.shape.to_string()));
  }
  return file.load(name, Device::cpu(1).separate()).to_vector<double>();
}

}  // namespace

bool is_input_statistic(const std::string& name) { return name == mean_name || name == deviation_name; }

InputStatistics::InputStatistics(const data::InputNormalization& normalization, const Device& host) {
  if (normalization.kind != data::Normalization::standardize) return;
  mean_ = to_tensor(normalization.mean, host);
  deviation_ = to_tensor(normalization.deviation, host);
}

void InputStatistics::append_to(std::vector<io::NamedView>& tensors, const std::string& prefix) const {
  if (!mean_.defined()) return;
  tensors.emplace_back(prefix + mean_name, mean_);
  tensors.emplace_back(prefix + deviation_name, deviation_);
}

std::optional<data::InputNormalization> read_normalization(const io::SafetensorsFile& file, const std::string& prefix,
                                                           const StatisticNames& names) {
  const auto found = file.metadata().find(prefix + "normalization");
  const bool unsaid = found == file.metadata().end() || found->second.empty();
  if (unsaid && !(names.contains(mean_name) && names.contains(deviation_name))) return {};
  const auto numbers = [&](const char* name) {
    const auto other = names.find(name);
    return read_column_numbers(file, other == names.end() ? prefix + name : other->second);
  };
  try {
    const data::Normalization kind =
        unsaid ? data::Normalization::standardize : data::parse_normalization(found->second);
    if (kind != data::Normalization::standardize) return kind;
    return data::InputNormalization(numbers(mean_name), numbers(deviation_name));
  } catch (const ValueError& error) {
    throw FormatError(file.path(), fmt::format("{}: {}",
                                               unsaid ? "the numbers of its standardised inputs"
                                                      : fmt::format("metadata '{}normalization'", prefix),
                                               error.what()));
  }
}

}  // namespace rtl::layers
