#include "cli/command_line.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

namespace rtl::cli {

namespace {

std::string quoted(const std::string& argument) {
  const std::string plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";
  if (!argument.empty() && argument.find_first_not_of(plain) == std::string::npos) return argument;
  std::string text = "'";
  for (const char c : argument) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  std::string text;
  for (std::size_t begin = 0; begin < all.size();) {
    const auto end = std::min(all.find('\0', begin), all.size());
    const std::string argument = all.substr(begin, end - begin);
    text += begin == 0 ? std::filesystem::path(argument).filename().string() : quoted(argument).insert(0, 1, ' ');
    begin = end + 1;
  }
  return text;
}

}  // namespace rtl::cli
