// Data and source networks of the table, each read or trained once, when first asked for.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "rtl/data/dataset.hpp"
#include "rtl/transfer/feature_cache.hpp"
#include "rtl/transfer/source.hpp"
#include "rtl/transfer/training.hpp"
#include "studies/real_domains.hpp"
#include "studies/transfer_table/settings.hpp"

namespace rtl::studies::transfer_table {

/// Training as all networks of the table have it, sources too: SGD with momentum 0.9, step size 0.05, batches of 32,
/// weight decay 1e-4, with as many epochs as come nearest to 250 steps for up to 100 rows, 350 up to 400, 600 beyond.
transfer::TrainingOptions training_for(std::int64_t rows);
/// The encoder h, scratch, and where there are none published the sources.
inline constexpr const char* model_variant = "128-64";

/// What a strategy is given: the target's rows to draw from and to test on, as h sees them, and the source.
struct Prepared {
  data::TrainTest target = {};
  transfer::FrozenSource source;
  std::shared_ptr<transfer::FeatureCache> features;
  /// Of h's inputs: principal components stay as they are, since standardised the last weigh as much as the first.
  data::Normalization normalization = data::Normalization::standardize;
  /// What has the source's head; none where its features are permuted or noise.
  std::optional<transfer::FrozenSource> head = {};
  /// The rows to draw from as `head` sees them; null: as h does.
  std::shared_ptr<const data::Dataset> head_inputs = {};
  /// What the source was trained on, with the labels that it was trained on; null of published sources, and where
  /// nothing is left of the source in its features.
  std::shared_ptr<const data::Dataset> source_data = {};
};

/// Values made once, by the first that asks; the others wait. Safe for concurrent use.
template <typename Value>
class Lazy {
 public:
  std::shared_ptr<const Value> get(const std::string& name, const std::function<Value()>& make) {
    std::shared_ptr<Entry> entry;
    {
      const std::lock_guard lock(mutex_);
      std::shared_ptr<Entry>& found = entries_[name];
      if (!found) found = std::make_shared<Entry>();
      entry = found;
    }
    const std::lock_guard lock(entry->mutex);
    if (!entry->value) entry->value = std::make_shared<const Value>(make());
    return entry->value;
  }

 private:
  struct Entry {
    std::mutex mutex;
    std::shared_ptr<const Value> value;
  };
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
};

/// A target domain, or a source's. `encoder` are h's inputs where they are others than the source's columns, [rows,
/// encoder_columns]; without them h sees the columns.
struct Table {
  Domain domain;
  std::vector<float> encoder = {};
  std::int64_t encoder_columns = 0;
  /// `encoder` is empty: they are so many principal components of the columns, which take time.
  bool components = false;
  /// What a published network sees of the rows instead of the columns: u8 images or i32 tokens.
  data::Dataset network_inputs = {};
};

/// What is read from where.
struct Folders {
  std::string data;    ///< the data sets
  std::string minilm;  ///< all-MiniLM-L6-v2; empty without it
};

class Material {
 public:
  explicit Material(Folders folders) : folders_(std::move(folders)) {}

  /// The facts of its data, which decide a setting's result.
  std::vector<transfer::detail::Fact> facts(const Setting& setting);
  /// Works on a host device with one thread. Throws as the readers do.
  Prepared prepare(const Setting& setting);

 private:
  std::shared_ptr<const Table> source_table(const Setting& setting);
  std::shared_ptr<const Table> target_table(const Setting& setting);
  /// A domain's rows, with labels in a random order where it is stressed so. Not of published sources.
  std::shared_ptr<const data::Dataset> samples_of(const Setting& setting, const SourceScaling& scaling);
  transfer::FrozenSource source_of(const Setting& setting, const std::shared_ptr<const data::Dataset>& samples,
                                   const Shape& sample);

  Folders folders_;
  Lazy<Table> tables_;
  Lazy<std::vector<float>> components_;
  Lazy<data::Dataset> samples_;
  Lazy<transfer::FrozenSource> sources_;
  transfer::FeatureCache features_;
};

}  // namespace rtl::studies::transfer_table
