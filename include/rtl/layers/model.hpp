// Architectures: what a network of each is made of and how its checkpoints are told. rtl/layers/models.hpp lists those
// of the library; programs add their own:
//
//   rtl::layers::register_architecture({
//       .name = "pooled_cnn",
//       .variants = "[:CHANNELS]",
//       .help = "one convolution, global average pooling",
//       .build = [](Architecture& architecture, const Construction& construction) { .. },
//       .recognise = [](const CheckpointTensors& tensors) -> Recognised { .. }});
//
// From then on make_network, load_network, every strategy and `clone` know it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rtl/data/normalization.hpp"
#include "rtl/layers/initialization.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/layers/sequential.hpp"

namespace rtl::layers {

/// What an architecture builds: all of a network but its head, which is linear.
struct Trunk {
  std::unique_ptr<Sequential> modules;  ///< from inputs [N, ..Architecture::input] to [N, features]
  std::int64_t features = 0;
  Initialization head_initialization = Initialization::uniform_fan_in;
  double dropout = 0;  ///< of the features, in front of the head, while training
};

/// The tensors of a checkpoint, as an architecture is asked whether they are its own.
struct CheckpointTensors {
  /// By name, without the words that wrappers leave in front (rtl/layers/checkpoint.hpp): "encoder.conv1.weight" is
  /// "conv1.weight" here. The head has the architecture's own name for it.
  std::map<std::string, Shape> shapes;
  bool headless = false;     ///< nothing is called as heads are
  std::int64_t classes = 0;  ///< rows of the head's weight; 0 without one
  /// Of one sample, where the file says it.
  std::optional<Shape> input = {};
  /// What the file says of the variant, for what no shape shows; "" if it says nothing.
  std::string variant = "";
  /// Attention heads, which no shape shows, where a `config.json` beside the file says them; 0 if none does.
  std::int64_t heads = 0;
  double rotary_theta = 0;  ///< of rotary positions (`rope_theta`), likewise
  double norm_epsilon = 0;  ///< of root-mean-square norms (`rms_norm_eps`), likewise
};

/// An architecture, or why the tensors are none of its.
struct Recognised {
  Architecture architecture = {};  ///< its name is filled in
  std::string fault = "";          ///< "conv1.weight is missing"; empty if its sizes could be read
};

/// An architecture by description. Its functions are called from several threads at once.
struct Model {
  std::string name;           ///< "paper_cnn"
  std::string variants = "";  ///< what may stand behind the name: "[:h0|h1|C1-C2-C3-F]"
  std::string help;           ///< what it is, in a line
  /// By what its head's tensors are called ("head.weight", "head.bias"); in checkpoints from elsewhere they may be
  /// called otherwise.
  std::string head = "head";
  /// Tensors that published checkpoints may have and networks do without: words that their names begin with.
  std::vector<std::string> spare = {};
  /// Whether it takes tokens, of Architecture::vocabulary, or may.
  bool tokens = false;
  /// Of tokens, whether what stands behind a sequence's last one changes what it gives, so that all are of one length.
  bool sees_padding = false;
  /// Of images, what published checkpoints expect; vectors are not normalised.
  data::Normalization images = data::Normalization::half;
  /// Builds the trunk and brings architecture.variant into its usual form, by which equal networks have equal variants.
  /// Throws ValueError for a variant that there is not, and for inputs that do not fit.
  std::function<Trunk(Architecture& architecture, const Construction& construction)> build;
  /// Reads the sizes from the tensors, whatever they are: those of any file come here. Afterwards a network of these
  /// sizes is built and compared name by name, so that few names need to be looked at; but sizes must be those of
  /// tensors, lest a damaged file asks for more memory than it has.
  std::function<Recognised(const CheckpointTensors& tensors)> recognise;

  std::string description() const { return name + variants; }
};

/// Adds an architecture for the rest of the program. May be called from any thread. Throws ValueError for a name that
/// is taken or is no word of letters, digits and '_', and for a function that is missing.
void register_architecture(Model model);

/// Null if there is none of that name. The description lives as long as the program.
const Model* find_architecture(const std::string& name);

/// Those of the library, by name, then the registered ones in their order.
std::vector<const Model*> all_architectures();

}  // namespace rtl::layers
