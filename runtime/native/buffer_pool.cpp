#include "buffer_pool.hpp"

#include <algorithm>

namespace hecc {

BufferPool::Buffer BufferPool::borrow(std::size_t words) {
  Pages found;
  std::vector<Pages> surplus;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // The smallest that is large enough, unless an eighth of it would be wasted, perhaps for long.
    const auto fitting = unused_.lower_bound(words);
    if (fitting != unused_.end() && fitting->first - fitting->first / 8 <= words) {
      found = std::move(fitting->second.back());
      fitting->second.pop_back();
      kept_ -= found.size();
      if (fitting->second.empty()) unused_.erase(fitting);
    }
    lent_ += std::max(words, found.size());
    most_lent_ = std::max(most_lent_, lent_);
    surplus = take_surplus();
  }
  surplus.clear();  // before there is more memory, and after the lock
  if (found.size() != 0 || words == 0) return Buffer(shared_from_this(), std::move(found));
  try {
    return Buffer(shared_from_this(), Pages(words));
  } catch (...) {
    const std::lock_guard<std::mutex> lock(mutex_);
    lent_ -= words;
    throw;
  }
}

void BufferPool::take_back(Pages words) {
  std::vector<Pages> surplus;  // freed after the lock
  const std::lock_guard<std::mutex> lock(mutex_);
  lent_ -= words.size();
  kept_ += words.size();
  unused_[words.size()].push_back(std::move(words));
  surplus = take_surplus();
}

std::vector<Pages> BufferPool::take_surplus() {
  std::vector<Pages> surplus;
  // The largest go first: they are the fewest to make again.
  while (lent_ + kept_ > most_lent_ + most_lent_ / 4) {
    const auto largest = std::prev(unused_.end());
    kept_ -= largest->first;
    surplus.push_back(std::move(largest->second.back()));
    largest->second.pop_back();
    if (largest->second.empty()) unused_.erase(largest);
  }
  return surplus;
}

}  // namespace hecc
