#include "io/json.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/damage.hpp"
#include "support/random.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::io {
namespace {

using test::content_of;
using test::TemporaryFolder;

std::string fault_of(const std::string& text) {
  try {
    parse_json("file.json", text, "the file");
  } catch (const FormatError& error) {
    EXPECT_EQ(error.file(), "file.json");
    return error.what();
  }
  return {};
}

TEST(Json, WhatIsWrongIsAFormatError) {
  const std::string deep(100'000, '[');
  struct Case {
    std::string text;
    const char* fault;
  };
  const Case cases[] = {{"", "no valid JSON"},
                        {"{\"a\":1e999}", "no valid JSON"},
                        {"[-1e400]", "no valid JSON"},
                        {"{\"a\":\"\xff\"}", "no valid JSON"},
                        {"\"\\ud800\"", "no valid JSON"},
                        {std::string("{\"a\0\":1}", 8), "no valid JSON"},
                        {"{\"a\":1} {", "no valid JSON"},
                        {"{\"a\":1,\"a\":2}", "'a' twice"},
                        {deep, "nested more than"},
                        {deep + std::string(deep.size(), ']'), "nested more than"},
                        {"NaN", "no valid JSON"}};
  for (const Case& wrong : cases) {
    EXPECT_NE(fault_of(wrong.text).find(wrong.fault), std::string::npos) << wrong.text.substr(0, 40);
  }
  EXPECT_EQ(fault_of(R"({"a":[1,2.5,"x",null],"b":{"a":1}})"), "");
  EXPECT_EQ(fault_of("\"" + std::string(3'000'000, 'x') + "\""), "");
}

TEST(Json, WhatIsMissingIsAFormatError) {
  const Json value = parse_json("file.json", R"({"a":"text"})", "the file");
  EXPECT_THROW(decode_json("file.json", [&] { return value.at("b").get<int>(); }), FormatError);
  EXPECT_THROW(decode_json("file.json", [&] { return value.at("a").get<int>(); }), FormatError);
  EXPECT_THROW(decode_json("file.json", [&] { return value.at("a").at(0).get<int>(); }), FormatError);
  EXPECT_EQ(decode_json("file.json", [&] { return value.at("a").get<std::string>(); }), "text");
}

Json some_state() {
  return {{"name", "gr\xc3\xbc\xc3\x9f\n\"e\""},
          {"numbers", {0.1, -0.0, 1.0, 5e-324, 1.7976931348623157e308, 1.0 / 3.0}},
          {"nothing", std::numeric_limits<double>::quiet_NaN()},
          {"count", std::numeric_limits<std::uint64_t>::max()},
          {"nested", {{"a", Json::array()}, {"b", Json::object()}, {"c", true}}}};
}

TEST(SealedJson, ReadsWhatWasWritten) {
  const TemporaryFolder folder;
  write_sealed_json(folder / "state", some_state());
  const Json read = read_sealed_json(folder / "state");
  EXPECT_EQ(read.dump(), some_state().dump());
  EXPECT_TRUE(std::signbit(read.at("numbers").at(1).get<double>()));
  EXPECT_EQ(read.at("numbers").at(5).get<double>(), 1.0 / 3.0);
  EXPECT_TRUE(read.at("nothing").is_null());
  write_sealed_json(folder / "state", {{"caf\xe9", "\xff"}});
  EXPECT_EQ(read_sealed_json(folder / "state").at("caf\xef\xbf\xbd"), "\xef\xbf\xbd") << "what is no UTF-8";
  EXPECT_THROW(write_sealed_json(folder / "no/folder", {}), IoError);
  EXPECT_THROW(read_sealed_json(folder / "missing"), IoError);
}

TEST(SealedJson, IsNothingWithoutItsSeal) {
  const TemporaryFolder folder;
  for (const char* text : {"{}", "[]", "5", "{\"content\":{}}", "{\"content_hash\":5,\"content\":{}}",
                           "{\"content_hash\":\"0000000000000000\",\"content\":{\"a\":1}}", "{\"a\":1e999}"}) {
    EXPECT_THROW(read_sealed_json(folder.write("state", text)), FormatError) << text;
  }
}

TEST(SealedJson, NoDamageGoesUnnoticed) {
  const TemporaryFolder folder;
  write_sealed_json(folder / "state", some_state());
  const std::string whole = content_of(folder / "state");
  RandomSequence random(test::seed());
  int silently_wrong = 0, found = 0;
  for (int i = 0; i < test::damages; ++i) {
    try {
      if (read_sealed_json(folder.write("damaged", test::damaged_copy(whole, random))).dump() != some_state().dump()) {
        ++silently_wrong;
      }
    } catch (const FormatError&) {
      ++found;
    }
  }
  EXPECT_EQ(silently_wrong, 0) << "seed " << test::seed();
  EXPECT_GT(found, 900);
}

}  // namespace
}  // namespace rtl::io
