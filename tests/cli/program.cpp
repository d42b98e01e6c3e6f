#include "cli/program.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "support/paths.hpp"

namespace rtl::test {

namespace fs = std::filesystem;

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Workplace::Workplace() {
  std::string name = (fs::temp_directory_path() / "rtl-cli-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = name;
}

Workplace::~Workplace() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

pid_t Workplace::start(const Words& arguments, const Words& environment, const std::function<void()>& prepare) const {
  Words words = with({binary_folder() + "/rtl"}, arguments);
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  // Without a GPU the program works on the host, so that a test means the same on every machine.
  std::vector<std::string> settings = {"OMP_WAIT_POLICY=passive", "CUDA_VISIBLE_DEVICES="};
  settings.insert(settings.end(), environment.begin(), environment.end());
  const pid_t process = fork();
  if (process != 0) return process;
  for (auto& setting : settings) putenv(setting.data());
  const int out = open(path(".output").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const int err = open(path(".errors").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (dup2(out, 1) < 0 || dup2(err, 2) < 0 || chdir(folder_.c_str()) != 0) _exit(126);
  if (prepare) prepare();
  execv(pointers[0], pointers.data());
  _exit(127);
}

Outcome Workplace::wait(pid_t process) const {
  int status = 0;
  waitpid(process, &status, 0);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return {code, read(".output"), read(".errors")};
}

Outcome Workplace::run(const Words& arguments, const Words& environment) const {
  return wait(start(arguments, environment));
}

std::string Workplace::read(const std::string& name) const {
  std::ifstream stream(folder_ / name, std::ios::binary);
  EXPECT_TRUE(stream.good()) << "cannot read " << name;
  return {std::istreambuf_iterator<char>(stream), {}};
}

void Workplace::write(const std::string& name, const std::string& content) const {
  std::ofstream(folder_ / name, std::ios::binary) << content;
}

std::vector<std::string> Workplace::files() const {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const auto name = entry.path().filename().string();
    if (name != ".output" && name != ".errors") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

void make_source(const Workplace& place) {
  const auto outcome = place.run({"pretrain", "--data", "glyphs:?domain=source&classes=3&size=16&train=60&test=30",
                                  "--model", "paper_cnn:2-2-2-8", "--epochs", "2", "--batch-size", "16", "--threads",
                                  "1", "--out", "source.safetensors"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
}

Words small_transfer(const Words& more) {
  Words arguments = {
      "transfer", "--source",          "source.safetensors", "--target", "glyphs:?classes=3&size=16&train=60&test=30",
      "--model",  "paper_cnn:2-2-2-8", "--batch-size",       "16",       "--seeds",
      "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  if (std::find(more.begin(), more.end(), "--strategy") == more.end()) {
    arguments.insert(arguments.end(), {"--strategy", "distill,fine-tune,probe,refine,ridge-probe"});
  }
  if (std::find(more.begin(), more.end(), "--epochs") == more.end()) {
    arguments.insert(arguments.end(), {"--epochs", "2"});
  }
  return arguments;
}

}  // namespace rtl::test
