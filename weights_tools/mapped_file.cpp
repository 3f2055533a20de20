#include "weights_tools/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "weights_tools/refusal.h"

namespace tessera {

MappedFile::MappedFile(const std::filesystem::path& file) {
  const auto fail = [&](const char* what, int error) {
    refuse_weights(file.string(), fmt::format("{}: {}", what, std::generic_category().message(error)),
                   "ls -l " + file.string());
  };
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail("cannot open", errno);
  struct stat status {};
  const bool known = fstat(descriptor, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    close(descriptor);
    refuse_weights(file.string(), "not a file", "ls -ld " + file.string());
  }
  size_ = static_cast<size_t>(status.st_size);
  void* memory = size_ > 0 ? mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0) : nullptr;
  const int error = errno;
  close(descriptor);
  if (memory == MAP_FAILED) fail("cannot read", error);
  data_ = static_cast<const char*>(memory);
}

MappedFile::~MappedFile() {
  if (data_) munmap(const_cast<char*>(data_), size_);
}

void MappedFile::forget(size_t begin, size_t end) const {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  begin = (begin + page - 1) / page * page;
  end = end / page * page;
  if (begin < end) madvise(const_cast<char*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace tessera
