// How a network lies in a safetensors file: its architecture and the normalisation of its inputs as metadata, its
// parameters and buffers and the numbers of standardised inputs as tensors. All their names begin with a prefix, which
// is empty where the file holds one network.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "layers/input_statistics.hpp"
#include "layers/recognise.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/layers/network.hpp"

namespace rtl::layers {

/// Appends the network. The result holds some of the tensors, so it has to live until they are written.
[[nodiscard]] InputStatistics append_network(Network& network, const data::InputNormalization& normalization,
                                             const std::string& prefix, io::Metadata& metadata,
                                             std::vector<io::NamedView>& tensors);

/// What a file's metadata say of a network: as text what is compared only.
struct NetworkMetadata {
  std::optional<std::string> architecture, variant, classes, vocabulary;
  std::optional<Shape> input;
};

/// Throws FormatError for an input that is no list of up to three sizes.
NetworkMetadata read_network_metadata(const std::string& path, const io::Metadata& metadata, const std::string& prefix);

/// The tensors of one network in the file `path`.
struct StoredTensors {
  std::string path;
  std::function<Tensor(const std::string& name, const Device& host)> load;
};

/// Copies the file's tensors that `wanted` says yes to into the network, after all of them have been read, converted
/// and checked. Throws FormatError for a value that no trained network has.
void fill(
    const StoredTensors& stored, const Fit& fit, Network& network,
    const std::function<bool(const std::string&)>& wanted = [](const std::string&) { return true; });

/// A network that append_network wrote. Its sizes come from the tensors, so that metadata cannot ask for more memory
/// than the file has. Throws FormatError for what is missing or does not go together.
std::unique_ptr<Network> read_network(const io::SafetensorsFile& file, const std::string& prefix, const Device& device);

}  // namespace rtl::layers
