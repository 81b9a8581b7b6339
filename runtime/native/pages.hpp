// Large blocks of words, on huge pages where the system has them: the limbs of a polynomial lie a multiple of a page
// apart, so that work on a few at a time would miss the translation of addresses all the time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace hecc {

// A fixed number of uninitialised words, at an address divisible by 64 at least.
class Pages {
 public:
  Pages() = default;
  explicit Pages(std::size_t size);
  Pages(Pages&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Pages& operator=(Pages&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Pages();

  std::uint64_t* data() { return data_; }
  const std::uint64_t* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::uint64_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace hecc
