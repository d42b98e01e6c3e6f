// A model keeps the form of its images, and every command that reads it gives other images that form.
#include <gtest/gtest.h>

#include "cli/program.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::test {
namespace {

const std::string glyphs = "glyphs:?classes=3&size=16&train=60&test=30";
const std::string made = "resize=10&crop=8&color=grey";

Outcome run(const Workplace& place, const Words& words) {
  const Outcome outcome = place.run(words);
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  return outcome;
}

std::vector<float> numbers(const Workplace& place, const std::string& file) {
  return io::read_npy(place.path(file), Device::cpu(1)).to_vector<float>();
}

/// What predict gives for images as they are, and for images that the SPEC brings into the model's form.
void expect_same_predictions(const Workplace& place, const std::string& model) {
  SCOPED_TRACE(model);
  const Words command = {"predict", "--threads", "1", "--model", model, "--data"};
  Words as_read = command, as_made = command;
  as_read.insert(as_read.end(), {glyphs, "--out", "read.npy"});
  as_made.insert(as_made.end(), {glyphs + "&" + made, "--out", "made.npy"});
  const Outcome told = run(place, as_read);
  EXPECT_NE(told.errors.find("8 by 8 pixels in grey (resize=10, crop=8)"), std::string::npos) << told.errors;
  const Outcome silent = run(place, as_made);
  EXPECT_EQ(silent.errors.find("note"), std::string::npos) << silent.errors;
  EXPECT_EQ(numbers(place, "read.npy"), numbers(place, "made.npy"));
}

TEST(ImageForm, IsKeptByPretrainAndTransfer) {
  const Workplace place;
  run(place, {"pretrain", "--data", glyphs + "&" + made, "--model", "paper_cnn:4-4-4-8", "--epochs", "1", "--threads",
              "1", "--out", "source.safetensors"});
  expect_same_predictions(place, "source.safetensors");
  run(place, {"transfer", "--source", "source.safetensors", "--target", glyphs + "&" + made, "--strategy",
              "scratch,probe,refine,safe", "--model", "paper_cnn:4-4-4-8", "--epochs", "1", "--seeds", "1", "--threads",
              "1", "--out", "fitted"});
  for (const char* strategy : {"scratch", "probe", "refine", "safe"}) {
    expect_same_predictions(place, std::string("fitted/") + strategy + "_seed1.safetensors");
  }
  const Outcome shown = run(place, {"inspect", "source.safetensors"});
  EXPECT_NE(shown.output.find("images: 8 by 8 pixels in grey (resize=10, crop=8)"), std::string::npos) << shown.output;
}

TEST(ImageForm, OfASourceIsThatOfItsFeatures) {
  const Workplace place;
  run(place, {"pretrain", "--data", glyphs + "&" + made, "--model", "paper_cnn:4-4-4-8", "--epochs", "1", "--threads",
              "1", "--out", "source.safetensors"});
  for (const auto& [file, data] :
       {std::pair(std::string("a.npy"), glyphs), std::pair(std::string("b.npy"), glyphs + "&" + made)}) {
    run(place, {"features", "--model", "source.safetensors", "--data", data, "--threads", "1", "--out", file});
  }
  EXPECT_EQ(numbers(place, "a.npy"), numbers(place, "b.npy"));
}

TEST(ImageForm, OfASourceIsGivenToTheTarget) {
  const Workplace place;
  run(place, {"pretrain", "--data", glyphs + "&resize=8", "--model", "paper_cnn:4-4-4-8", "--epochs", "1", "--threads",
              "1", "--out", "source.safetensors"});
  const auto transfer = [&](const std::string& target) {
    run(place, {"transfer", "--source", "source.safetensors", "--target", target, "--strategy", "scratch,refine",
                "--model", "paper_cnn:4-4-4-8", "--epochs", "1", "--seeds", "1", "--threads", "1", "--out", "fitted"});
    return Words{place.read("fitted/scratch_seed1.safetensors"), place.read("fitted/refine_seed1.safetensors")};
  };
  const Words as_made = transfer(glyphs + "&resize=8"), as_read = transfer(glyphs);
  EXPECT_TRUE(as_made[0] == as_read[0]) << "scratch, byte by byte";
  EXPECT_TRUE(as_made[1] == as_read[1]) << "refine, byte by byte";
  // What the source does not see of the colours is not taken from the network beside it.
  run(place, {"pretrain", "--data", glyphs + "&color=grey", "--model", "paper_cnn:4-4-4-8", "--epochs", "1",
              "--threads", "1", "--out", "grey.safetensors"});
  const Outcome refused = place.run({"transfer", "--source", "grey.safetensors", "--target", glyphs, "--strategy",
                                     "probe", "--model", "paper_cnn:4-4-4-8", "--epochs", "1", "--seeds", "1"});
  EXPECT_NE(refused.code, 0);
  EXPECT_NE(refused.errors.find("color=grey"), std::string::npos) << refused.errors;
}

}  // namespace
}  // namespace rtl::test
