#include "transfer/state_folder.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "rtl/io/file.hpp"

namespace rtl::transfer::detail {
namespace {

constexpr const char* protocol_name = "protocol.json";

/// The first name of the kind "runs-2" that is not taken.
std::string free_name(const std::string& folder) {
  std::string stem = folder;
  while (stem.size() > 1 && stem.back() == '/') stem.pop_back();
  std::error_code ignored;
  for (int number = 2;; ++number) {
    std::string name = fmt::format("{}-{}", stem, number);
    if (!std::filesystem::exists(name, ignored)) return name;
  }
}

Facts protocol_in(const std::string& path, const io::Json& content) {
  return io::decode_json(path, [&] { return facts_from(content.at("protocol")); });
}

}  // namespace

StateFolder::StateFolder(std::string folder, Facts protocol, const std::function<bool(const std::string&)>& is_result,
                         Notice notice)
    : folder_(std::move(folder)), protocol_(std::move(protocol)), notice_(std::move(notice)) {
  if (folder_.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) throw IoError(folder_, "cannot make the folder for the runs' state: " + error.message());
  const Found found = look(is_result);
  if (found.any && !found.differences.empty()) {
    refuse(fmt::format("it holds runs of another protocol: {}", found.differences));
  }
  if (found.any && !found.described) {
    refuse(fmt::format("it holds runs whose protocol is not known, since {} is missing, damaged or of another version",
                       protocol_name));
  }
  io::remove_abandoned(folder_);
  io::write_sealed_json(path(protocol_name), {{"protocol", to_json(protocol_)}});
}

void StateFolder::refuse(const std::string& what) const {
  throw ValueError(
      fmt::format("{}: {}. They are kept as they are, and nothing was run; give another folder, for "
                  "example {}",
                  folder_, what, free_name(folder_)));
}

StateFolder::Found StateFolder::look(const std::function<bool(const std::string&)>& is_result) const {
  Found found;
  std::vector<std::string> results;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(folder_, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (is_result(name)) results.push_back(std::move(name));
  }
  if (error) throw IoError(folder_, "cannot be read: " + error.message());
  if (results.empty()) return found;
  found.any = true;
  const std::string description = path(protocol_name);
  try {
    found.differences = differences(protocol_, protocol_in(description, io::read_sealed_json(description)));
    found.described = found.differences.empty();
    return found;
  } catch (const Error& damaged) {
    if (notice_ && io::file_exists(description)) {
      notice_(fmt::format("{}; the results themselves tell their protocol", damaged.what()));
    }
  }
  for (const std::string& name : results) {
    try {
      const std::string file = path(name);
      found.differences = differences_in_common(protocol_, protocol_in(file, io::read_sealed_json(file)));
      found.described = found.differences.empty();
      if (!found.described) break;
    } catch (const Error&) {
      continue;  // tells nothing
    }
  }
  return found;
}

std::string StateFolder::path(const std::string& name) const {
  return folder_.empty() ? std::string() : folder_ + "/" + name;
}

std::optional<io::Json> StateFolder::find(const std::string& name, const Facts& facts) const {
  const std::string file = path(name);
  if (file.empty() || !io::file_exists(file)) return {};
  Facts protocol;
  std::optional<io::Json> result;
  try {
    const io::Json content = io::read_sealed_json(file);
    protocol = protocol_in(file, content);
    io::decode_json(file, [&] {
      if (content.at("file") != name) throw FormatError(file, "is a copy of another result");
      result = content.at("result");
      return 0;
    });
  } catch (const FormatError& error) {
    tell_damaged(name, error.what());
    return {};
  }
  const std::string different = differences(facts, protocol);
  if (!different.empty()) refuse(fmt::format("{} in it is of another protocol: {}", name, different));
  return result;
}

void StateFolder::store(const std::string& name, const Facts& facts, io::Json result) const {
  if (folder_.empty()) return;
  io::write_sealed_json(path(name), {{"file", name}, {"protocol", to_json(facts)}, {"result", std::move(result)}});
}

void StateFolder::tell_damaged(const std::string& name, const std::string& fault) const {
  if (!notice_) return;
  const std::string file = path(name);
  notice_(fmt::format("{}{}; it is not used, and the run is done again", fault.starts_with(file) ? "" : file + ": ",
                      fault));
}

}  // namespace rtl::transfer::detail
