// A format of data sets: what a SPEC of its kind may say, and how it is loaded. Every file of src/data/formats defines
// one, and the build lists them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rtl/data/load.hpp"
#include "rtl/data/preprocessing.hpp"

namespace rtl::data {

struct Format {
  SpecKind kind;
  /// Loads what the SPEC, which was checked, asks for onto a host device, its Device::host().
  TrainTest (*load)(const Spec& spec, const Device& host);
  /// What is wrong with options that are right each for itself; empty if nothing is. Null where nothing can be.
  std::string (*fault)(const Spec& spec) = nullptr;
  /// As `load`, but columns are prepared as they were for a model. Null where inputs are no columns.
  TrainTest (*load_prepared)(const Spec& spec, const Device& host, const Preprocessing& fitted) = nullptr;
  /// Of formats of texts: `load` with an encoder that was fitted before, which may be null.
  TrainTest (*load_encoded)(const Spec& spec, const Device& host,
                            const std::shared_ptr<const TextEncoder>& encoder) = nullptr;
};

namespace formats {

/// Every format, by the names of their files.
const std::vector<const Format*>& all();

}  // namespace formats

/// The format of a SPEC's kind. Throws ValueError for a kind that there is not.
const Format& format_of(const Spec& spec);

}  // namespace rtl::data
