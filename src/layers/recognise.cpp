// Which architecture the tensors of a checkpoint belong to.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/joined.hpp"
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

const char* head_of(const std::string& architecture) { return architecture == "resnet_cifar" ? "linear" : "head"; }

/// The file's name for the head, by which its tensors are stored: `own` if it is there, else the one matrix that is
/// called as heads are. Empty if there is none or several.
std::string find_head(const CheckpointNames& names, const std::string& own) {
  if (names.tensors.contains(own + ".weight")) return own;
  std::string found;
  for (const std::string& head : head_names()) {
    const auto at = names.tensors.find(head + ".weight");
    if (at == names.tensors.end() || at->second.shape.rank() != 2) continue;
    if (!found.empty()) return {};
    found = head;
  }
  return found;
}

bool has_head_like(const CheckpointNames& names) {
  return std::any_of(head_names().begin(), head_names().end(),
                     [&](const std::string& head) { return names.tensors.contains(head + ".weight"); });
}

/// Shapes by the names that an architecture with this head has.
Shapes shapes_with_head(const CheckpointNames& names, const std::string& own) {
  const std::string head = find_head(names, own);
  Shapes shapes;
  for (const auto& [name, tensor] : names.tensors) {
    const bool of_head = !head.empty() && (name == head + ".weight" || name == head + ".bias");
    shapes.emplace(of_head ? own + name.substr(head.size()) : name, tensor.shape);
  }
  return shapes;
}

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
Guess guess_paper(const Shapes& shapes, bool headless, const Shape* input, const char* name, int convolutions,
                  int halvings) {
  Guess guess{{name, "", {}, 0}, ""};
  std::vector<std::string> names;
  for (int i = 1; i <= convolutions; ++i) names.push_back(fmt::format("conv{}", i));
  const auto fc1 = static_cast<std::size_t>(convolutions);
  names.emplace_back("fc1");
  if (!headless) names.emplace_back("head");
  const std::vector<Shape> chain = weight_chain(shapes, names, guess);
  if (chain.empty()) return guess;
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
  guess.architecture.classes = headless ? 0 : chain.back()[0];
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

Guess guess_mlp(const Shapes& shapes, bool headless, const Shape* input) {
  Guess guess{{"mlp", "", {}, 0}, ""};
  std::vector<std::string> names;
  const bool head_alone = !headless && shapes.size() <= 2;  // its weight and its bias
  if (!head_alone) names.emplace_back("fc1");
  while (!names.empty() && shapes.contains(fmt::format("fc{}.weight", names.size() + 1))) {
    names.push_back(fmt::format("fc{}", names.size() + 1));
  }
  const std::size_t hidden = names.size();
  if (!headless) names.emplace_back("head");
  const std::vector<Shape> chain = weight_chain(shapes, names, guess);
  if (chain.empty()) return guess;
  guess.architecture.input = input == nullptr ? Shape{chain.front()[1]} : *input;
  if (guess.architecture.input.count() != chain.front()[1]) {
    guess.fault = fmt::format("{}.weight {} does not fit inputs {}", names.front(), chain.front().to_string(),
                              input->to_string());
  }
  guess.architecture.classes = headless ? 0 : chain.back()[0];
  if (hidden == 0) guess.architecture.variant = "none";
  for (std::size_t i = 0; i < hidden; ++i) {
    guess.architecture.variant += fmt::format("{}{}", i > 0 ? "-" : "", chain[i][0]);
  }
  return guess;
}

Guess guess_resnet(const Shapes& shapes, bool headless, const Shape* input) {
  Guess guess{{"resnet_cifar", "", {}, 0}, ""};
  std::int64_t blocks = 0;
  while (shapes.contains(fmt::format("layer1.{}.conv1.weight", blocks))) ++blocks;
  if (blocks == 0) {
    guess.fault = "layer1.0.conv1.weight is missing";
    return guess;
  }
  const std::vector<Shape> stem = weight_chain(shapes, {"conv1"}, guess);
  if (stem.empty()) return guess;
  std::int64_t classes = 0;
  if (!headless) {
    const std::vector<Shape> head = weight_chain(shapes, {"linear"}, guess);
    if (head.empty()) return guess;
    classes = head[0][0];
  }
  guess.architecture = {"resnet_cifar", std::to_string(6 * blocks + 2), {32, 32, stem[0][1]}, classes};
  if (input != nullptr) guess.architecture.input = *input;
  if (guess.architecture.input.rank() != 3 || guess.architecture.input[2] != stem[0][1]) {
    guess.fault = fmt::format("conv1.weight {} does not fit inputs {}", stem[0].to_string(), input->to_string());
  }
  return guess;
}

/// Names and shapes of the parameters and buffers of a network of that architecture.
std::vector<std::pair<std::string, Shape>> tensors_of(const Architecture& architecture) {
  const std::unique_ptr<Network> network = make_network(architecture, Device::cpu(1).separate(), 0);
  std::vector<std::pair<std::string, Shape>> tensors;
  const ModuleState state = network->state();
  for (const NamedParameter& parameter : state.parameters) {
    tensors.emplace_back(parameter.name, parameter.value().shape());
  }
  for (const NamedBuffer& buffer : state.buffers) tensors.emplace_back(buffer.name, buffer.value().shape());
  return tensors;
}

std::string listed(const char* what, const std::vector<std::string>& names) {
  return names.empty() ? std::string() : fmt::format("{}{}", what, first_few(names));
}

Fit fit_guess(const CheckpointNames& names, const Guess& guess) {
  if (guess.fault.empty()) {
    try {
      return fit(names, guess.architecture);
    } catch (const ValueError& error) {
      return {.architecture = guess.architecture, .fault = error.what()};
    }
  }
  return {.architecture = guess.architecture, .fault = guess.fault};
}

/// What no architecture fits: how the nearest fails, then why the others do.
std::string why_none(const CheckpointNames& names, const std::string& name, std::vector<Fit>& fits) {
  std::stable_sort(fits.begin(), fits.end(),
                   [](const Fit& a, const Fit& b) { return a.files.size() > b.files.size(); });
  std::string text =
      fmt::format("the {} tensors do not fit {}", names.tensors.size(), name.empty() ? "any known architecture" : name);
  for (std::size_t i = 0; i < fits.size(); ++i) {
    const Fit& one = fits[i];
    text += "; ";
    if (i == 0 && !one.files.empty() && fits.size() > 1) text += "nearest is ";
    text += fmt::format("{}: {}", one.architecture.to_string(), one.faults());
  }
  if (!names.notes.empty()) text += fmt::format(" ({})", joined(names.notes, "; "));
  return text;
}

}  // namespace

