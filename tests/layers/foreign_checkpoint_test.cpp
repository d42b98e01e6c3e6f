// Checkpoints of other programs: names with prefixes, heads of other names or none, averaged copies, what nobody needs,
// and values that no trained network has.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "rtl/core/error.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/layers/frozen_network.hpp"
#include "rtl/layers/models.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"
#include "support/recorded.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::layers {
namespace {

using Tensors = std::vector<std::pair<std::string, Tensor>>;

const Architecture kinds[] = {
    {"paper_cnn", "4-5-6-7", {16, 16, 3}, 3}, {"mlp", "6-5", {4}, 3}, {"resnet_cifar", "8", {32, 32, 3}, 5}};

Tensors tensors_of(Network& network) {
  Tensors tensors;
  for (const NamedParameter& parameter : network.state().parameters) {
    tensors.emplace_back(parameter.name, parameter.value().clone());
  }
  for (const NamedBuffer& buffer : network.state().buffers) tensors.emplace_back(buffer.name, buffer.value().clone());
  return tensors;
}

Tensors renamed(Tensors tensors, const std::function<std::string(const std::string&)>& rename) {
  for (auto& [name, tensor] : tensors) name = rename(name);
  return tensors;
}

Tensors prefixed(const Tensors& tensors, const std::string& prefix) {
  Tensors copies;
  for (const auto& [name, tensor] : tensors) copies.emplace_back(prefix + name, tensor.clone());
  return copies;
}

void append(Tensors& to, Tensors more) {
  for (auto& one : more) to.push_back(std::move(one));
}

bool is_head(const std::string& name) { return name.starts_with("head.") || name.starts_with("linear."); }

class ForeignCheckpoint : public testing::TestWithParam<Architecture> {
 protected:
  std::string write(const Tensors& tensors) {
    std::vector<io::NamedView> views;
    for (const auto& [name, tensor] : tensors) views.emplace_back(name, tensor);
    const std::string path = folder_ / "model.safetensors";
    io::write_safetensors(path, views);
    return path;
  }
  /// The file gives this network's values; returns its notes.
  std::string expect_read(const Tensors& tensors) {
    const LoadedNetwork loaded = load_network(write(tensors), device_);
    EXPECT_EQ(loaded.network->architecture(), GetParam());
    const Tensors here = tensors_of(*loaded.network), there = tensors_of(*network_);
    for (std::size_t i = 0; i < here.size(); ++i) {
      EXPECT_EQ(here[i].second.to_vector<float>(), there[i].second.to_vector<float>()) << here[i].first;
    }
    std::string notes;
    for (const std::string& note : loaded.notes) notes += note + "\n";
    return notes;
  }
  std::string fault(const Tensors& tensors) {
    try {
      load_network(write(tensors), device_);
    } catch (const FormatError& error) {
      EXPECT_EQ(error.file(), folder_ / "model.safetensors");
      return error.what();
    }
    return "no FormatError";
  }
  Tensor number(double value) const { return Tensor::from(std::vector<double>{value}, {}, device_); }

