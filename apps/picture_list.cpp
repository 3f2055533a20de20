#include "apps/picture_list.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <set>

#include "engine/core/error.h"

namespace tessera {

namespace {

bool is_picture(const std::filesystem::path& file) {
  static constexpr std::array<const char*, 6> kExtensions = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".jpe"};
  std::string extension = file.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

std::string parent_of(const std::string& file) {
  const std::string parent = std::filesystem::path(file).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::vector<std::filesystem::path> matches(const std::string& pattern) {
  std::vector<std::filesystem::path> files;
  glob_t found{};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) files.emplace_back(found.gl_pathv[i]);
  }
  globfree(&found);
  return files;
}

}  // namespace

std::vector<std::filesystem::path> list_pictures(const std::vector<std::string>& inputs) {
  std::vector<std::filesystem::path> pictures;
  std::set<std::filesystem::path> seen;
  for (const std::string& input : inputs) {
    std::vector<std::filesystem::path> files;
    if (std::filesystem::is_directory(input)) {
      for (const auto& entry : std::filesystem::directory_iterator(input)) {
        if (entry.is_regular_file() && is_picture(entry.path())) files.push_back(entry.path());
      }
      std::sort(files.begin(), files.end());
    } else if (std::filesystem::exists(input)) {
      files.emplace_back(input);
    } else {
      files = matches(input);
    }
    if (files.empty()) {
      const bool is_folder = std::filesystem::is_directory(input);
      const bool is_pattern = input.find_first_of("*?[") != std::string::npos;
      throw Error(ExitCode::data,
                  input + (is_folder    ? ": a folder without pictures (.jpg, .jpeg, .png, .bmp, .gif)"
                           : is_pattern ? ": no file matches"
                                        : ": no such file or folder"),
                  "ls " + (is_folder ? input : parent_of(input)));
    }
    for (const std::filesystem::path& file : files) {
      if (seen.insert(file.lexically_normal()).second) pictures.push_back(file);
    }
  }
  return pictures;
}

std::vector<std::string> output_names(const std::vector<std::filesystem::path>& pictures) {
  std::vector<std::string> names;
  std::set<std::string> taken;
  for (const std::filesystem::path& picture : pictures) {
    std::string name = picture.stem().string();
    for (int number = 2; !taken.insert(name).second; ++number)
      name = fmt::format("{}_{}", picture.stem().string(), number);
    names.push_back(name);
  }
  return names;
}

}  // namespace tessera
