// A folder of finished results, a file each, that belong to one protocol: so that work which was stopped goes on, and
// another protocol's results are neither taken over nor overwritten.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "transfer/protocol.hpp"

namespace rtl::transfer::detail {

/// Told what a user should know: a damaged file, for instance.
using Notice = std::function<void(const std::string&)>;

/// protocol.json holds the facts that all results share; every result repeats those that decide it, of which some may
/// be its own. All files carry a hash of their content. Results of one protocol may be added by several processes at a
/// time.
class StateFolder {
 public:
  /// Keeps nothing.
  StateFolder() = default;
  /// Makes the folder and removes temporaries of killed writers. `is_result` says whether a file of that name is one of
  /// the results (or of the unfinished ones) that the folder is for. Throws IoError, and ValueError, with nothing
  /// written, if the folder holds results of another protocol (saying what differs) or of one that is not known. An
  /// empty name keeps nothing.
  StateFolder(std::string folder, Facts protocol, const std::function<bool(const std::string&)>& is_result,
              Notice notice);

  bool keeps() const noexcept { return !folder_.empty(); }
  /// Where a file of that name lies; empty if nothing is kept.
  std::string path(const std::string& name) const;
  /// A result that was stored under this name; none if there is none or it is damaged, which is told. Throws ValueError
  /// if other facts decided it, IoError. May be called by several threads if `notice` may.
  std::optional<io::Json> find(const std::string& name, const Facts& facts) const;
  /// Written beside and renamed. Throws IoError.
  void store(const std::string& name, const Facts& facts, io::Json result) const;
  /// As if the result were damaged: tells so.
  void tell_damaged(const std::string& name, const std::string& fault) const;

 private:
  struct Found {
    bool any = false;         ///< there are results
    bool described = false;   ///< there is a readable protocol, and it is this one
    std::string differences;  ///< of the readable protocols
  };
  Found look(const std::function<bool(const std::string&)>& is_result) const;
  [[noreturn]] void refuse(const std::string& what) const;

  std::string folder_;
  Facts protocol_;
  Notice notice_;
};

}  // namespace rtl::transfer::detail