std::string Fit::faults() const {
  if (!fault.empty()) return fault;
  std::vector<std::string> parts;
  for (const std::string& part :
       {listed("missing ", missing), listed("", misshaped), listed("unexpected ", unexpected)}) {
    if (!part.empty()) parts.push_back(part);
  }
  return fmt::format("{} of {} tensors fit; {}", files.size(), files.size() + missing.size() + misshaped.size(),
                     joined(parts, "; "));
}

Fit fit(const CheckpointNames& names, const Architecture& architecture) {
  Fit result{.architecture = architecture};
  const std::string own = head_of(architecture.name), head = find_head(names, own);
  std::set<std::string> used;
  for (const auto& [name, shape] : tensors_of(architecture)) {
    std::string stored = name;
    if (!head.empty() && name.starts_with(own + ".")) stored = head + name.substr(own.size());
    const auto found = names.tensors.find(stored);
    if (found == names.tensors.end()) {
      result.missing.push_back(fmt::format("{} {}", name, shape.to_string()));
      continue;
    }
    used.insert(stored);
    const StoredTensor& tensor = found->second;
    if (tensor.shape == shape && tensor.floating) {
      result.files.emplace(name, tensor.name);
    } else {
      result.misshaped.push_back(fmt::format("{} is {} {}, not {} of floating point", tensor.name, tensor.dtype,
                                             tensor.shape.to_string(), shape.to_string()));
    }
  }
  for (const auto& [name, tensor] : names.tensors) {
    if (used.contains(name)) continue;
    const bool spare_head = architecture.classes == 0 && !head.empty() && name.starts_with(head + ".");
    if (may_be_left_out(tensor) || spare_head) {
      result.left_out.push_back(tensor.name);
    } else {
      result.unexpected.push_back(fmt::format("{} {}", tensor.name, tensor.shape.to_string()));
    }
  }
  return result;
}

Fit recognise(const CheckpointNames& names, const std::string& name, const Shape* input) {
  const bool headless = !has_head_like(names);
  const Shapes shapes = shapes_with_head(names, "head"), resnet = shapes_with_head(names, "linear");
  std::vector<Fit> fits;
  for (const Guess& guess : {guess_paper(shapes, headless, input, "paper_cnn", 3, 3),
                             guess_paper(shapes, headless, input, "paper_big_cnn", 6, 5),
                             guess_mlp(shapes, headless, input), guess_resnet(resnet, headless, input)}) {
    if (!name.empty() && guess.architecture.name != name) continue;
    Fit one = fit_guess(names, guess);
    if (one.good()) return one;
    fits.push_back(std::move(one));
  }
  if (fits.empty()) {
    throw ValueError(fmt::format("'{}' is no architecture; there are {}", name, joined(models::descriptions(), ", ")));
  }
  throw ValueError(why_none(names, name, fits));
}

Architecture recognise(const std::vector<io::TensorEntry>& tensors, const std::string& name) {
  return recognise(canonical_names(stored_tensors(tensors)), name, nullptr).architecture;
}

}  // namespace rtl::layers
