#include "buffer_pool.hpp"

#include <algorithm>

namespace hecc {

BufferPool::Buffer BufferPool::borrow(std::size_t words) {
  Pages found;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    lent_ += words;
    most_lent_ = std::max(most_lent_, lent_);
    const auto same_size = unused_.find(words);
    if (same_size != unused_.end()) {
      found = std::move(same_size->second.back());
      same_size->second.pop_back();
      kept_ -= words;
      if (same_size->second.empty()) unused_.erase(same_size);
    }
  }
  if (found.size() == words) return Buffer(shared_from_this(), std::move(found));
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
  // The largest go first: they are the fewest to make again.
  while (lent_ + kept_ > most_lent_) {
    const auto largest = std::prev(unused_.end());
    kept_ -= largest->first;
    surplus.push_back(std::move(largest->second.back()));
    largest->second.pop_back();
    if (largest->second.empty()) unused_.erase(largest);
  }
}

}  // namespace hecc
