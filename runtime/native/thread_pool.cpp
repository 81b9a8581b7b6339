#include "thread_pool.hpp"

#include <stdexcept>
#include <string>

namespace hecc {
namespace {

// Phases of one operation follow one another within microseconds, sooner than a sleeping thread wakes: so a thread
// looks for the next loop a while before it sleeps.
constexpr int kSpins = 2000;

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(std::size_t threads) : threads_(threads) {
  if (threads < 1 || threads > 1024) {
    throw std::invalid_argument("the number of threads " + std::to_string(threads) + " is outside 1..1024");
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(std::size_t count, const Body& body) {
  if (count == 0) return;
  const std::lock_guard<std::mutex> turn(turn_);
  if (threads_ == 1 || count == 1) {
    for (std::size_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
  start();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    body_ = &body;
    count_ = count;
    error_ = nullptr;
    next_.store(0, std::memory_order_relaxed);
    busy_.store(workers_.size(), std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  iterate(0);
  for (int spins = 0; spins < kSpins && busy_.load(std::memory_order_acquire) != 0; ++spins) pause();
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [this] { return busy_.load(std::memory_order_acquire) == 0; });
  if (error_ != nullptr) std::rethrow_exception(error_);
}

void ThreadPool::start() {
  while (workers_.size() + 1 < threads_) {
    const std::size_t worker = workers_.size() + 1;
    // Counted from here on: no loop is at hand now, and the next one may begin before the thread does.
    const std::uint64_t seen = generation_.load(std::memory_order_relaxed);
    workers_.emplace_back([this, worker, seen] { work(worker, seen); });
  }
}

void ThreadPool::work(std::size_t worker, std::uint64_t seen) {
  for (;;) {
    for (int spins = 0; spins < kSpins && generation_.load(std::memory_order_acquire) == seen; ++spins) pause();
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this, seen] { return generation_.load(std::memory_order_relaxed) != seen; });
      if (stop_) return;
      seen = generation_.load(std::memory_order_relaxed);
    }
    iterate(worker);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      // Taken so that the caller is either before its check or asleep, never in between.
      const std::lock_guard<std::mutex> lock(mutex_);
      done_.notify_one();
    }
  }
}

void ThreadPool::iterate(std::size_t worker) {
  try {
    for (;;) {
      const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
      if (index >= count_) return;
      (*body_)(index, worker);
    }
  } catch (...) {
    next_.store(count_, std::memory_order_relaxed);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (error_ == nullptr) error_ = std::current_exception();
  }
}

}  // namespace hecc
