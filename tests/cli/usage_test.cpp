// Wrong usage: exit code 2, a message that names what is wrong, and nothing written.
#include <gtest/gtest.h>

#include "cli/program.hpp"

namespace rtl::test {
namespace {

struct WrongUsage {
  std::vector<std::string> arguments;
  std::string message;  ///< a part of what must be said
};

class Usage : public testing::TestWithParam<WrongUsage> {};

TEST_P(Usage, IsRefused) {
  const Workplace place;
  const auto outcome = place.run(GetParam().arguments);
  EXPECT_EQ(outcome.code, 2) << outcome.output << outcome.errors;
  EXPECT_NE(outcome.errors.find(GetParam().message), std::string::npos) << outcome.errors;
  EXPECT_TRUE(place.files().empty());
}

const std::string glyphs = "glyphs:?train=60&test=30";

INSTANTIATE_TEST_SUITE_P(
    Cases, Usage,
    testing::Values(
        WrongUsage{{}, "subcommand"}, WrongUsage{{"fly"}, "fly"}, WrongUsage{{"info", "--colour"}, "--colour"},
        WrongUsage{{"inspect"}, "FILE|SPEC"}, WrongUsage{{"pretrain", "--data", glyphs}, "--out"},
        WrongUsage{{"pretrain", "--data", "glyph:", "--out", "s.safetensors"}, "glyph"},
        WrongUsage{{"pretrain", "--data", glyphs, "--out", "s.safetensors", "--epochs", "many"}, "--epochs"},
        WrongUsage{{"pretrain", "--data", glyphs, "--out", "s.safetensors", "--epochs", "-1"}, "epochs"},
        WrongUsage{{"pretrain", "--data", glyphs, "--out", "s.safetensors", "--label-flips", "1.5"}, "--label-flips"},
        WrongUsage{{"pretrain", "--data", glyphs, "--out", "s.safetensors", "--optimizer", "newton"}, "newton"},
        WrongUsage{{"pretrain", "--data", glyphs, "--out", "s.safetensors", "--normalize", "loud"}, "loud"},
        WrongUsage{{"pretrain", "--data", glyphs, "--out", "s.safetensors", "--device", "tpu"}, "tpu"},
        WrongUsage{{"pretrain", "--data", glyphs, "--out", "s.safetensors", "--model", "alexnet"}, "alexnet"},
        WrongUsage{{"pretrain", "--data", glyphs, "--out", "s.safetensors", "--threads", "100000"}, "1 to 4096"},
        WrongUsage{{"pretrain", "--data", glyphs, "--out", "s.safetensors", "--seed", "-1"}, "--seed"},
        WrongUsage{{"transfer", "--target", glyphs, "--first-seed", "-1"}, "--first-seed"},
        WrongUsage{{"transfer", "--target", glyphs, "--stress", "few=9", "--stress-seed", "-1"}, "--stress-seed"},
        WrongUsage{{"predict", "--data", glyphs}, "--model"},
        WrongUsage{{"predict", "--model", "s.safetensors?normalize=loud", "--data", glyphs}, "loud"},
        WrongUsage{{"predict", "--model", "s.safetensors?loud=1", "--data", glyphs}, "normalize="},
        WrongUsage{{"predict", "--model", "s.safetensors?normalize=half&layer=", "--data", glyphs}, "layer=NAME"},
        WrongUsage{{"predict", "--model", "s.safetensors?layer=conv1&layer=fc1", "--data", glyphs}, "each once"},
        WrongUsage{{"predict", "--model", "s.safetensors?layer=conv1", "--data", glyphs}, "predict gives logits"},
        WrongUsage{{"transfer", "--target", glyphs, "--source", "s?layer=conv1", "--strategy", "probe,fine-tune"},
                   "take it without layer="},
        WrongUsage{{"transfer", "--source", "s.safetensors"}, "--target"},
        WrongUsage{{"transfer", "--target", "cifar10"}, "cifar10"},
        WrongUsage{{"transfer", "--target", glyphs, "--strategy", "hope"}, "hope"},
        WrongUsage{{"transfer", "--target", glyphs, "--strategy", "probe"}, "--source"},
        WrongUsage{{"transfer", "--target", glyphs, "--source", "a,b", "--strategy", "probe"}, "one --source"},
        WrongUsage{{"transfer", "--target", glyphs, "--source", "a", "--strategy", "refine:loud"}, "loud"},
        WrongUsage{{"transfer", "--target", glyphs, "--source", "a", "--strategy", "fine-tune:balance"}, "fine-tune"},
        WrongUsage{{"transfer", "--target", glyphs, "--feature-scaling", "loud"}, "loud"},
        WrongUsage{{"transfer", "--target", glyphs, "--feature-scale", "0"},
                   "--feature-scale: feature_scale must be a number above 0, not '0'"},
        WrongUsage{{"transfer", "--target", glyphs, "--replicas", "0"}, "'0' is neither auto nor a number"},
        WrongUsage{{"transfer", "--target", glyphs, "--replicas", "2x"}, "'2x' is neither auto"},
        WrongUsage{{"transfer", "--target", glyphs, "--seeds", "0"}, "'0' is no number from 1 to"},
        WrongUsage{{"transfer", "--target", glyphs, "--seeds", "1000000000000"}, "no number from 1 to 10000"},
        WrongUsage{{"transfer", "--target", glyphs, "--model", "alexnet"}, "alexnet"},
        WrongUsage{{"transfer", "--target", glyphs, "--html", "-"}, "--html"}, WrongUsage{{"reproduce"}, "subcommand"},
        WrongUsage{{"reproduce", "fermat"}, "optimal-features"},
        WrongUsage{{"reproduce", "l2sp", "--quick", "--full"}, "--full"},
        WrongUsage{{"reproduce", "l2sp", "--html", "-"}, "--html"},
        WrongUsage{{"reproduce", "l2sp", "--seed", "-1"}, "'-1' is no number from 0 up"},
        WrongUsage{{"transfer", "--target", glyphs, "--feature-scale", "nan"}, "must be a number above 0, not 'nan'"},
        WrongUsage{{"transfer", "--target", glyphs, "--threads", "-1"}, "'-1' is no number from 0 up"},
        WrongUsage{{"transfer", "--target", glyphs, "--threads", "1e999"}, "'1e999' is no number from 0 up"},
        WrongUsage{{"transfer", "--target", glyphs, "--source", "m.safetensors,"}, "--source: 'm.safetensors,' has an"},
        WrongUsage{{"transfer", "--target", glyphs, "--source", "m", "--strategy", "probe,,refine"}, "empty entry"},
        WrongUsage{{"transfer", "--target", "glyphs:?"}, "'' is not option=value"},
        WrongUsage{{"transfer", "--target", "csv:t.csv?label=1&"}, "'' is not option=value"},
        WrongUsage{{"ridge", "--features", "t.csv?", "--targets", "y.npy", "--penalties", "1"}, "--features"},
        WrongUsage{{"ridge", "--features", "t.csv?drop=a,", "--targets", "y.npy", "--penalties", "1"}, "empty name"},
        WrongUsage{{"inspect", "csv:t.csv?label=a&header=maybe"}, "choose one of detect, yes, no"},
        WrongUsage{{"inspect", "npy:x,1.npy,y.npy"}, "a comma in a name is written %2C"},
        WrongUsage{{"inspect", "csv:t.csv"}, "which column holds the classes or targets"},
        WrongUsage{{"inspect", "csv:t.csv?label=a&colour=red"},
                   "has no option 'colour'; it has label, labels, target, classes"},
        WrongUsage{{"transfer", "--target", "glyphs:?limit=0"}, "--target: SPEC 'glyphs:?limit=0': limit=0: give"},
        WrongUsage{{"pretrain", "--data", "svmlight:t?dense_mib=many", "--out", "s.safetensors"},
                   "a whole number from 1"},
        WrongUsage{{"predict", "--model", "s.safetensors", "--data", "cifar100:d?labels=medium"},
                   "one of fine, coarse"},
        WrongUsage{{"inspect", "bogus:x"}, "unknown kind 'bogus'"}, WrongUsage{{"inspect", "csv:"}, "there is no path"},
        WrongUsage{{"reproduce", "l2sp", "--only", "none"}, "published, averaged"},
        WrongUsage{{"reproduce", "optimal-features", "--only", "none", "--json", "r.json", "--csv", "r"},
                   "divergence"}));

TEST(Help, ListsEveryCommand) {
  const Workplace place;
  const auto outcome = place.run({"--help"});
  EXPECT_EQ(outcome.code, 0);
  for (const char* command :
       {"info", "inspect", "pretrain", "predict", "strategies", "transfer", "ridge", "reproduce"}) {
    EXPECT_NE(outcome.output.find(command), std::string::npos) << command;
    EXPECT_EQ(place.run({command, "--help"}).code, 0) << command;
  }
}

TEST(Help, ListsEveryOptionOfTheProtocol) {
  const Workplace place;
  const auto help = place.run({"transfer", "--help"}).output;
  for (const char* option :
       {"--model", "--epochs", "--batch-size", "--learning-rate", "--train-limit", "--train-offset", "--label-flips",
        "--flip-each-epoch", "--feature-scaling", "--feature-scale", "--device", "--threads", "--resume", "--seeds",
        "--strategy", "--source", "--target", "--json", "--html"}) {
    EXPECT_NE(help.find(option), std::string::npos) << option;
  }
}

TEST(Help, ListsTheOptionsOfSpecs) {
  const Workplace place;
  for (const char* command : {"inspect", "pretrain", "predict", "transfer"}) {
    const auto help = place.run({command, "--help"}).output;
    for (const char* option :
         {"csv:FILE", "missing=error|drop", "dense_mib=N", "test_fraction=F", "labels=fine|coarse"}) {
      EXPECT_NE(help.find(option), std::string::npos) << command << " " << option;
    }
  }
}

TEST(Help, VersionIsPrinted) {
  const Workplace place;
  const auto outcome = place.run({"--version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.output.find('.'), std::string::npos);
}

}  // namespace
}  // namespace rtl::test
