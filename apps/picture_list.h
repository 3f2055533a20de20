// Pictures named on a command line: files, folders (their pictures, sorted), globs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace tessera {

// Sorted within each input, inputs in order, each file once. Throws Error(data) for an input that names nothing.
std::vector<std::filesystem::path> list_pictures(const std::vector<std::string>& inputs);

// One name per picture for outputs, without extension; equal stems get a number: photo, photo_2.
std::vector<std::string> output_names(const std::vector<std::filesystem::path>& pictures);

}  // namespace tessera
