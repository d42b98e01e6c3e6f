#include "studies/refine/cell_graph.hpp"

#include <fmt/format.h>

#include <span>

#include "core/joined.hpp"
#include "layers/model_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/layers/model.hpp"

namespace rtl::studies::refine {
namespace {

layers::Trunk build(const layers::GraphNodes& nodes, layers::Architecture& architecture,
                    const layers::Construction& construction) {
  if (architecture.variant.empty()) architecture.variant = "64-64";
  const std::vector<std::int64_t> widths = layers::parse_widths(architecture, architecture.variant);
  architecture.variant = joined(widths, "-");
  if (architecture.vocabulary != nodes.graph.nodes() || architecture.input != Shape{1}) {
    throw ValueError(fmt::format("make_network: {} takes one number of {} nodes, and not {} of {}",
                                 architecture.to_string(), nodes.graph.nodes(), architecture.input.to_string(),
                                 architecture.vocabulary));
  }
  layers::Trunk trunk{.modules = std::make_unique<layers::Sequential>(), .features = widths.back()};
  trunk.modules->add("graph", std::make_unique<layers::GraphEncoder>(nodes, widths, construction.child("graph")));
  return trunk;
}

}  // namespace

std::string architecture_of(const layers::GraphNodes& nodes) {
  nodes.check();
  const std::uint64_t content = io::Hash64()
                                    .add(std::as_bytes(std::span(nodes.graph.offsets)))
                                    .add(std::as_bytes(std::span(nodes.graph.neighbours)))
                                    .add(std::as_bytes(std::span(nodes.graph.weights)))
                                    .add(std::as_bytes(std::span(nodes.features)))
                                    .value();
  std::string name = fmt::format("cell_graph_{:016x}", content);
  if (layers::find_architecture(name) != nullptr) return name;
  const auto kept = std::make_shared<const layers::GraphNodes>(nodes);
  layers::register_architecture(
      {.name = name,
       .variants = "[:WIDTH[-WIDTH..]]",
       .help = "graph convolutions over cells that lie near each other",
       .tokens = true,
       .build = [kept](layers::Architecture& architecture,
                       const layers::Construction& construction) { return build(*kept, architecture, construction); },
       .recognise = [](const layers::CheckpointTensors&) -> layers::Recognised {
         return {.architecture = {}, .fault = "its nodes are in no file"};
       }});
  return name;
}

}  // namespace rtl::studies::refine
