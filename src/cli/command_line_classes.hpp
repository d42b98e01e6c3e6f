// The classes of CLI11 that headers name: CLI/CLI.hpp takes seconds to compile, so only files that add options include
// it.
#pragma once

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI
