// The list of architectures: that of the library, and those that programs add.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "layers/model.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/layers/conv2d.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/optim/optimizer.hpp"
#include "support/devices.hpp"
#include "support/documents.hpp"
#include "support/paths.hpp"
#include "support/random_tensor.hpp"
#include "support/recorded.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::layers {
namespace {

TEST(ModelsList, HasEveryFile) {
  std::set<std::string> files, listed;
  for (const auto& entry : std::filesystem::directory_iterator(test::source_folder() + "/src/layers/models")) {
    files.insert(entry.path().stem().string());
  }
  for (const Model* model : architectures::built_in()) listed.insert(model->name);
  EXPECT_EQ(listed, files);
  EXPECT_GE(listed.size(), 4U);
}

TEST(ModelsList, IsWhatTheDocumentsSay) {
  const std::string header = "include/rtl/layers/models.hpp";
  std::vector<std::string> descriptions;
  for (const Model* model : architectures::built_in()) {
    EXPECT_GE(model->help.size(), 10U) << model->name;
    EXPECT_EQ(find_architecture(model->name), model);
    const std::string begin = "// * `" + model->description() + "`:";
    test::expect_entry(header, "// * `", begin, fmt::format("{}\n//   {}.\n", begin, model->help));
    EXPECT_NE(test::document(header).find(model->help), std::string::npos) << model->help;
    descriptions.push_back("`" + model->description() + "`");
  }
  const std::string before = "Its networks are ";
  test::expect_between("README.md", before, test::wrapped_list(descriptions, before.size()), ";\na program");
}

/// A network as a program adds it. The first word of its tensors' names is one that readers of checkpoints take off.
void register_tiny() {
  static std::once_flag once;
  std::call_once(once, [] {
    register_architecture(
        {.name = "tiny_cnn",
         .variants = "[:CHANNELS]",
         .help = "one convolution, global average pooling",
         .head = "top",
         .images = data::Normalization::cifar,
         .build =
             [](Architecture& architecture, const Construction& construction) {
               if (architecture.variant.empty()) architecture.variant = "4";
               const std::int64_t channels = std::stoll(architecture.variant);
               auto encoder = std::make_unique<Sequential>();
               encoder->add("conv", std::make_unique<Conv2d>(
                                        Conv2dLayerOptions{.inputs = architecture.input[2], .outputs = channels},
                                        construction.child("encoder.conv")));
               encoder->add(std::make_unique<Relu>());
               auto trunk = std::make_unique<Sequential>();
               trunk->add("encoder", std::move(encoder)).add(std::make_unique<GlobalAveragePool>());
               return Trunk{.modules = std::move(trunk), .features = channels};
             },
         .recognise = [](const CheckpointTensors& tensors) -> Recognised {
           const auto conv = tensors.shapes.find("conv.weight");
           if (conv == tensors.shapes.end() || conv->second.rank() != 4) return {.fault = "conv.weight is missing"};
           const Shape& shape = conv->second;
           return {{"", std::to_string(shape[0]), tensors.input.value_or(Shape{8, 8, shape[1]}), tensors.classes}};
         }});
  });
}

const Architecture tiny{"tiny_cnn", "3", {8, 8, 3}, 5};

TEST(ModelsList, ARegisteredArchitectureIsAsGoodAsTheOthers) {
  register_tiny();
  const test::TemporaryFolder folder;
  for (const Device& device : test::devices()) {
    const auto network = make_network(tiny, device, 3);
    EXPECT_EQ(make_network({"tiny_cnn", "", {8, 8, 3}, 5}, device, 3)->architecture().variant, "4");
    EXPECT_EQ(network->layer_names(), (std::vector<std::string>{"encoder.conv", "encoder"}));
    const std::string path = folder / "tiny.safetensors";
    save_network(path, *network, data::Normalization::cifar);
    const Tensor x = test::RandomTensors(5).f32({2, 8, 8, 3}, device);
    const auto same = [&](const LoadedNetwork& loaded) {
      EXPECT_EQ(loaded.network->architecture(), tiny);
      EXPECT_EQ(test::forward(*loaded.network, x).to_vector<float>(), test::forward(*network, x).to_vector<float>());
    };
    same(load_network(path, device));
    // As a checkpoint from elsewhere, without metadata.
    std::vector<io::NamedView> tensors;
    for (const NamedParameter& parameter : network->state().parameters) {
      const bool head = parameter.name.starts_with("top.");
      tensors.emplace_back(head ? "module.fc." + parameter.name.substr(4) : "module." + parameter.name,
                           parameter.value());
    }
    io::write_safetensors(path, tensors, {});
    same(load_network(path, device));
    EXPECT_EQ(recognise(io::SafetensorsFile(path).tensors()), tiny);
    EXPECT_EQ(clone(*network, device)->architecture(), tiny);
  }
}

TEST(ModelsList, ARegisteredArchitectureTrains) {
  register_tiny();
  for (const Device& device : test::devices()) {
    const auto network = make_network(tiny, device, 3);
    const Tensor x = test::RandomTensors(5).f32({4, 8, 8, 3}, device);
    const Tensor labels = Tensor::from(std::vector<std::int32_t>{0, 1, 2, 4}, {4}, device);
    const optim::Sgd optimizer(test::storages_of(*network), {.learning_rate = 0.1}, {});
    test::RecordedStep step(*network, x, labels, &optimizer, true);
    const float first = step.run().to_vector<float>()[0];
    EXPECT_LT(step.run().to_vector<float>()[0], first);
  }
}

TEST(ModelsList, SaysHowToRegisterWhatAFileNames) {
  register_tiny();
  const test::TemporaryFolder folder;
  const Device device = Device::cpu(1);
  const auto network = make_network(tiny, device, 3);
  std::vector<io::NamedView> tensors;
  for (const NamedParameter& parameter : network->state().parameters) {
    tensors.emplace_back(parameter.name, parameter.value());
  }
  const std::string path = folder / "own.safetensors";
  io::write_safetensors(path, tensors, {{"architecture", "unheard_of"}, {"input", "8,8,3"}});
  try {
    load_network(path, device);
    FAIL();
  } catch (const FormatError& error) {
    const std::string text = error.what();
    for (const char* part : {"'unheard_of'", "tiny_cnn[:CHANNELS]", "resnet_cifar", "register_architecture"}) {
      EXPECT_NE(text.find(part), std::string::npos) << text;
    }
  }
}

TEST(ModelsList, RefusesWhatIsNoArchitecture) {
  register_tiny();
  const auto build = [](Architecture&, const Construction&) { return Trunk{}; };
  const auto recognise = [](const CheckpointTensors&) { return Recognised{.fault = "none"}; };
  EXPECT_THROW(register_architecture({.name = "mlp", .help = "", .build = build, .recognise = recognise}), ValueError);
  EXPECT_THROW(register_architecture({.name = "tiny_cnn", .help = "", .build = build, .recognise = recognise}),
               ValueError);
  EXPECT_THROW(register_architecture({.name = "a:b", .help = "", .build = build, .recognise = recognise}), ValueError);
  EXPECT_THROW(register_architecture({.name = "", .help = "", .build = build, .recognise = recognise}), ValueError);
  EXPECT_THROW(register_architecture({.name = "no_build", .help = "", .build = {}, .recognise = recognise}),
               ValueError);
  EXPECT_THROW(register_architecture({.name = "no_names", .help = "", .build = build, .recognise = {}}), ValueError);
  EXPECT_EQ(find_architecture("no_build"), nullptr);
}

TEST(ModelsList, MayBeAddedToByThreads) {
  const auto build = [](Architecture&, const Construction&) { return Trunk{}; };
  const auto recognise = [](const CheckpointTensors&) { return Recognised{.fault = "none"}; };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 20; ++k) {
        const std::string name = fmt::format("of_thread_{}_{}", i, k);
        register_architecture({.name = name, .help = "nothing", .build = build, .recognise = recognise});
        const Model* found = find_architecture(name);
        ASSERT_NE(found, nullptr);
        EXPECT_EQ(found->name, name);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> names;
  for (const Model* model : all_architectures()) names.insert(model->name);
  EXPECT_EQ(names.size(), all_architectures().size());
  EXPECT_TRUE(names.contains("of_thread_3_19"));
}

}  // namespace
}  // namespace rtl::layers
