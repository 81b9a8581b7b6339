// Memory that is used again: fresh pages cost as much as a transform of what they hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "pages.hpp"

namespace hecc {

// Hands out buffers of words, of the size asked for or somewhat larger, and takes them back. Thread-safe. With what is
// in use it keeps no more than the most that has ever been in use at once and a quarter: phases of one operation want
// different sizes, and would make each other's buffers go.
class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  // A loan: returns its memory when it ends. Its contents are whatever was there.
  class Buffer {
   public:
    Buffer() = default;
    Buffer(Buffer&&) noexcept = default;
    Buffer& operator=(Buffer&& other) noexcept {
      std::swap(words_, other.words_);
      std::swap(pool_, other.pool_);
      return *this;
    }
    ~Buffer() {
      if (pool_ != nullptr) pool_->take_back(std::move(words_));
    }
    std::uint64_t* data() { return words_.data(); }
    const std::uint64_t* data() const { return words_.data(); }
    std::size_t size() const { return words_.size(); }

   private:
    friend class BufferPool;
    Buffer(std::shared_ptr<BufferPool> pool, Pages words) : words_(std::move(words)), pool_(std::move(pool)) {}
    Pages words_;
    std::shared_ptr<BufferPool> pool_;
  };

  Buffer borrow(std::size_t words);

 private:
  void take_back(Pages words);
  std::vector<Pages> take_surplus();  // under the lock

  std::mutex mutex_;
  std::map<std::size_t, std::vector<Pages>> unused_;  // by size
  std::size_t lent_ = 0, most_lent_ = 0, kept_ = 0;   // words
};

}  // namespace hecc
