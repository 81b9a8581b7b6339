#include "pages.hpp"

#include <limits>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "aligned.hpp"

namespace hecc {
namespace {

constexpr std::size_t kHugePage = std::size_t{1} << 21;

// Small blocks would waste most of a huge page.
std::align_val_t alignment_of(std::size_t words) {
  return std::align_val_t{words * sizeof(std::uint64_t) < kHugePage ? kAlignment : kHugePage};
}

}  // namespace

Pages::Pages(std::size_t size) : size_(size) {
  if (size == 0) return;
  if (size > std::numeric_limits<std::size_t>::max() / 2 / sizeof(std::uint64_t)) throw std::bad_array_new_length();
  const std::size_t bytes = size * sizeof(std::uint64_t);
  data_ = static_cast<std::uint64_t*>(::operator new(bytes, alignment_of(size)));
#if defined(__linux__)
  // Advice: where it is not taken, everything works as well, only slower.
  if (bytes >= kHugePage) static_cast<void>(madvise(data_, bytes / kHugePage * kHugePage, MADV_HUGEPAGE));
#endif
}

Pages::~Pages() {
  if (data_ != nullptr) ::operator delete(data_, alignment_of(size_));
}

}  // namespace hecc
