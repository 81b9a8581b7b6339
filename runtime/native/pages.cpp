#include "pages.hpp"

#include <cstdint>
#include <limits>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "aligned.hpp"

namespace hecc {
namespace {

#if defined(__linux__)

constexpr std::size_t kPage = std::size_t{1} << 12, kHugePage = std::size_t{1} << 21;

// Smaller blocks are left to the allocator, which has room for them among others.
constexpr std::size_t kSmallestMapping = std::size_t{1} << 17;

std::size_t mapped_bytes(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// Pages of their own go back to the system when they are freed. The allocator's do not: once it has seen a large block
// freed, it takes the next ones from its heap, which grows by what does not fit its holes, and stays as it is.
void* map(std::size_t bytes) {
  const std::size_t mapped = mapped_bytes(bytes), spare = bytes < kHugePage ? 0 : kHugePage - kPage;
  void* const found = mmap(nullptr, mapped + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (found == MAP_FAILED) throw std::bad_alloc();
  if (spare == 0) return found;
  // From the first huge page on.
  char* const start = static_cast<char*>(found);
  const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(start) % kHugePage) % kHugePage;
  if (before != 0) munmap(start, before);
  if (before != spare) munmap(start + before + mapped, spare - before);
  // Advice: where it is not taken, everything works as well, only slower.
  static_cast<void>(madvise(start + before, bytes / kHugePage * kHugePage, MADV_HUGEPAGE));
  return start + before;
}

#endif

void* allocate(std::size_t bytes) {
#if defined(__linux__)
  if (bytes >= kSmallestMapping) return map(bytes);
#endif
  return ::operator new(bytes, std::align_val_t{kAlignment});
}

void release(void* data, std::size_t bytes) {
#if defined(__linux__)
  if (bytes >= kSmallestMapping) {
    munmap(data, mapped_bytes(bytes));
    return;
  }
#else
  static_cast<void>(bytes);
#endif
  ::operator delete(data, std::align_val_t{kAlignment});
}

}  // namespace

Pages::Pages(std::size_t size) : size_(size) {
  if (size == 0) return;
  if (size > std::numeric_limits<std::size_t>::max() / 2 / sizeof(std::uint64_t)) throw std::bad_array_new_length();
  data_ = static_cast<std::uint64_t*>(allocate(size * sizeof(std::uint64_t)));
}

Pages::~Pages() {
  if (data_ != nullptr) release(data_, size_ * sizeof(std::uint64_t));
}

}  // namespace hecc
