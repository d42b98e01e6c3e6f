// Arguments that name a data set or an architecture.
#pragma once

#include <memory>
#include <string>

#include "cli/outputs.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/text_encoder.hpp"

namespace rtl::cli {

/// Throws UsageError, naming the option, if `spec` is not a SPEC, or not one that a data set can be loaded by.
void check_data_spec(const std::string& option, const std::string& spec);

/// The files that a SPEC names; of folders none.
FileArguments data_files(const std::string& option, const std::string& spec);

/// data::load, its notes printed to standard error.
data::TrainTest load_data(const std::string& spec, const Device& device, const data::FittedInputs& fitted = {});

/// What a model's file says of how the inputs of its training rows were made; nothing where it does not. Throws
/// FormatError for a text that says it and cannot be read.
data::FittedInputs fitted_inputs_of(const std::string& model_file);

/// A table without label=: as one without labels, for a model that needs none.
std::string without_labels(const std::string& spec);

/// Throws ValueError if the test part is empty, as test_fraction=0 leaves it: `purpose` needs its samples.
void require_test_part(const data::TrainTest& parts, const std::string& purpose);

/// What a SPEC may be, with the options of every kind, for --help.
std::string data_help();

/// Throws UsageError, naming the option, unless `model` is NAME or NAME:VARIANT with a NAME that exists.
void check_model(const std::string& option, const std::string& model);

/// The architectures there are, for --help.
std::string model_help();

}  // namespace rtl::cli
