// Commands on data in files give what they give of data in memory.
#include <gtest/gtest.h>

#include "cli/program.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::test {
namespace {

const Words from_file = {"RTL_OUT_OF_CORE=0"};
const Words in_memory = {"RTL_OUT_OF_CORE=1T"};

/// Glyphs as X.npy and Y.npy.
void write_arrays(const Workplace& place) {
  const data::TrainTest parts = data::load("glyphs:?classes=3&size=16&train=60&test=1", Device::cpu(1));
  io::write_npy(place.path("X.npy"), parts.train.inputs);
  io::write_npy(place.path("Y.npy"), parts.train.labels);
}

/// Runs a command both ways and compares what it wrote.
void expect_same(const Workplace& place, const Words& words, const Words& files) {
  SCOPED_TRACE(words.front());
  const Outcome memory = place.run(words, in_memory);
  ASSERT_EQ(memory.code, 0) << memory.errors;
  Words contents;
  for (const std::string& file : files) contents.push_back(place.read(file));
  const Outcome file = place.run(words, from_file);
  ASSERT_EQ(file.code, 0) << file.errors;
  for (std::size_t i = 0; i < files.size(); ++i) EXPECT_EQ(place.read(files[i]), contents[i]) << files[i];
}

TEST(OutOfCore, CommandsGiveTheSame) {
  const Workplace place;
  make_source(place);
  write_arrays(place);
  const std::string data = "npy:X.npy,Y.npy?classes=3";
  expect_same(place, {"inspect", data, "--json", "inspect.json"}, {"inspect.json"});
  expect_same(place, {"features", "--model", "source.safetensors", "--data", data, "--threads", "1", "--out", "F.npy"},
              {"F.npy"});
  expect_same(place, {"predict", "--model", "source.safetensors", "--data", data, "--threads", "1", "--out", "P.npy"},
              {"P.npy"});
  expect_same(place,
              {"transfer", "--source", "source.safetensors", "--target", data, "--strategy", "probe,fine-tune,refine",
               "--seeds", "2", "--epochs", "2", "--batch-size", "16", "--model", "paper_cnn:2-2-2-8", "--threads", "1",
               "--out", "fitted"},
              {"fitted/scratch_seed1.safetensors", "fitted/probe_seed2.safetensors",
               "fitted/fine-tune_seed1.safetensors", "fitted/refine_seed2.safetensors"});
}

TEST(OutOfCore, ALimitThatIsNoneIsTold) {
  const Workplace place;
  write_arrays(place);
  const Outcome outcome = place.run({"inspect", "npy:X.npy"}, {"RTL_OUT_OF_CORE=plenty"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.errors.find("RTL_OUT_OF_CORE=plenty"), std::string::npos) << outcome.errors;
}

TEST(OutOfCore, ADiskThatIsFullIsTold) {
  const Workplace place;
  write_arrays(place);
  const Outcome outcome = place.run({"inspect", "npy:X.npy,Y.npy"}, {"RTL_OUT_OF_CORE=0", "TMPDIR=/nowhere"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.errors.find("/nowhere: no scratch file can be made in it"), std::string::npos) << outcome.errors;
}

}  // namespace
}  // namespace rtl::test
