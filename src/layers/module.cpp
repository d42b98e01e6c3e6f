#include "rtl/layers/module.hpp"

namespace rtl::layers {

Construction Construction::child(std::string_view name) const {
  Construction construction = *this;
  construction.prefix.append(name).append(".");
  return construction;
}

std::int64_t ModuleState::parameter_count() const {
  std::int64_t count = 0;
  for (const NamedParameter& parameter : parameters) count += parameter.variable.shape().count();
  return count;
}

std::int64_t Module::parameter_count() { return state().parameter_count(); }

void Module::set_requires_gradient(bool requires_gradient) {
  for (NamedParameter& parameter : state().parameters) parameter.variable.set_requires_gradient(requires_gradient);
}

void Module::clear_gradients() {
  for (NamedParameter& parameter : state().parameters) parameter.variable.clear_gradient();
}

}  // namespace rtl::layers
