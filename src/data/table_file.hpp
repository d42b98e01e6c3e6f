// Formats whose files are tables of text, read by csv.hpp: their options, and how data sets are made of them.
#pragma once

#include <string>

#include "data/format_options.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/preprocessing.hpp"

namespace rtl::data {

namespace options {

/// All options of such a format but those that say how lines are parted into fields; label= must be given.
Options table_file();

}  // namespace options

/// As Format::load, Format::load_prepared and Format::fault.
TrainTest load_table(const Spec& spec, const Device& host);
TrainTest load_prepared_table(const Spec& spec, const Device& host, const Preprocessing& fitted);
std::string fault_of_table_file(const Spec& spec);

}  // namespace rtl::data
