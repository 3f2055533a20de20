// NVIDIA's libraries beside our kernels: candidates of the tuner (engine/core/conv_tuning.h) and yardsticks of `bench
// ops`, never the only path. Built in where their headers are found, opened when they are first used: a program built
// with them starts without them.
#pragma once

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

namespace tessera {

// A library that is not built in or cannot be opened, or has no way to do a call.
class LibraryRefused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// An opened shared library. It stays open until the program ends.
class SharedLibrary {
 public:
  // The first of these names that can be opened. Throws LibraryRefused.
  explicit SharedLibrary(std::initializer_list<std::string> names);

  // A function by the type of its declaration. Throws LibraryRefused.
  template <typename Function>
  void find(const char* name, Function*& function) const {
    function = reinterpret_cast<Function*>(address(name));
  }

 private:
  void* address(const char* name) const;

  void* handle_ = nullptr;
};

struct LibraryFact {
  std::string name;
  bool built_in;
  std::string state;  // its version, or why it cannot be opened; empty where it is not built in
};

// cuBLAS and cuDNN. Opens those that are built in; needs no GPU.
std::vector<LibraryFact> find_cuda_libraries();

}  // namespace tessera
