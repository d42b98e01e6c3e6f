// Options of formats: how one is described, and those that several formats share, each described once.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "rtl/data/sparse_rows.hpp"
#include "rtl/data/spec.hpp"

namespace rtl::data::options {

using Options = std::vector<SpecOption>;

constexpr double most_whole = 9e15;  ///< a whole number that a double holds

SpecOption choice(std::string name, std::vector<std::string> choices, std::string help);
SpecOption whole(std::string name, double least, double most, std::string help);
SpecOption number(std::string name, double least, double most, std::string placeholder, std::string help);
SpecOption text(std::string name, std::string placeholder, std::string help, bool empty = false);
SpecOption list(std::string name, std::string entry, std::string help, bool empty = false);

Options together(std::initializer_list<Options> parts);

/// split, limit, offset: of every format, as `assemble` applies them.
Options parts();
/// resize, crop, color: of every format that has images; `load` applies them, but for what images: does itself.
Options images();
/// test, test_fraction, seed: of formats that `assemble_files` loads.
Options test_part();
/// target: of formats whose labels may be real targets.
Options target();
/// label, labels: of formats whose labels may be columns of a table.
Options label_columns();
/// columns, drop, header, decimal, missing, impute, indicators, categories, levels, na: of formats that read tables by
/// csv_options.
Options table();
/// weights: of formats whose samples' weights stand in a file of their own.
Options weights_file();
/// What is wrong with weights_file; empty if nothing is.
std::string fault_of_weights(const Spec& spec);
/// delimiter: of those whose lines are parted by one.
Options delimiter();

/// sparse: of formats whose vectors may be sparse rows.
Options sparse();
/// What people should know where rows stay sparse unasked.
std::string sparse_note(const std::string& file, const SparseRows& rows);

/// prepare: of formats whose inputs may be columns, prepared by ColumnParts.
Options preparation();

/// What is wrong with options of these groups together; empty if nothing is.
std::string fault_of_test_part(const Spec& spec);
std::string fault_of_table(const Spec& spec);
std::string fault_of_preparation(const Spec& spec);
std::string fault_of_sparse(const Spec& spec);
/// `labels` says whether there are any, and `remedy` how they are named.
std::string fault_of_labels(const Spec& spec, bool labels, const std::string& remedy);

}  // namespace rtl::data::options
