// What cannot be done: exit code 1, a message with the file and the fault, and existing files as they were.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "cli/program.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::test {
namespace {

const std::string glyphs = "glyphs:?classes=3&size=16&train=60&test=30";

/// Runs, expects exit code 1, and every one of `parts` in the message.
void expect_failure(const Workplace& place, const std::vector<std::string>& arguments,
                    const std::vector<std::string>& parts) {
  const auto outcome = place.run(arguments);
  EXPECT_EQ(outcome.code, 1) << outcome.output << outcome.errors;
  for (const auto& part : parts) EXPECT_NE(outcome.errors.find(part), std::string::npos) << outcome.errors;
}

void write_matrix(const Workplace& place, const std::string& name, std::vector<float> values, std::int64_t columns) {
  const auto rows = static_cast<std::int64_t>(values.size()) / columns;
  io::write_npy(place.path(name), Tensor::from(values, {rows, columns}, Device::cpu(1)));
}

void write_labels(const Workplace& place, const std::string& name, const std::vector<std::int32_t>& labels) {
  io::write_npy(place.path(name), Tensor::from(labels, {static_cast<std::int64_t>(labels.size())}, Device::cpu(1)));
}

TEST(Failure, MissingFilesAreNamed) {
  const Workplace place;
  expect_failure(place, {"inspect", "nowhere.safetensors"}, {"nowhere.safetensors"});
  expect_failure(place, {"inspect", "cifar10:nowhere"}, {"nowhere"});
  expect_failure(place, {"predict", "--model", "nowhere.safetensors", "--data", glyphs}, {"nowhere.safetensors"});
  expect_failure(place, {"transfer", "--source", "nowhere.safetensors", "--target", glyphs}, {"nowhere.safetensors"});
}

TEST(Failure, FilesOfUnknownKindAreNamed) {
  const Workplace place;
  place.write("notes.txt", "hello");
  expect_failure(place, {"inspect", "notes.txt"}, {"notes.txt", ".safetensors"});
}

TEST(Failure, DamagedCheckpointsAreNamed) {
  const Workplace place;
  make_source(place);
  const std::string whole = place.read("source.safetensors");
  std::string huge = whole;
  huge[3] = '\x7f';
  std::string not_json = whole;
  not_json[8] = '?';
  const std::vector<std::pair<std::string, std::string>> damages = {
      {"short.safetensors", whole.substr(0, whole.size() - 4)},
      {"empty.safetensors", ""},
      {"header.safetensors", huge},
      {"json.safetensors", not_json}};
  for (const auto& [name, content] : damages) {
    place.write(name, content);
    expect_failure(place, {"inspect", name}, {name});
    expect_failure(place, {"predict", "--model", name, "--data", glyphs}, {name});
  }
}

TEST(Failure, AModelThatDoesNotFitTheDataIsRefused) {
  const Workplace place;
  make_source(place);
  expect_failure(place, {"predict", "--model", "source.safetensors", "--data", "glyphs:?size=32&train=30&test=30"},
                 {"32"});
  expect_failure(place, {"predict", "--model", "resnet_cifar:20:source.safetensors", "--data", glyphs},
                 {"source.safetensors"});
}

TEST(Failure, BadDataIsNamed) {
  const Workplace place;
  std::vector<float> values(40, 0.5f);
  write_matrix(place, "X.npy", values, 2);
  values[7] = NAN;
  write_matrix(place, "nan.npy", values, 2);
  std::vector<std::int32_t> labels(20);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i % 2);
  write_labels(place, "y.npy", labels);
  write_labels(place, "one.npy", std::vector<std::int32_t>(20, 0));
  place.write("magic.npy", "this is no npy file, whatever its name says");
  place.write("cut.npy", place.read("X.npy").substr(0, 150));
  const auto pretrain = [](const std::string& data) {
    return std::vector<std::string>{"pretrain", "--data", data, "--model", "mlp:4", "--epochs", "1", "--out", "m"};
  };
  expect_failure(place, pretrain("npy:nan.npy,y.npy"), {"nan.npy"});
  expect_failure(place, pretrain("npy:X.npy,one.npy"), {"class"});
  expect_failure(place, pretrain("npy:magic.npy,y.npy"), {"magic.npy"});
  expect_failure(place, pretrain("npy:cut.npy,y.npy"), {"cut.npy"});
  const auto usage = place.run(pretrain("npy:X.npy,y.npy?colour=blue"));
  EXPECT_EQ(usage.code, 2);
  EXPECT_NE(usage.errors.find("colour"), std::string::npos) << usage.errors;
  EXPECT_FALSE(place.has("m"));
}

