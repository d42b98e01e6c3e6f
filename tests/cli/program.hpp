// Runs the built program as a user would: with arguments, in a folder of its own, looking at what comes out.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rtl::test {

/// Arguments of a command line.
using Words = std::vector<std::string>;
Words with(Words words, const Words& more);

struct Outcome {
  int code = -1;  ///< exit code; 128 + signal if one ended the program
  std::string output;
  std::string errors;
};

/// A fresh folder, removed at the end; programs run in it.
class Workplace {
 public:
  Workplace();
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;
  ~Workplace();

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  /// Runs `rtl arguments..` to its end. `environment` is set on top of ours ("PATH=/nowhere").
  Outcome run(const Words& arguments, const Words& environment = {}) const;
  /// Starts `rtl arguments..` and returns its process; `prepare` is called in it before the program is executed.
  pid_t start(const Words& arguments, const Words& environment = {}, const std::function<void()>& prepare = {}) const;
  Outcome wait(pid_t process) const;

  bool has(const std::string& name) const { return std::filesystem::exists(folder_ / name); }
  std::string read(const std::string& name) const;
  void write(const std::string& name, const std::string& content) const;
  nlohmann::json json(const std::string& name) const { return nlohmann::json::parse(read(name)); }
  /// Names of the files in the folder, sorted.
  std::vector<std::string> files() const;

 private:
  std::filesystem::path folder_;
};

/// A small source trained on glyphs: source.safetensors.
void make_source(const Workplace& place);
/// Arguments of a small comparison of all strategies with that source.
Words small_transfer(const Words& more);

}  // namespace rtl::test