  const test::TemporaryFolder folder_;
  const Device device_ = Device::cpu(1);
  const std::unique_ptr<Network> network_ = make_network(GetParam(), device_, 3);
  const Tensors plain_ = tensors_of(*network_);
};

#define EXPECT_HAS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << (text)

TEST_P(ForeignCheckpoint, PrefixesAreTakenOff) {
  for (const char* prefix : {"module.", "_orig_mod.", "model.", "backbone.", "module._orig_mod.", "_orig_mod.module.",
                             "model.backbone.", "module.model.", "model.model.", "net.", "state_dict.model."}) {
    SCOPED_TRACE(prefix);
    EXPECT_EQ(expect_read(prefixed(plain_, prefix)), "");
  }
  EXPECT_HAS(expect_read(prefixed(plain_, "student.")), "without 'student.'");
  EXPECT_EQ(expect_read(renamed(prefixed(plain_, ""),
                                [](const std::string& name) { return (is_head(name) ? "" : "backbone.") + name; })),
            "");
  EXPECT_HAS(expect_read(renamed(prefixed(plain_, ""),
                                 [](const std::string& name) { return (is_head(name) ? "" : "trunk.") + name; })),
             "without 'trunk.'");
  EXPECT_EQ(expect_read(renamed(prefixed(plain_, ""),
                                [](const std::string& name) {
                                  const std::size_t dot = name.find('.');
                                  return name.substr(0, dot) + "._orig_mod" + name.substr(dot);
                                })),
            "");
}

TEST_P(ForeignCheckpoint, TwoTensorsOfOneNameAreTold) {
  for (const char* prefix : {"module.", "_orig_mod.", "model."}) {
    Tensors both = prefixed(plain_, "");
    append(both, prefixed(plain_, prefix));
    const std::string text = fault(both);
    EXPECT_HAS(text, "it has both '");
    EXPECT_HAS(text, std::string("' and '") + prefix);
    EXPECT_HAS(text, "keep one set of weights");
  }
}

TEST_P(ForeignCheckpoint, AveragedCopiesAndNumbersAreLeftOut) {
  Tensors other = tensors_of(*make_network(GetParam(), device_, 4));
  for (const char* prefix : {"ema.", "model_ema.module.", "module.ema.", "swa_model."}) {
    Tensors both = prefixed(plain_, "");
    append(both, prefixed(other, prefix));
    EXPECT_HAS(expect_read(both), "left out: averaged copies (");
    EXPECT_EQ(expect_read(prefixed(plain_, prefix)).find("read from averaged tensors ("), 0U)
        << "nothing else is there";
  }
  Tensors both = prefixed(plain_, "module.");
  append(both, renamed(prefixed(other, ""), [](const std::string& name) { return name + "_averaged"; }));
  EXPECT_HAS(expect_read(both), "left out: averaged copies (");

  Tensors numbers = prefixed(plain_, "");
  numbers.emplace_back("epoch", number(30));
  numbers.emplace_back("n_averaged", Tensor::from(std::vector<std::int64_t>{7}, {1}, device_));
  numbers.emplace_back("bn1.num_batches_tracked", Tensor::from(std::vector<std::int64_t>{7}, {}, device_));
  numbers.emplace_back("position_ids", Tensor::from(std::vector<std::int64_t>{0, 1, 2}, {1, 3}, device_));
  numbers.emplace_back("optimizer.state.0.exp_avg", Tensor::zeros({2, 2}, DType::f32, device_));
  const std::string notes = expect_read(numbers);
  EXPECT_HAS(notes, "left out: the optimizer's state (optimizer.state.0.exp_avg)");
  EXPECT_HAS(notes, "epoch");
  EXPECT_EQ(notes.find("num_batches_tracked"), std::string::npos);
}

TEST_P(ForeignCheckpoint, HeadsHaveManyNames) {
  for (const char* head : {"fc", "classifier", "head", "linear", "output", "classifier.1", "module.fc"}) {
    SCOPED_TRACE(head);
    const auto rename = [&](const std::string& name) {
      return is_head(name) ? head + name.substr(name.find('.')) : name;
    };
    EXPECT_EQ(expect_read(renamed(prefixed(plain_, ""), rename)), "");
  }
}

TEST_P(ForeignCheckpoint, WithoutAHeadThereAreFeatures) {
  Tensors trunk = prefixed(plain_, "");
  std::erase_if(trunk, [](const auto& tensor) { return is_head(tensor.first); });
  const LoadedNetwork loaded = load_network(write(trunk), device_);
  Architecture headless = GetParam();
  headless.classes = 0;
  EXPECT_EQ(loaded.network->architecture(), headless);
  EXPECT_EQ(loaded.notes, std::vector<std::string>{"it has no head"});
  std::vector<std::int64_t> extents{2};
  for (const std::int64_t extent : headless.input.extents()) extents.push_back(extent);
  test::RandomTensors random(test::fresh_seed());
  const Tensor x = random.f32(Shape(extents), device_);
  const std::int64_t width = network_->feature_count();
  Tensor here({2, width}, DType::f32, device_), there({2, width}, DType::f32, device_),
      logits({2, 1}, DType::f32, device_);
  FrozenNetwork frozen(*loaded.network);
  frozen.features(x, here);
  FrozenNetwork(*network_).features(x, there);
  EXPECT_EQ(here.to_vector<float>(), there.to_vector<float>());
  EXPECT_THROW(frozen.logits(x, logits), ValueError);
  EXPECT_THROW(test::forward(*loaded.network, x), ValueError);
  save_network(folder_ / "again", *loaded.network, {});
  EXPECT_EQ(load_network(folder_ / "again", device_).network->architecture(), headless);
  EXPECT_EQ(clone(*loaded.network, device_)->architecture(), headless);
  loaded.network->reset_head(3, 1);
  EXPECT_EQ(test::forward(*loaded.network, x).shape(), (Shape{2, 3}));
}

TEST_P(ForeignCheckpoint, ImpossibleValuesAreTold) {
  for (const float value : {std::nanf(""), INFINITY, -INFINITY}) {
    Tensors bad = prefixed(plain_, "model.");
    bad[1].second.data_as<float>()[1] = value;
    const std::string text = fault(bad);
    EXPECT_HAS(text, "tensor '" + bad[1].first + "' has " + (std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"));
    EXPECT_HAS(text, "position 1");
    const std::unique_ptr<Network> target = make_network(GetParam(), device_, 9);
    const Tensors before = tensors_of(*target);
    EXPECT_THROW(io::load_safetensors(folder_ / "model.safetensors", target), FormatError);
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(tensors_of(*target)[i].second.to_vector<float>(), before[i].second.to_vector<float>());
    }
  }
  Tensors bad = prefixed(plain_, "");
  for (auto& [name, tensor] : bad) {
    if (name != "bn1.running_var") continue;
    tensor.data_as<float>()[3] = -0.5F;
    EXPECT_HAS(fault(bad), "tensor 'bn1.running_var' has -0.5 at position 3, a variance below zero");
  }
}

TEST_P(ForeignCheckpoint, NeededTensorsOfIntegersAreTold) {
  Tensors whole = prefixed(plain_, "");
  whole[1].second = Tensor::zeros(plain_[1].second.shape(), DType::i32, device_);
  const std::string text = fault(whole);
  EXPECT_HAS(text, whole[1].first + " is i32 " + plain_[1].second.shape().to_string());
  EXPECT_HAS(text, "of floating point");
}

TEST_P(ForeignCheckpoint, WhatDoesNotFitIsListed) {
  Tensors cut = prefixed(plain_, "");
  cut.erase(cut.begin());
  cut.emplace_back("extra.weight", Tensor::zeros({2, 3}, DType::f32, device_));
  EXPECT_HAS(fault(cut), plain_[0].first);
  EXPECT_THROW(io::load_safetensors(write(cut), network_), FormatError);
  try {
    io::load_safetensors(folder_ / "model.safetensors", network_);
  } catch (const FormatError& error) {
    EXPECT_HAS(error.what(), "missing " + plain_[0].first + " [");
    EXPECT_HAS(error.what(), "unexpected extra.weight [2, 3]");
    EXPECT_HAS(error.what(), "tensors fit");
  }
}

/// A file of save_network whose names other programs have put something in front of, with its metadata or without.
TEST(StandardisedCheckpoint, PrefixesBelongToItsInputNumbersToo) {
  const test::TemporaryFolder folder;
  const Device device = Device::cpu(1);
  const std::unique_ptr<Network> network = make_network({"mlp", "6-5", {4}, 3}, device, 3);
  const data::InputNormalization numbers({1, -2, 3, 0.5}, {2, 0.25, 1, 8});
  const std::string own = folder / "own.safetensors", other = folder / "other.safetensors";
  save_network(own, *network, numbers);
  const io::SafetensorsFile file(own);
  const auto rewrite = [&](const std::function<std::string(const std::string&)>& rename, bool metadata) {
    Tensors tensors;
    for (const auto& entry : file.tensors()) tensors.emplace_back(rename(entry.name), file.load(entry.name, device));
    std::vector<io::NamedView> views;
    for (const auto& [name, tensor] : tensors) views.emplace_back(name, tensor);
    io::write_safetensors(other, views, metadata ? io::Metadata{{"normalization", "standardize"}} : io::Metadata());
    return load_network(other, device);
  };
  for (const std::string prefix :
       {"", "model.", "_orig_mod.", "module.", "model._orig_mod.", "backbone.", "student.", "ema.", "student.trunk."}) {
    for (const bool metadata : {true, false}) {
      SCOPED_TRACE(prefix + (metadata ? " with metadata" : ""));
      const LoadedNetwork loaded = rewrite([&](const std::string& name) { return prefix + name; }, metadata);
      ASSERT_TRUE(loaded.normalization);
      EXPECT_EQ(loaded.normalization->mean, numbers.mean);
      EXPECT_EQ(loaded.normalization->deviation, numbers.deviation);
      const Tensors here = tensors_of(*loaded.network), there = tensors_of(*network);
      for (std::size_t i = 0; i < here.size(); ++i) {
        EXPECT_EQ(here[i].second.to_vector<float>(), there[i].second.to_vector<float>()) << here[i].first;
      }
      std::string notes;
      for (const std::string& note : loaded.notes) notes += note + "\n";
      EXPECT_EQ(notes.find("inputs are standardised by") == std::string::npos, metadata) << notes;
      EXPECT_EQ(notes.find("left out"), std::string::npos) << notes;
    }
  }
  // The numbers alone kept their names: they are no reason not to take a common word off.
  const LoadedNetwork mixed =
      rewrite([](const std::string& name) { return (name.starts_with("input.") ? "" : "student.") + name; }, true);
  EXPECT_EQ(mixed.normalization->mean, numbers.mean);
  EXPECT_THROW(rewrite([](const std::string& name) { return name == "input.mean" ? "input.average" : name; }, true),
               FormatError);
}

INSTANTIATE_TEST_SUITE_P(Zoo, ForeignCheckpoint, testing::ValuesIn(kinds),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace rtl::layers
