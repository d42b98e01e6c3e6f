// The form of a model's images: kept, read again, and given to other images.
#include "rtl/data/image_form.hpp"

#include <gtest/gtest.h>

#include <array>

#include "rtl/core/error.hpp"
#include "rtl/data/images.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/npy.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

const std::string plain = "glyphs:?train=20&test=20&size=16";

std::vector<std::uint8_t> pixels(const Dataset& dataset) { return dataset.inputs.to_vector<std::uint8_t>(); }

TrainTest load(const std::string& spec, const FittedInputs& fitted = {}) {
  return data::load(spec, Device::cpu(1), fitted);
}

FittedInputs form(ImageForm images) { return {.images = std::make_shared<const ImageForm>(std::move(images))}; }

TEST(ImageForm, IsWhatTheSpecMadeOfTheImages) {
  const Dataset as_read = load(plain).train;
  EXPECT_EQ(*as_read.fitted.images, (ImageForm{0, 0, {16, 16, 3}}));
  EXPECT_EQ(as_read.fitted.images->describe(), "16 by 16 pixels in colour");
  const TrainTest made = load(plain + "&resize=24&crop=20&color=grey");
  EXPECT_EQ(*made.train.fitted.images, (ImageForm{24, 20, {20, 20, 1}}));
  EXPECT_EQ(*made.test.fitted.images, *made.train.fitted.images);
  EXPECT_EQ(made.train.fitted.images->describe(), "20 by 20 pixels in grey (resize=24, crop=20)");
  EXPECT_EQ(made.train.subset(std::array<std::int64_t, 2>{3, 4}).fitted.images, made.train.fitted.images);
}

TEST(ImageForm, IsReadAgain) {
  const ImageForm written{24, 20, {20, 31, 3}};
  EXPECT_EQ(ImageForm::parse("FILE", written.to_text()), written);
  const FittedInputs inputs = form(written);
  const FittedInputs again = FittedInputs::parse("FILE", inputs.entries());
  EXPECT_EQ(*again.images, written);
  EXPECT_TRUE(!again.columns && !again.text);
  EXPECT_TRUE(FittedInputs::parse("FILE", {{"other", "entry"}}).empty());
  const std::string sizes = R"("height":4,"width":4,"channels":)";
  for (const std::string& wrong :
       {std::string(), std::string("{}"), std::string("[1]"), R"({"version":2,"resize":0,"crop":0,)" + sizes + "3}",
        R"({"version":1,"resize":-1,"crop":0,)" + sizes + "3}", R"({"version":1,"resize":0,"crop":1e9,)" + sizes + "3}",
        R"({"version":1,"resize":0,"crop":0,)" + sizes + "0}", R"({"version":1,"resize":"8","crop":0,)" + sizes + "3}",
        R"({"version":1,"resize":0,"crop":0,)" + sizes + "99999999999999999999}"}) {
    EXPECT_THROW((void)ImageForm::parse("FILE", wrong), FormatError) << wrong;
  }
}

TEST(ImageForm, OtherImagesGetIt) {
  const TrainTest wanted = load(plain + "&resize=24&crop=20&color=grey");
  const TrainTest given = load(plain, wanted.train.fitted);
  EXPECT_EQ(pixels(given.train), pixels(wanted.train));
  EXPECT_EQ(pixels(given.test), pixels(wanted.test));
  EXPECT_EQ(*given.train.fitted.images, *wanted.train.fitted.images) << "and keep it";
  ASSERT_EQ(given.notes.size(), 1U);
  EXPECT_NE(given.notes[0].find("20 by 20 pixels in grey (resize=24, crop=20)"), std::string::npos) << given.notes[0];
  EXPECT_TRUE(load(plain + "&resize=24&crop=20&color=grey", wanted.train.fitted).notes.empty()) << "nothing to tell";
}

TEST(ImageForm, WhatTheSpecSaysGoesBefore) {
  const FittedInputs fitted = form({24, 20, {20, 20, 1}});
  EXPECT_EQ(load(plain + "&resize=12", fitted).train.sample_shape(), (Shape{12, 12, 1}));
  EXPECT_EQ(load(plain + "&crop=9", fitted).train.sample_shape(), (Shape{9, 9, 1})) << "no resize then";
  EXPECT_EQ(load(plain + "&color=rgb", fitted).train.sample_shape(), (Shape{20, 20, 3}));
}

TEST(ImageForm, ChannelsAreThoseOfTheModel) {
  const TrainTest grey = load(plain + "&color=grey");
  const TrainTest coloured = load(plain + "&color=grey", form({0, 0, {16, 16, 3}}));
  EXPECT_EQ(coloured.train.sample_shape(), (Shape{16, 16, 1})) << "the SPEC says grey";
  const test::TemporaryFolder folder;
  io::write_npy(folder / "grey.npy", grey.train.inputs);
  const std::string file = "npy:" + (folder / "grey.npy");
  EXPECT_EQ(pixels(load(file, form({0, 0, {16, 16, 3}})).train),
            with_channels(grey.train.inputs, 3).to_vector<std::uint8_t>());
  EXPECT_TRUE(load(file, form({0, 0, {16, 16, 1}})).notes.empty());
  EXPECT_EQ(load(file, form({0, 0, {16, 16, 4}})).train.sample_shape(), (Shape{16, 16, 1})) << "no such conversion";
}

TEST(ImageForm, VectorsHaveNone) {
  const test::TemporaryFolder folder;
  io::write_npy(folder / "x.npy", Tensor::from(std::vector<float>(12), {4, 3}, Device::cpu(1)));
  const Dataset vectors = load("npy:" + (folder / "x.npy"), form({8, 0, {8, 8, 3}})).train;
  EXPECT_EQ(vectors.sample_shape(), Shape{3});
  EXPECT_EQ(vectors.fitted.images, nullptr);
}

}  // namespace
}  // namespace rtl::data
