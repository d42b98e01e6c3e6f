// Finished results of a study in a folder, a file each, so that a study that was stopped goes on there.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "io/json.hpp"
#include "studies/study.hpp"
#include "transfer/state_folder.hpp"

namespace rtl::studies {

class Store {
 public:
  using Facts = transfer::detail::Facts;

  /// Makes the folder and tells the caller that it keeps these results ("trainings"); without a name nothing is kept.
  /// `is_result` says whether a file of that name is one. Throws IoError if the folder cannot be made, ValueError if it
  /// holds results that another version, kind of device or number of threads made. What is damaged is noted.
  Store(const std::string& folder, DeviceKind kind, int threads,
        const std::function<bool(const std::string&)>& is_result, const std::string& results,
        const RunOptions& options);

  bool keeps() const noexcept { return folder_.keeps(); }
  std::string path(const std::string& name) const { return folder_.path(name); }
  /// The result that is there under this name, as decode(JSON) gives it. One that decode finds incomplete, by the JSON
  /// library or a FormatError of its own, is noted as damaged and not used. Throws ValueError if other facts decided
  /// it.
  template <typename Decode>
  auto find(const std::string& name, const Facts& facts, const Decode& decode) const
      -> std::optional<std::invoke_result_t<const Decode&, const Json&>> {
    const std::optional<Json> found = folder_.find(name, with_machine(facts));
    if (!found) return {};
    try {
      return io::decode_json(path(name), [&] { return decode(*found); });
    } catch (const FormatError& error) {
      folder_.tell_damaged(name, error.what());
      return {};
    }
  }
  /// That result, or what run() gives, which is kept as encode(result). May be called by several threads.
  template <typename Decode, typename Encode, typename Run>
  auto find_or_run(const std::string& name, const Facts& facts, const Decode& decode, const Encode& encode,
                   const Run& run) const -> std::invoke_result_t<const Run&> {
    if (auto found = find(name, facts, decode)) return *std::move(found);
    auto result = run();
    if (keeps()) put(name, facts, encode(result));
    return result;
  }
  /// May be called by several threads.
  void put(const std::string& name, const Facts& facts, Json result) const;

 private:
  Facts with_machine(const Facts& facts) const;

  Facts machine_;
  transfer::detail::StateFolder folder_;
};

}  // namespace rtl::studies
