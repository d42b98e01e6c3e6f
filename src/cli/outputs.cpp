#include "cli/outputs.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "cli/commands.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::cli {

namespace {

namespace fs = std::filesystem;

bool is_stream(const std::string& path) {
  std::error_code ignored;
  return fs::is_other(path, ignored);
}

/// One text for all ways to name a file.
std::string identity(const std::string& path) {
  std::error_code failed;
  const fs::path file = fs::weakly_canonical(fs::absolute(io::resolve_links(path)), failed);
  return failed ? path : file.string();
}

void check_writable(const std::string& path) {
  if (!is_stream(path)) {
    const io::AtomicFile probe(path);
  } else if (::access(path.c_str(), W_OK) != 0) {
    throw IoError(path, fmt::format("cannot be written: {}", std::generic_category().message(errno)));
  }
}

bool is_file(const FileArgument& output) {
  if (output.path == "-" && output.option != "--json") throw UsageError(fmt::format("{} takes a file", output.option));
  return !output.path.empty() && output.path != "-";
}

}  // namespace

void check_distinct(const FileArguments& outputs, const FileArguments& inputs) {
  FileArguments taken;
  for (const FileArgument& input : inputs) {
    if (!input.path.empty()) taken.push_back({input.option, identity(input.path)});
  }
  for (const FileArgument& output : outputs) {
    if (!is_file(output) || is_stream(output.path)) continue;
    const std::string file = identity(output.path);
    for (const FileArgument& other : taken) {
      if (other.path != file) continue;
      throw UsageError(fmt::format("{} and {} are both {}; give {} another file", other.option, output.option,
                                   output.path, output.option));
    }
    taken.push_back({output.option, file});
  }
}

void check_outputs(const FileArguments& outputs, const FileArguments& inputs) {
  check_distinct(outputs, inputs);
  for (const FileArgument& output : outputs) {
    if (is_file(output)) check_writable(output.path);
  }
}

void check_npy_or_csv(const FileArgument& output) {
  if (output.path.empty() || output.path.ends_with(".npy") || output.path.ends_with(".csv")) return;
  throw UsageError(fmt::format("{}: '{}' ends neither in .npy nor in .csv", output.option, output.path));
}

std::string csv_field(const std::string& text) {
  const bool blank_end = !text.empty() && (text.front() == ' ' || text.back() == ' ');  // which readers drop
  if (!blank_end && text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string field = "\"";
  for (const char c : text) field += c == '"' ? std::string("\"\"") : std::string(1, c);
  return field + '"';
}

}  // namespace rtl::cli
