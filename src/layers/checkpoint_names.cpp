#include "layers/checkpoint_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "core/joined.hpp"
#include "layers/input_statistics.hpp"
#include "rtl/core/error.hpp"

namespace rtl::layers {
namespace {

using Words = std::vector<std::string>;

bool is_one_of(const std::string& word, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

Words words_of(const std::string& name) {
  Words words;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    words.push_back(name.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

/// A name on its way to the canonical one.
struct Name {
  const StoredTensor* tensor;
  Words words;
  std::string text() const { return joined(words, "."); }
};

/// Takes the mark of an averaged copy off; false if there is none.
bool take_average_mark(Words& words) {
  bool found = false;
  std::erase_if(words, [&](const std::string& word) {
    const bool mark =
        words.size() > 1 && is_one_of(word, {"ema", "model_ema", "ema_model", "averaged", "averaged_model", "average",
                                             "swa", "swa_model", "avg_model", "shadow"});
    found = found || mark;
    return mark;
  });
  for (std::string& word : words) {
    for (const std::string_view suffix : {"_averaged", "_ema", "_swa", "_avg"}) {
      if (!word.ends_with(suffix) || word.size() == suffix.size()) continue;
      word.erase(word.size() - suffix.size());
      found = true;
    }
  }
  return found;
}

void take_wrappers(Words& words) {
  std::erase_if(words, [](const std::string& word) { return is_one_of(word, {"_orig_mod", "module"}); });
  while (words.size() > 1 && is_one_of(words.front(), {"model", "backbone", "net", "network", "encoder", "state_dict",
                                                       "model_state_dict"})) {
    words.erase(words.begin());
  }
}

/// A number of standardised inputs, whatever stands in front.
bool ends_as_input_statistic(const Name& name) {
  const std::size_t count = name.words.size();
  return count >= 2 && is_input_statistic(name.words[count - 2] + "." + name.words[count - 1]);
}

/// Of what language models predict tokens with, which lies beside the network and not within it.
bool is_token_head(const Name& name) {
  return name.words.size() > 1 && is_one_of(name.words.front(), {"cls", "lm_head"});
}

/// BERT's first files have the names that TensorFlow gives to the numbers of layer norms.
void take_tensorflow_names(Words& words) {
  if (words.size() < 2 || words[words.size() - 2] != "LayerNorm") return;
  if (words.back() == "gamma") words.back() = "weight";
  if (words.back() == "beta") words.back() = "bias";
}

bool is_head(const Name& name) {
  if (is_token_head(name)) return true;
  const std::string text = name.text();
  return std::any_of(head_names().begin(), head_names().end(),
                     [&](const std::string& head) { return text == head + ".weight" || text == head + ".bias"; });
}

/// Takes first words off that all names share, but for a head's, what may be left out and the numbers of standardised
/// inputs. Such a word never is all of a layer's own name.
void take_common_word(std::vector<Name>& names, std::vector<std::string>& notes) {
  while (true) {
    const std::string* common = nullptr;
    std::size_t sharing = 0;
    for (const Name& name : names) {
      if (is_head(name) || may_be_left_out(*name.tensor) || ends_as_input_statistic(name)) continue;
      if (name.words.size() < 3 || (common != nullptr && *common != name.words.front())) return;
      common = &name.words.front();
      ++sharing;
    }
    if (sharing < 2) return;
    const std::string word = *common;
    notes.push_back(fmt::format("names are read without '{}.'", word));
    for (Name& name : names) {
      if (name.words.front() != word || name.words.size() == 1) continue;
      name.words.erase(name.words.begin());
      take_wrappers(name.words);
    }
  }
}

std::vector<std::string> file_names(const std::vector<Name>& names) {
  std::vector<std::string> all;
  all.reserve(names.size());
  for (const Name& name : names) all.push_back(name.tensor->name);
  return all;
}

}  // namespace

std::vector<StoredTensor> stored_tensors(const std::vector<io::TensorEntry>& tensors) {
  std::vector<StoredTensor> stored;
  stored.reserve(tensors.size());
  for (const io::TensorEntry& entry : tensors) {
    stored.push_back({entry.name, entry.shape, std::string(name_of(entry.dtype)), is_floating(entry.dtype)});
  }
  return stored;
}

std::vector<StoredTensor> stored_tensors(const std::vector<io::TensorEntry>& tensors,
                                         const std::vector<io::UnreadTensor>& unread) {
  std::vector<StoredTensor> stored = stored_tensors(tensors);
  for (const io::UnreadTensor& one : unread) stored.push_back({one.name, one.shape, one.dtype, false});
  return stored;
}

CheckpointNames canonical_names(const std::vector<StoredTensor>& tensors) {
  CheckpointNames result;
  std::vector<Name> plain, averaged, optimizer;
  for (const StoredTensor& tensor : tensors) {
    Name name{&tensor, words_of(tensor.name)};
    if (is_one_of(name.words.back(), {"num_batches_tracked", "inv_freq"})) continue;
    take_tensorflow_names(name.words);
    if (is_one_of(name.words.front(), {"optimizer", "optimizers", "optimizer_states", "optim", "lr_scheduler"})) {
      optimizer.push_back(std::move(name));
      continue;
    }
    const bool copy = take_average_mark(name.words);
    take_wrappers(name.words);
    (copy ? averaged : plain).push_back(std::move(name));
  }
  const bool only_averaged = std::all_of(plain.begin(), plain.end(), [](const Name& name) {
    return may_be_left_out(*name.tensor) || ends_as_input_statistic(name);
  });
  if (!optimizer.empty()) {
    result.notes.push_back(fmt::format("left out: the optimizer's state ({})", first_few(file_names(optimizer))));
  }
  if (!averaged.empty() && only_averaged) {
    result.notes.push_back(fmt::format("read from averaged tensors ({})", first_few(file_names(averaged))));
    plain.insert(plain.end(), averaged.begin(), averaged.end());
  } else if (!averaged.empty()) {
    result.notes.push_back(fmt::format("left out: averaged copies ({}); to use them instead, save them alone",
                                       first_few(file_names(averaged))));
  }
  take_common_word(plain, result.notes);
  for (const Name& name : plain) {
    const bool statistic = is_input_statistic(name.text());
    const auto [at, added] = (statistic ? result.input_statistics : result.tensors).emplace(name.text(), *name.tensor);
    if (added || may_be_left_out(*name.tensor) || (statistic && only_averaged)) continue;
    std::string first = at->second.name, second = name.tensor->name;
    if (first.size() > second.size()) std::swap(first, second);
    throw ValueError(
        fmt::format("it has both '{}' and '{}', which are one name without what wrappers put in front, so "
                    "it is ambiguous; keep one set of weights",
                    first, second));
  }
  return result;
}

const std::vector<std::string>& head_names() {
  static const std::vector<std::string> names = {
      "head", "linear",  "fc",           "classifier",  "output",
      "out",  "logits",  "last_linear",  "fc_out",      "classification_head",
      "cls",  "head.fc", "head.0",       "head.1",      "heads.head",
      "fc.0", "fc.1",    "classifier.0", "classifier.1"};
  return names;
}

bool may_be_left_out(const StoredTensor& tensor) {
  return !tensor.floating || (tensor.shape.rank() <= 1 && tensor.shape.count() == 1);
}

std::string first_few(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 3;
  std::string text = joined(std::span(names).first(std::min(names.size(), shown)), ", ");
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

}  // namespace rtl::layers
