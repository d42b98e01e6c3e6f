// Which architecture the tensors of a checkpoint belong to.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <map>
#include <set>

#include "layers/recognise.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers {
namespace {

using Shapes = std::map<std::string, Shape>;

/// An architecture and, if its sizes could not be read from the tensors, why not.
struct Guess {
  Architecture architecture;
  std::string fault;
};

/// The side of a square input whose side, halved `halvings` times, is `side`. Where several are, the usual one.
std::int64_t input_side(std::int64_t side, int halvings) {
  for (const std::int64_t usual : {32, 28}) {
    if (usual >> halvings == side) return usual;
  }
  return side << halvings;
}

/// Shapes of the named weights. Sets the fault if one is missing or does not continue the one before it: then building
/// the network could need far more memory than the file has.
std::vector<Shape> weight_chain(const Shapes& shapes, const std::vector<std::string>& names, Guess& guess) {
  std::vector<Shape> chain;
  for (const std::string& name : names) {
    const auto found = shapes.find(name + ".weight");
    if (found == shapes.end()) {
      guess.fault = fmt::format("{}.weight is missing", name);
      return {};
    }
    const Shape& shape = found->second;
    const bool convolution = name.starts_with("conv");
    bool fits = shape.rank() == (convolution ? 4 : 2) && shape.count() > 0;
    if (fits && !chain.empty()) {
      fits = chain.back().rank() == shape.rank() ? shape[1] == chain.back()[0] : shape[1] % chain.back()[0] == 0;
    }
    if (!fits) {
      guess.fault = fmt::format("{}.weight {} does not fit there", name, shape.to_string());
      return {};
    }
    chain.push_back(shape);
  }
  return chain;
}

/// A stack of 3x3 convolutions conv1..convN, a fully connected fc1 and the head.
Guess guess_paper(const Shapes& shapes, const Shape* input, const char* name, int convolutions, int halvings) {
  Guess guess{{name, "", {}, 0}, ""};
  std::vector<std::string> names;
  for (int i = 1; i <= convolutions; ++i) names.push_back(fmt::format("conv{}", i));
  names.insert(names.end(), {"fc1", "head"});
  const std::vector<Shape> chain = weight_chain(shapes, names, guess);
  if (chain.empty()) return guess;
  const std::size_t fc1 = chain.size() - 2;
  const std::int64_t pixels = chain[fc1][1] / chain[fc1 - 1][0];
  if (input == nullptr) {
    const auto root = std::llround(std::sqrt(static_cast<double>(pixels)));
    const std::int64_t side = input_side(root, halvings);
    guess.architecture.input = {side, side, chain[0][1]};
  } else {
    guess.architecture.input = *input;
    if (input->rank() != 3 || ((*input)[0] >> halvings) * ((*input)[1] >> halvings) != pixels) {
      guess.fault = fmt::format("fc1.weight {} does not fit inputs {}", chain[fc1].to_string(), input->to_string());
    }
  }
  guess.architecture.classes = chain.back()[0];
  if (convolutions == 3) {
    guess.architecture.variant = fmt::format("{}-{}-{}-{}", chain[0][0], chain[1][0], chain[2][0], chain[3][0]);
    for (const auto& [size, widths] : models::paper_cnn_sizes()) {
      if (widths == guess.architecture.variant) guess.architecture.variant = size;
    }
  } else if (guess.fault.empty() && chain[fc1][0] != 2560) {
    guess.fault = fmt::format("fc1.weight is {}, not [2560, ...]", chain[fc1].to_string());
  }
  return guess;
}

Guess guess_mlp(const Shapes& shapes, const Shape* input) {
  Guess guess{{"mlp", "", {}, 0}, ""};
  std::vector<std::string> names{"fc1"};
  while (shapes.contains(fmt::format("fc{}.weight", names.size() + 1))) {
    names.push_back(fmt::format("fc{}", names.size() + 1));
  }
  names.emplace_back("head");
  const std::vector<Shape> chain = weight_chain(shapes, names, guess);
  if (chain.empty()) return guess;
  guess.architecture.input = input == nullptr ? Shape{chain.front()[1]} : *input;
  if (guess.architecture.input.count() != chain.front()[1]) {
    guess.fault = fmt::format("fc1.weight {} does not fit inputs {}", chain.front().to_string(), input->to_string());
  }
  guess.architecture.classes = chain.back()[0];
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    guess.architecture.variant += fmt::format("{}{}", i > 0 ? "-" : "", chain[i][0]);
  }
  return guess;
}

