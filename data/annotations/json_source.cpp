#include "data/annotations/json_source.h"

#include <cerrno>
#include <cstring>

namespace tessera {

JsonSource::JsonSource(const std::filesystem::path& file) : name_(file.string()), buffer_(size_t{1} << 18) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    throw Error(ExitCode::data, name_ + ": is a folder, expected a JSON file", "name the file inside it");
  }
  file_ = std::fopen(name_.c_str(), "rb");
  if (file_ == nullptr) {
    throw Error(ExitCode::data, fmt::format("{}: cannot be opened: {}", name_, std::strerror(errno)),
                "check the path and its permissions: ls -l " + name_);
  }
  std::setvbuf(file_, nullptr, _IONBF, 0);  // fill() reads large pieces itself
  try {
    fill();
    const size_t bytes = static_cast<size_t>(end_ - cursor_);
    if (bytes == 0) throw Error(ExitCode::data, name_ + ": file is empty", "copy or export the file again");
    const auto byte = [&](size_t i) { return i < bytes ? static_cast<unsigned char>(cursor_[i]) : 0x20; };
    if ((byte(0) == 0xff && byte(1) == 0xfe) || (byte(0) == 0xfe && byte(1) == 0xff) || byte(0) == 0 || byte(1) == 0) {
      throw Error(ExitCode::data, name_ + ": text is UTF-16 or UTF-32 (byte 0), JSON files are UTF-8",
                  fmt::format("iconv -f UTF-16 -t UTF-8 {0} > {0}.utf8", name_));
    }
  } catch (...) {
    std::fclose(file_);
    throw;
  }
}

JsonSource::~JsonSource() { std::fclose(file_); }

void JsonSource::fill() {
  const size_t bytes = std::fread(buffer_.data(), 1, buffer_.size(), file_);
  if (bytes == 0 && std::ferror(file_) != 0) {
    throw Error(ExitCode::data, fmt::format("{}: cannot be read: {}", name_, std::strerror(errno)));
  }
  cursor_ = buffer_.data();
  end_ = cursor_ + bytes;
}

void JsonSource::syntax_error(size_t position, const std::string& last_token, const std::string& what) const {
  std::string reason = what;
  if (const size_t bracket = reason.find("] "); bracket != std::string::npos) reason.erase(0, bracket + 2);
  for (char& c : reason) c = c >= ' ' && c <= '~' ? c : '?';  // one line of plain text, whatever the file holds
  std::string hint = "open the file at that place and correct it, or export it again";
  const char last = last_token.empty() ? ' ' : last_token.back();
  if (last == 'N' || last == 'I') {
    reason += " (NaN and Infinity are not JSON)";
    hint = "replace the value by a number or remove the annotation";
  } else if (reason.find("UTF-8") != std::string::npos) {
    hint = fmt::format("iconv -f LATIN1 -t UTF-8 {0} > {0}.utf8", name_);
  } else if (reason.find("unexpected end of input") != std::string::npos) {
    reason += " (the file is cut short)";
    hint = "copy or download the file again";
  }
  throw Error(ExitCode::data, fmt::format("{}: not valid JSON: byte {}: {}", name_, position, reason), hint);
}

void JsonSource::too_deep(size_t limit) const {
  throw Error(ExitCode::data, fmt::format("{}: nested deeper than {} levels", name_, limit),
              "this is not an annotation file; export it again");
}

}  // namespace tessera
