// Tables of the documents that are made from what the program says of itself.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "support/paths.hpp"

namespace rtl::test {

inline std::string document(const std::string& name) {
  std::ifstream file(source_folder() + "/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Expects the table, whole, in a document such as "docs/cli.md". Where RTL_UPDATE_DOCUMENTS is set it is written there
/// first, in place of the one that begins with the same line.
inline void expect_table(const std::string& name, const std::string& table) {
  std::string text = document(name);
  const std::size_t begin = text.find(table.substr(0, table.find('\n') + 1));
  if (std::getenv("RTL_UPDATE_DOCUMENTS") != nullptr && begin != std::string::npos) {
    text.replace(begin, text.find("\n\n", begin) + 1 - begin, table);
    std::ofstream(source_folder() + "/" + name, std::ios::binary) << text;
  }
  EXPECT_NE(text.find(table), std::string::npos)
      << name << " should have this table; with RTL_UPDATE_DOCUMENTS=1 this test writes it there:\n"
      << table;
}

}  // namespace rtl::test
