// What is to be said about picture files that were read all the same (remarks_on in data/image/decode.h): a note on
// stderr, once for a picture however often it is read.
#pragma once

#include <set>
#include <string>

namespace tessera {

class PictureNotes {
 public:
  explicit PictureNotes(bool quiet) : quiet_(quiet) {}

  // "FILE: what"; "" or a remark made before: nothing. After many pictures one line says that the rest is left out.
  void add(const std::string& remark);
  void add(const std::string& file, const std::string& remarks) {
    if (!remarks.empty()) add(file + ": " + remarks);
  }

 private:
  bool quiet_;
  std::set<std::string> made_;
};

}  // namespace tessera
