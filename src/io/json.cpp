#include "io/json.hpp"

#include <new>
#include <set>
#include <utility>
#include <vector>

#include "rtl/io/file.hpp"
#include "rtl/io/hash.hpp"

namespace rtl::io {
namespace {

constexpr const char* hash_key = "content_hash";
constexpr const char* content_key = "content";
/// No state file is as long: what is longer is none.
constexpr std::size_t longest_file = std::size_t{1} << 28;

std::string text_of(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string hash_of(const Json& content) { return to_hex(Hash64().add(std::string_view(text_of(content))).value()); }

template <typename AnyJson>
AnyJson parse(const std::string& file, std::string_view text, const std::string& what, int deepest) {
  using Event = typename AnyJson::parse_event_t;
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, Event event, AnyJson& value) {
    if (depth > deepest) throw FormatError(file, fmt::format("{} is nested more than {} levels deep", what, deepest));
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(value.template get<std::string>()).second) {
      throw FormatError(file, fmt::format("{} has '{}' twice", what, value.template get<std::string>()));
    }
    return true;
  };
  try {
    return AnyJson::parse(text, watch);
  } catch (const typename AnyJson::exception& error) {
    throw FormatError(file, fmt::format("{} is no valid JSON: {}", what, error.what()));
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(fmt::format("{}: no memory for {}, {} bytes of JSON", file, what, text.size()));
  }
}

}  // namespace

Json parse_json(const std::string& file, std::string_view text, const std::string& what, int deepest) {
  return parse<Json>(file, text, what, deepest);
}

SortedJson parse_sorted_json(const std::string& file, std::string_view text, const std::string& what, int deepest) {
  return parse<SortedJson>(file, text, what, deepest);
}

std::string valid_utf8(const std::string& text) { return Json::parse(text_of(text)).get<std::string>(); }

void write_sealed_json(const std::string& path, const Json& content) {
  write_file(path, text_of({{hash_key, hash_of(content)}, {content_key, content}}, 1) + "\n");
}

Json read_sealed_json(const std::string& path) {
  const Bytes bytes = read_file(path, longest_file);
  Json file = parse_json(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "the file");
  return decode_json(path, [&] {
    Json content = std::move(file.at(content_key));
    if (file.at(hash_key) != hash_of(content)) {
      throw FormatError(path, "is damaged: its content is not what its content_hash was made of");
    }
    return content;
  });
}

}  // namespace rtl::io
