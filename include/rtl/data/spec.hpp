// The SPEC language, KIND:PATH?option=value&option=value: its kinds, their options, and how one is read.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace rtl::data {

/// What the value of an option may be.
enum class SpecValue : std::uint8_t {
  choice,  ///< one of some words
  whole,   ///< a whole number in a range
  number,  ///< a number in a range
  text,    ///< any text
  list,    ///< texts with commas between
  files,   ///< a file, or the two files of a kind that has two
};

/// An option of a kind, described once: parsing, --help and docs/cli.md are made from this.
struct SpecOption {
  std::string name;
  SpecValue type = SpecValue::text;
  std::vector<std::string> choices = {};  ///< of a choice
  double least = 0, most = 0;             ///< of a number, whole or not
  std::string placeholder = {};           ///< what help calls a text, a list's entry or a number: "COLUMN"
  std::string help = {};                  ///< a line: what it does, and what holds without it
  bool empty = false;                     ///< the value may be empty
  /// Of an option that a data set must have: what the error says where it is not given. Empty: there need be none.
  std::string required = {};

  /// What may stand behind the '=': "error|drop", "N", "COLUMN,..".
  std::string values() const;
};

struct SpecKind {
  std::string name;  ///< "csv"
  std::string path;  ///< what stands behind the ':': "FILE"; empty if nothing does
  int files = 1;     ///< how many files or folders may stand there, with commas between
  std::string help;  ///< a line: what it reads
  std::vector<SpecOption> options;

  /// Null if the kind has no such option.
  const SpecOption* option(const std::string& name) const;
  /// "csv:FILE".
  std::string form() const { return name + ":" + path; }
};

/// Every kind with all its options, in the order in which documents list them: one for each file of src/data/formats.
const std::vector<SpecKind>& spec_kinds();

/// All kinds and options as lines of text, for --help.
std::string spec_help();

/// A file (or folder) that a SPEC names.
struct SpecFile {
  std::string path;    ///< without escapes
  bool table = false;  ///< of two files: a table, for it is written csv:FILE or ends in .csv
};

/// A parsed SPEC.
///
/// What a path or value cannot hold is written as in a URL, a percent sign and two hexadecimal digits: %3F for '?', %26
/// for '&', %2C for ',' (in lists, and between the files of npy:), %25 for '%'. A percent sign without two hexadecimal
/// digits behind it stands for itself. A path is taken as it is written where a file or folder of that very name is
/// there.
struct Spec {
  std::string kind;
  std::string path;                            ///< as written; see file()
  std::map<std::string, std::string> options;  ///< as written; see text(), list()

  /// Checks the kind, that it has these options, and each value alone. Throws ValueError with the SPEC, what is wrong,
  /// and what there is: the kinds, the kind's options, the values. No file is read.
  static Spec parse(const std::string& text);
  /// KIND:PATH?option=value&.. with the options sorted by name, as they were written.
  std::string to_string() const;

  bool has(const std::string& name) const { return options.find(name) != options.end(); }
  /// The path without escapes.
  std::string file() const;
  /// What stands in the path, or in the value of `option`: as many files or folders, with commas between, as the kind
  /// may have (or more, which is for check_data_set to refuse); none if there is nothing, or the option names no file.
  std::vector<SpecFile> files(const std::string& option = {}) const;
  /// An option's value without escapes; `fallback` if it is not given.
  std::string text(const std::string& name, const std::string& fallback = {}) const;
  /// An option's entries, parted at commas and then freed of escapes; none if it is not given or empty.
  std::vector<std::string> list(const std::string& name) const;
  /// Numbers; `fallback` if the option is not given. Throws ValueError for a value that is none.
  std::int64_t whole(const std::string& name, std::int64_t fallback) const;
  double number(const std::string& name, double fallback) const;
};

/// Frees a text of escapes: "a%3Fb" is "a?b".
std::string decode_percent(const std::string& text);
/// decode_percent, but for the name of a file or folder that is there as it is written.
std::string decode_path(const std::string& path);

/// Throws ValueError where options contradict each other or one is missing that load() needs (SpecOption::required):
/// what load() would refuse before it reads a file. `spec` is parsed.
void check_data_set(const Spec& spec);

}  // namespace rtl::data
