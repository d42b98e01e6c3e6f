// Where results go: nothing that was asked for is lost without a word, and nothing else is overwritten.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "cli/program.hpp"
#include "rtl/core/random.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/io/safetensors.hpp"

namespace rtl::test {
namespace {

void write_random(const Workplace& place, const std::string& name, std::int64_t rows, std::int64_t columns) {
  RandomSequence random(static_cast<std::uint64_t>(rows * 100 + columns));
  std::vector<double> values(static_cast<std::size_t>(rows * columns));
  for (double& value : values) value = random.normal();
  io::write_npy(place.path(name), Tensor::from(values, {rows, columns}, Device::cpu(1)));
}

void make_problem(const Workplace& place) {
  write_random(place, "X.npy", 12, 3);
  write_random(place, "Y.npy", 12, 2);
  write_random(place, "W.npy", 3, 2);
}

Words ridge(const Words& more) {
  Words words = {"ridge", "--features", "X.npy", "--targets", "Y.npy", "--penalties", "0.1,1", "--threads", "1"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Exit code with a standard output that takes nothing.
int code_on_full_disk(const Workplace& place, const Words& words) {
  std::filesystem::remove(place.path(".output"));
  std::filesystem::create_symlink("/dev/full", place.path(".output"));
  const pid_t process = place.start(words);
  int status = 0;
  waitpid(process, &status, 0);
  std::filesystem::remove(place.path(".output"));
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Outputs, LosingStandardOutputIsAFailure) {
  const Workplace place;
  make_problem(place);
  const Words calls[] = {{"info"},  {"info", "--json", "-"}, {"strategies"}, {"inspect", "X.npy"}, {"--help"},
                         ridge({}), ridge({"--json", "-"})};
  for (const Words& call : calls) {
    SCOPED_TRACE(fmt::format("{}", fmt::join(call, " ")));
    EXPECT_EQ(code_on_full_disk(place, call), 1);
    EXPECT_NE(place.read(".errors"), "");
  }
  EXPECT_EQ(code_on_full_disk(place, {"fly"}), 2);
  EXPECT_EQ(code_on_full_disk(place, {"info", "--json", "/dev/full"}), 1);
}

/// Exit code with a standard output, and error if `both`, whose reader has gone.
int code_without_reader(const Workplace& place, const Words& words, bool both) {
  int ends[2] = {-1, -1};
  if (::pipe(ends) != 0) return -1;
  ::close(ends[0]);
  const pid_t process = place.start(words, {}, [&] {
    if (::dup2(ends[1], 1) < 0 || (both && ::dup2(ends[1], 2) < 0)) ::_exit(126);
  });
  ::close(ends[1]);
  int status = 0;
  waitpid(process, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Outputs, AReaderThatHasSeenEnoughIsNoFailure) {
  const Workplace place;
  make_problem(place);
  const Words calls[] = {{"info"},
                         {"info", "--json", "-"},
                         {"--help"},
                         {"ridge", "--help"},
                         ridge({"--json", "/dev/stdout"}),
                         ridge({"--json", "-"})};
  for (const Words& call : calls) {
    SCOPED_TRACE(fmt::format("{}", fmt::join(call, " ")));
    EXPECT_EQ(code_without_reader(place, call, false), 0);
    EXPECT_EQ(place.read(".errors").find("rtl:"), std::string::npos) << place.read(".errors");
    EXPECT_EQ(code_without_reader(place, call, true), 0);
  }
  // What is written behind what is printed is not lost.
  EXPECT_EQ(code_without_reader(place, ridge({"--json", "result.json"}), true), 0);
  EXPECT_EQ(place.json("result.json")["n"], 12);
  EXPECT_EQ(code_without_reader(place, {"inspect", "nowhere.npy"}, true), 1) << "a failure stays one";
}

TEST(Outputs, OneFileIsNotTwoThings) {
  const Workplace place;
  make_problem(place);
  place.write("m.safetensors", "precious");
  std::filesystem::create_symlink("X.npy", place.path("link.npy"));
  std::filesystem::create_symlink("later", place.path("dangling"));
  const std::string data = "npy:X.npy,Y.npy?test=W.npy,L.npy", csv = "csv:t.csv?label=1";
  const auto predict = [&](const Words& more) {
    Words words = {"predict", "--model", "m.safetensors", "--data", data};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  const auto decide = [](const Words& more) {
    Words words = {"decide", "--source-features", "s.csv?drop=a", "--source-targets", "u.npy", "--target-features",
                   "X.npy",  "--target-targets",  "Y.npy"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  const std::string glyphs = "glyphs:?train=60&test=30";
  struct Case {
    Words words;
    const char* first;
    const char* second;
  };
  const Case cases[] = {
      {ridge({"--coefficients", "X.npy"}), "--features", "--coefficients"},
      {ridge({"--coefficients", "./link.npy"}), "--features", "--coefficients"},
      {ridge({"--json", place.path("Y.npy")}), "--targets", "--json"},
      {ridge({"--weights", "w.csv?columns=1", "--json", "w.csv"}), "--weights", "--json"},
      {ridge({"--start", "W.npy", "--json", "W.npy"}), "--start", "--json"},
      {ridge({"--json", "./A", "--coefficients", "A"}), "--coefficients", "--json"},
      {ridge({"--json", "dangling", "--coefficients", "later"}), "--coefficients", "--json"},
      {predict({"--logits", "m.safetensors"}), "--model", "--logits"},
      {predict({"--logits", "A", "--json", "A"}), "--logits", "--json"},
      {predict({"--json", "Y.npy"}), "--data", "--json"},
      {predict({"--logits", "L.npy"}), "--data", "--logits"},
      {decide({"--coefficients", "s.csv"}), "--source-features", "--coefficients"},
      {decide({"--json", "u.npy"}), "--source-targets", "--json"},
      {decide({"--json", "Y.npy"}), "--target-targets", "--json"},
      {{"inspect", "X.npy", "--json", "X.npy"}, "FILE|SPEC", "--json"},
      {{"pretrain", "--data", csv, "--out", "t.csv"}, "--data", "--out"},
      {{"pretrain", "--data", csv, "--out", "A", "--json", "A"}, "--out", "--json"},
      {{"pretrain", "--data", csv, "--out", "A", "--json", "A.unfinished"}, "--out", "--json"},
      {{"transfer", "--target", glyphs, "--json", "A", "--html", "A"}, "--json", "--html"},
      {{"transfer", "--target", glyphs, "--source", "m.safetensors", "--html", "m.safetensors"}, "--source", "--html"},
      {{"transfer", "--target", glyphs, "--out", "D", "--json", "D/scratch_seed1.safetensors"}, "--out", "--json"},
      {{"reproduce", "l2sp", "--json", "A", "--html", "./A"}, "--json", "--html"},
      {{"reproduce", "l2sp", "--html", "A", "--markdown", "A"}, "--html", "--markdown"},
      {{"reproduce", "linear-transfer", "--json", "A/claims.csv", "--csv", "A"}, "--csv", "--json"},
  };
  std::filesystem::create_directory(place.path("D"));
  const Words before = place.files();
  for (const Case& one : cases) {
    SCOPED_TRACE(fmt::format("{}", fmt::join(one.words, " ")));
    const Outcome outcome = place.run(one.words);
    EXPECT_EQ(outcome.code, 2) << outcome.output << outcome.errors;
    EXPECT_NE(outcome.errors.find(one.first), std::string::npos) << outcome.errors;
    EXPECT_NE(outcome.errors.find(one.second), std::string::npos) << outcome.errors;
    EXPECT_EQ(place.files(), before);
  }
  EXPECT_EQ(place.read("m.safetensors"), "precious");
}

TEST(Outputs, CoefficientsMayTakeThePlaceOfTheStartAndStreamsMayBeShared) {
  const Workplace place;
  make_problem(place);
  const std::string before = place.read("W.npy");
  const Outcome outcome = place.run(ridge({"--start", "W.npy", "--coefficients", "W.npy", "--json", "/dev/null"}));
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_NE(place.read("W.npy"), before);
  EXPECT_EQ(place.run(ridge({"--coefficients", "/dev/null", "--json", "/dev/null"})).code, 0);
  EXPECT_EQ(place.run(ridge({"--coefficients", "-"})).code, 2) << "only --json can be standard output";
}

TEST(Outputs, PipesAreWrittenOnce) {
  const Workplace place;
  make_problem(place);
  ASSERT_EQ(::mkfifo(place.path("pipe").c_str(), 0600), 0);
  const pid_t process = place.start(ridge({"--json", "pipe"}));
  const std::string text = place.read("pipe");
  // A reader for whoever should open the pipe again, so that nobody waits for ever.
  const int drain = ::open(place.path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  const Outcome outcome = place.wait(process);
  ::close(drain);
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(nlohmann::json::parse(text, nullptr, false)["n"], 12);
}

TEST(Outputs, StandardOutputByItsNameKeepsWhatIsPrinted) {
  const Workplace place;
  make_problem(place);
  const Outcome outcome = place.run(ridge({"--json", "/dev/stdout"}));
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_NE(outcome.output.find("\"degrees_of_freedom\""), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("best penalty"), std::string::npos) << outcome.output;
}

TEST(Outputs, LinksAreFollowedToFilesThatAreNotThereYet) {
  const Workplace place;
  make_problem(place);
  std::filesystem::create_symlink("later.json", place.path("link"));
  ASSERT_EQ(place.run(ridge({"--json", "link"})).code, 0);
  EXPECT_TRUE(std::filesystem::is_symlink(place.path("link")));
  EXPECT_EQ(place.json("later.json")["n"], 12);
}

TEST(Outputs, ControlCharactersOfFilesDoNotReachTheTerminal) {
  const Workplace place;
  const Tensor tensor = Tensor::from(std::vector<float>{1, 2}, {2}, Device::cpu(1));
  io::write_safetensors(place.path("m.safetensors"), {{"na\x1b[2Jme", tensor}},
                        {{"note",
                          "\x1b]0;title\x07 line\nline \xc2\x9b"
                          "2J"},
                         {"k\x1by", "h\xc3\xa4"}});
  const Outcome outcome = place.run({"inspect", "m.safetensors"});
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(outcome.output.find_first_of("\x1b\x07"), std::string::npos);
  for (const char* part : {"na\\x1b[2Jme", "note: \\x1b]0;title\\x07 line\\x0aline \\x9b2J", "k\\x1by: h\xc3\xa4"}) {
    EXPECT_NE(outcome.output.find(part), std::string::npos) << outcome.output;
  }
}

}  // namespace
}  // namespace rtl::test