Guess guess_resnet(const Shapes& shapes, const Shape* input) {
  Guess guess{{"resnet_cifar", "", {}, 0}, ""};
  std::int64_t blocks = 0;
  while (shapes.contains(fmt::format("layer1.{}.conv1.weight", blocks))) ++blocks;
  if (blocks == 0) {
    guess.fault = "layer1.0.conv1.weight is missing";
    return guess;
  }
  const std::vector<Shape> stem = weight_chain(shapes, {"conv1"}, guess);
  const std::vector<Shape> head = stem.empty() ? stem : weight_chain(shapes, {"linear"}, guess);
  if (head.empty()) return guess;
  guess.architecture = {"resnet_cifar", std::to_string(6 * blocks + 2), {32, 32, stem[0][1]}, head[0][0]};
  if (input != nullptr) guess.architecture.input = *input;
  if (guess.architecture.input.rank() != 3 || guess.architecture.input[2] != stem[0][1]) {
    guess.fault = fmt::format("conv1.weight {} does not fit inputs {}", stem[0].to_string(), input->to_string());
  }
  return guess;
}

/// Empty if the tensors are exactly the architecture's.
std::string fault_of(const Shapes& shapes, const Guess& guess) {
  if (!guess.fault.empty()) return guess.fault;
  std::set<std::string> names;
  try {
    for (const io::TensorEntry& tensor : tensors_of(guess.architecture)) {
      const auto found = shapes.find(tensor.name);
      if (found == shapes.end()) return fmt::format("{} {} is missing", tensor.name, tensor.shape.to_string());
      if (found->second != tensor.shape) {
        return fmt::format("{} is {}, not {}", tensor.name, found->second.to_string(), tensor.shape.to_string());
      }
      names.insert(tensor.name);
    }
  } catch (const ValueError& error) {
    return error.what();
  }
  for (const auto& [name, shape] : shapes) {
    if (!names.contains(name)) return fmt::format("{} {} is none of its tensors", name, shape.to_string());
  }
  return "";
}

}  // namespace

std::string canonical_name(std::string name) {
  if (name.starts_with("module.")) name.erase(0, 7);
  return name;
}

bool is_counter(const std::string& name) { return name.ends_with("num_batches_tracked"); }

std::vector<io::TensorEntry> tensors_of(const Architecture& architecture) {
  const std::unique_ptr<Network> network = make_network(architecture, Device::cpu(), 0);
  std::vector<io::TensorEntry> tensors;
  const ModuleState state = network->state();
  for (const NamedParameter& parameter : state.parameters) {
    tensors.push_back({.name = parameter.name, .dtype = DType::f32, .shape = parameter.variable.shape()});
  }
  for (const NamedBuffer& buffer : state.buffers) {
    tensors.push_back({.name = buffer.name, .dtype = DType::f32, .shape = buffer.tensor->shape()});
  }
  return tensors;
}

Architecture recognise(const std::vector<io::TensorEntry>& tensors, const std::string& name, const Shape* input) {
  Shapes shapes;
  for (const io::TensorEntry& tensor : tensors) {
    if (!is_counter(tensor.name)) shapes.emplace(canonical_name(tensor.name), tensor.shape);
  }
  std::string faults;
  for (const Guess& guess :
       {guess_paper(shapes, input, "paper_cnn", 3, 3), guess_paper(shapes, input, "paper_big_cnn", 6, 5),
        guess_mlp(shapes, input), guess_resnet(shapes, input)}) {
    if (!name.empty() && guess.architecture.name != name) continue;
    const std::string fault = fault_of(shapes, guess);
    if (fault.empty()) return guess.architecture;
    faults += fmt::format("; {}: {}", guess.architecture.name, fault);
  }
  if (faults.empty()) {
    throw ValueError(
        fmt::format("'{}' is no architecture; there are {}", name, fmt::join(models::descriptions(), ", ")));
  }
  throw ValueError(fmt::format("the {} tensors do not fit {}{}", shapes.size(),
                               name.empty() ? "any known architecture" : name, faults));
}

Architecture recognise(const std::vector<io::TensorEntry>& tensors, const std::string& name) {
  return recognise(tensors, name, nullptr);
}

}  // namespace rtl::layers
