// Adapts a source to a target data set and compares with training from scratch. Needs no file: both are synthetic.
#include <cstdio>
#include <rtl/rtl.hpp>

int main() {
  const auto device = rtl::Device::preferred();
  const auto pretraining = rtl::data::load("glyphs:?domain=source&train=1000&test=200", device);
  const auto target = rtl::data::load("glyphs:?train=500&test=500", device);
  rtl::transfer::TrainingOptions training;
  training.epochs = 15;
  training.learning_rate = 0.03;

  auto network = rtl::models::paper_cnn(
      {.size = "16-16-32-64", .classes = pretraining.train.classes, .input = pretraining.train.sample_shape()}, device);
  rtl::transfer::train(*network, pretraining.train, rtl::data::Normalization::half, training);
  const rtl::transfer::FrozenSource source(std::move(network));

  rtl::transfer::StrategyOptions options;
  options.model = "paper_cnn:16-16-32-64";
  const auto refined = rtl::transfer::refine({source}, target.train, training, options);
  const auto scratch = rtl::transfer::scratch(target.train, training, options);
  std::printf("accuracy: refine %.1f %%, scratch %.1f %%\n",
              100 * rtl::transfer::evaluate(refined, target.test).accuracy,
              100 * rtl::transfer::evaluate(scratch, target.test).accuracy);
}
