#include "layers/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <mutex>
#include <utility>

#include "core/joined.hpp"
#include "rtl/layers/models.hpp"

namespace rtl::layers {
namespace {

/// What programs register. Entries stay where they are.
struct Registered {
  std::mutex mutex;
  std::deque<Model> models;
};

Registered& registered() {
  static Registered all;
  return all;
}

bool is_word(const std::string& name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), fits);
}

const Model* find_in(const std::vector<const Model*>& models, const std::string& name) {
  const auto found = std::find_if(models.begin(), models.end(), [&](const Model* one) { return one->name == name; });
  return found == models.end() ? nullptr : *found;
}

/// With the lock held.
std::vector<const Model*> all_of(const Registered& own) {
  std::vector<const Model*> all = architectures::built_in();
  for (const Model& model : own.models) all.push_back(&model);
  return all;
}

}  // namespace

void register_architecture(Model model) {
  if (!is_word(model.name)) {
    throw ValueError(
        fmt::format("register_architecture: the name '{}' is no word of letters, digits and '_'", model.name));
  }
  if (!model.build || !model.recognise || model.head.empty()) {
    throw ValueError(
        fmt::format("register_architecture: {} needs build, recognise and the name of its head", model.name));
  }
  Registered& own = registered();
  const std::lock_guard lock(own.mutex);
  if (find_in(all_of(own), model.name) != nullptr) {
    throw ValueError(fmt::format("register_architecture: there is an architecture '{}' already", model.name));
  }
  own.models.push_back(std::move(model));
}

std::vector<const Model*> all_architectures() {
  Registered& own = registered();
  const std::lock_guard lock(own.mutex);
  return all_of(own);
}

const Model* find_architecture(const std::string& name) { return find_in(all_architectures(), name); }

ValueError no_architecture(const std::string& name) {
  return ValueError(fmt::format(
      "'{}' is no architecture; there are {}; a program adds one of its own by rtl::layers::register_architecture",
      name, joined(models::descriptions(), ", ")));
}

const Model& architecture_named(const std::string& name) {
  const Model* model = find_architecture(name);
  if (model == nullptr) throw no_architecture(name);
  return *model;
}

}  // namespace rtl::layers

namespace rtl::models {

std::vector<std::string> descriptions() {
  std::vector<std::string> all;
  for (const layers::Model* model : layers::all_architectures()) all.push_back(model->description());
  return all;
}

}  // namespace rtl::models
