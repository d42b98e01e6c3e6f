// Which architecture the tensors of a checkpoint belong to.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/joined.hpp"
#include "layers/model.hpp"
#include "layers/recognise.hpp"

namespace rtl::layers {
namespace {

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

/// Whether a tensor is called as heads are, by whatever name.
bool has_head_like(const CheckpointNames& names, const std::string& own) {
  return names.tensors.contains(own + ".weight") ||
         std::any_of(head_names().begin(), head_names().end(),
                     [&](const std::string& head) { return names.tensors.contains(head + ".weight"); });
}

/// The tensors by the names that an architecture whose head is `own` has for them.
CheckpointTensors tensors_for(const CheckpointNames& names, const std::string& own) {
  const std::string head = find_head(names, own);
  CheckpointTensors tensors;
  for (const auto& [name, tensor] : names.tensors) {
    const bool of_head = !head.empty() && (name == head + ".weight" || name == head + ".bias");
    tensors.shapes.emplace(of_head ? own + name.substr(head.size()) : name, tensor.shape);
  }
  tensors.headless = !has_head_like(names, own);
  const auto weight = tensors.shapes.find(own + ".weight");
  if (weight != tensors.shapes.end() && weight->second.rank() > 0) tensors.classes = weight->second[0];
  return tensors;
}

/// A parameter or buffer that a network has.
struct Wanted {
  std::string name;
  std::string canonical;  ///< as canonical_names calls it
  Shape shape;
};

std::vector<Wanted> tensors_of(const Architecture& architecture) {
  const std::unique_ptr<Network> network = make_network(architecture, Device::cpu(1).separate(), 0);
  std::vector<Wanted> tensors;
  std::vector<StoredTensor> stored;
  const ModuleState state = network->state();
  const auto add = [&](const std::string& name, const Shape& shape) {
    tensors.push_back({name, name, shape});
    stored.push_back({name, shape, "", true});
  };
  for (const NamedParameter& parameter : state.parameters) add(parameter.name, parameter.value().shape());
  for (const NamedBuffer& buffer : state.buffers) add(buffer.name, buffer.value().shape());
  std::map<std::string, std::string> canonical;
  for (const auto& [name, tensor] : canonical_names(stored).tensors) canonical.emplace(tensor.name, name);
  for (Wanted& tensor : tensors) {
    if (const auto found = canonical.find(tensor.name); found != canonical.end()) tensor.canonical = found->second;
  }
  return tensors;
}

std::string listed(const char* what, const std::vector<std::string>& names) {
  return names.empty() ? std::string() : fmt::format("{}{}", what, first_few(names));
}

/// How the tensors fit the sizes that a model reads from them.
Fit fit_of(const CheckpointNames& names, const Model& model, const Shape* input, const std::string& variant,
           const ModelConfig& config) {
  CheckpointTensors tensors = tensors_for(names, model.head);
  if (input != nullptr) tensors.input = *input;
  tensors.variant = variant;
  tensors.heads = config.heads;
  tensors.rotary_theta = config.rotary_theta;
  tensors.norm_epsilon = config.norm_epsilon;
  Recognised found;
  try {
    found = model.recognise(tensors);
    found.architecture.name = model.name;
    if (found.fault.empty()) return fit(names, found.architecture);
  } catch (const ValueError& error) {
    found.fault = error.what();
  }
  return {.architecture = found.architecture, .fault = found.fault};
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
  const Model& model = architecture_named(architecture.name);
  const std::string &own = model.head, head = find_head(names, own);
  std::set<std::string> used;
  for (const auto& [name, canonical, shape] : tensors_of(architecture)) {
    std::string stored = canonical;
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
    const bool spare = std::any_of(model.spare.begin(), model.spare.end(),
                                   [&, &stored = name](const std::string& word) { return stored.starts_with(word); });
    if (may_be_left_out(tensor) || spare_head || spare) {
      result.left_out.push_back(tensor.name);
    } else {
      result.unexpected.push_back(fmt::format("{} {}", tensor.name, tensor.shape.to_string()));
    }
  }
  return result;
}

Fit recognise(const CheckpointNames& names, const std::string& name, const Shape* input, const std::string& variant,
              const ModelConfig& config) {
  std::vector<const Model*> models = all_architectures();
  if (!name.empty()) models = {&architecture_named(name)};
  std::vector<Fit> fits;
  for (const Model* model : models) {
    Fit one = fit_of(names, *model, input, variant, config);
    if (one.good()) return one;
    fits.push_back(std::move(one));
  }
  throw ValueError(why_none(names, name, fits));
}

Architecture recognise(const std::vector<io::TensorEntry>& tensors, const std::string& name) {
  return recognise(canonical_names(stored_tensors(tensors)), name, nullptr).architecture;
}

}  // namespace rtl::layers
