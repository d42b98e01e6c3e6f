// Parts of the documents that are made from what the program says of itself. Where RTL_UPDATE_DOCUMENTS is set the
// tests that compare them write them first.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/paths.hpp"

namespace rtl::test {

inline std::string document(const std::string& name) {
  std::ifstream file(source_folder() + "/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline bool updates_documents() { return std::getenv("RTL_UPDATE_DOCUMENTS") != nullptr; }

inline void write_document(const std::string& name, const std::string& text) {
  std::ofstream(source_folder() + "/" + name, std::ios::binary) << text;
}

inline void expect_in(const std::string& name, const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos)
      << name << " should have this; with RTL_UPDATE_DOCUMENTS=1 this test writes it there:\n"
      << part;
}

/// Expects a file to be `text`.
inline void expect_whole(const std::string& name, const std::string& text) {
  if (updates_documents() && document(name) != text) write_document(name, text);
  EXPECT_TRUE(document(name) == text) << name << " should be this; with RTL_UPDATE_DOCUMENTS=1 this test writes it:\n"
                                      << text;
}

/// Expects the table, whole, in a document such as "docs/cli.md", in place of the one that begins with the same line.
inline void expect_table(const std::string& name, const std::string& table) {
  std::string text = document(name);
  const std::size_t begin = text.find(table.substr(0, table.find('\n') + 1));
  if (updates_documents() && begin != std::string::npos) {
    text.replace(begin, text.find("\n\n", begin) + 1 - begin, table);
    write_document(name, text);
  }
  expect_in(name, text, table);
}

/// Expects `part` in a document, in place of what stands between the first `before` and the next `behind`.
inline void expect_between(const std::string& name, const std::string& before, const std::string& part,
                           const std::string& behind) {
  std::string text = document(name);
  const std::size_t begin = text.find(before);
  ASSERT_NE(begin, std::string::npos) << name << " lacks '" << before << "'";
  const std::size_t from = begin + before.size(), to = text.find(behind, from);
  ASSERT_NE(to, std::string::npos) << name << " lacks '" << behind << "' behind '" << before << "'";
  if (updates_documents()) {
    text.replace(from, to - from, part);
    write_document(name, text);
  }
  expect_in(name, text, before + part + behind);
}

/// Expects an entry that begins with `begin`, whatever it says after that, in the list of a document; where there is
/// none `entry` is written in front of the last one of those whose lines begin with `like`.
inline void expect_entry(const std::string& name, const std::string& like, const std::string& begin,
                         const std::string& entry) {
  std::string text = document(name);
  const std::size_t last = text.rfind("\n" + like);
  ASSERT_NE(last, std::string::npos) << name << " lacks '" << like << "'";
  if (updates_documents() && text.find("\n" + begin) == std::string::npos) {
    text.insert(last + 1, entry);
    write_document(name, text);
  }
  EXPECT_NE(text.find("\n" + begin), std::string::npos)
      << name << " should have this; with RTL_UPDATE_DOCUMENTS=1 this test writes it there:\n"
      << entry;
}

/// Words with commas between, in lines of at most 120 characters, the first of which begins at `column`.
inline std::string wrapped_list(const std::vector<std::string>& words, std::size_t column) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::size_t length = words[i].size() + (i + 1 < words.size() ? 1 : 0);
    if (i > 0) {
      const bool fits = column + 1 + length <= 120;
      text += fits ? " " : "\n";
      column = fits ? column + 1 : 0;
    }
    text += words[i] + (i + 1 < words.size() ? "," : "");
    column += length;
  }
  return text;
}

}  // namespace rtl::test