TEST(Failure, TooFewSamplesAreNamed) {
  const Workplace place;
  make_source(place);
  expect_failure(place, small_transfer({"--train-limit", "1000"}), {"1000", "60"});
  expect_failure(place, small_transfer({"--train-offset", "60"}), {"--train-offset 60"});
  expect_failure(place, small_transfer({"--train-offset", "59"}), {"1"});
}

TEST(Failure, ATestPartThatCannotBeScoredIsFoundBeforeTheTraining) {
  const Workplace place;
  std::string train = "a,b\n", test = "a,b\n";
  for (int i = 0; i < 10; ++i) {
    train += std::to_string(i) + "," + std::to_string(0.3 * i) + "\n";
    test += std::to_string(i) + ",0.1\n";
  }
  place.write("train.csv", train);
  place.write("test.csv", test);
  const std::string spec = "csv:train.csv?label=b&target=real&test=test.csv";
  for (const Words& words :
       {Words{"pretrain", "--data", spec, "--model", "mlp:4", "--epochs", "1", "--out", "m.safetensors"},
        Words{"transfer", "--target", spec, "--model", "mlp:4", "--epochs", "1"}}) {
    const auto outcome = place.run(words);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.errors.find("one value alone in all 10 test samples"), std::string::npos) << outcome.errors;
    EXPECT_EQ(outcome.output, "");
  }
}

TEST(Failure, UnwritablePlacesAreFoundBeforeTheWorkBegins) {
  const Workplace place;
  make_source(place);
  for (const char* option : {"--json", "--html"}) {
    expect_failure(place, small_transfer({option, "nowhere/report"}), {"nowhere/report"});
  }
  expect_failure(place, {"pretrain", "--data", glyphs, "--out", "nowhere/s.safetensors"}, {"nowhere/s.safetensors"});
  expect_failure(place, {"predict", "--model", "source.safetensors", "--data", glyphs, "--logits", "nowhere/l.npy"},
                 {"nowhere/l.npy"});
  expect_failure(place, {"info", "--json", "nowhere/info.json"}, {"nowhere/info.json"});
}

TEST(Failure, NothingIsOverwritten) {
  const Workplace place;
  make_source(place);
  place.write("kept", "precious");
  place.write("bad.safetensors", place.read("source.safetensors").substr(0, 200));
  expect_failure(place, {"pretrain", "--data", "npy:no.npy,no.npy", "--out", "kept"}, {"no.npy"});
  expect_failure(place, {"predict", "--model", "bad.safetensors", "--data", glyphs, "--logits", "kept"}, {"bad"});
  expect_failure(place, {"transfer", "--source", "bad.safetensors", "--target", glyphs, "--json", "kept"}, {"bad"});
  expect_failure(place, {"transfer", "--source", "bad.safetensors", "--target", glyphs, "--html", "kept"}, {"bad"});
  EXPECT_EQ(place.read("kept"), "precious");
  EXPECT_EQ(place.files(), (std::vector<std::string>{"bad.safetensors", "kept", "source.safetensors"}));
}

TEST(Failure, ATrainingThatDivergesSaysSo) {
  const Workplace place;
  expect_failure(place,
                 {"pretrain", "--data", glyphs, "--model", "paper_cnn:2-2-2-8", "--epochs", "30", "--learning-rate",
                  "1e30", "--out", "s.safetensors"},
                 {"loss"});
  EXPECT_FALSE(place.has("s.safetensors"));
  // In the only step of the only epoch the loss is still finite; the logits behind it are not.
  make_source(place);
  expect_failure(place,
                 {"transfer", "--source", "source.safetensors", "--target", glyphs, "--model", "paper_cnn:2-2-2-8",
                  "--strategy", "probe", "--seeds", "1", "--epochs", "1", "--threads", "1", "--learning-rate", "1e25"},
                 {"--learning-rate"});
}

TEST(Failure, ADeviceThatIsNotThereIsNamed) {
  const Workplace place;
  expect_failure(place, {"pretrain", "--data", glyphs, "--device", "cuda:77", "--out", "s.safetensors"}, {"cuda"});
}
}  // namespace
}  // namespace rtl::test
