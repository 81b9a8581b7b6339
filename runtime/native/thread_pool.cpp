#include "thread_pool.hpp"

#include <stdexcept>
#include <string>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

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
    state_.fetch_add(kGeneration, std::memory_order_release);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(std::size_t count, const Body& body) {
  if (threads_ == 1 || count <= 1) {
    for (std::size_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
  const std::lock_guard<std::mutex> turn(turn_);
  start();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    body_ = &body;
    count_ = count;
    error_ = nullptr;
    next_.store(0, std::memory_order_relaxed);
    // Nobody is in a loop now, so that only the generation is there to keep.
    const std::uint64_t before = state_.load(std::memory_order_relaxed);
    state_.store(((before + kGeneration) & ~(kGeneration - 1)) | kOpen, std::memory_order_release);
  }
  if (asleep_.load(std::memory_order_relaxed) != 0) keep_off_this_processor();
  wake_.notify_all();
  iterate(0);
  // Whoever has not joined by now is not waited for: on a busy machine a worker may get no processor for as long as
  // many loops take.
  state_.fetch_and(~kOpen, std::memory_order_acq_rel);
  const auto left = [this] { return (state_.load(std::memory_order_acquire) & kJoined) == 0; };
  for (int spins = 0; spins < kSpins && !left(); ++spins) pause();
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, left);
  if (error_ != nullptr) std::rethrow_exception(error_);
}

// Linux wakes a thread on the processor of whoever wakes it, where it finds the caller at work and no time to itself;
// and loops are over before the load is balanced. So sleeping workers are moved to the other processors that the caller
// may use. It is advice: where it cannot be followed, everything works as well, only slower.
void ThreadPool::keep_off_this_processor() {
#if defined(__linux__) && defined(__GLIBC__)
  const int processor = sched_getcpu();
  if (processor < 0 || processor == avoided_) return;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || !CPU_ISSET(processor, &allowed)) return;
  CPU_CLR(processor, &allowed);
  if (CPU_COUNT(&allowed) == 0) return;
  for (std::thread& worker : workers_) {
    static_cast<void>(pthread_setaffinity_np(worker.native_handle(), sizeof allowed, &allowed));
  }
  avoided_ = processor;
#endif
}

void ThreadPool::start() {
  while (workers_.size() + 1 < threads_) {
    const std::size_t worker = workers_.size() + 1;
    workers_.emplace_back([this, worker] { work(worker); });
  }
}

void ThreadPool::work(std::size_t worker) {
  std::uint64_t seen = 0;  // the generation of the last loop met
  const auto changed = [this, &seen] { return (state_.load(std::memory_order_acquire) & ~(kGeneration - 1)) != seen; };
  for (;;) {
    for (int spins = 0; spins < kSpins && !changed(); ++spins) pause();
    {
      std::unique_lock<std::mutex> lock(mutex_);
      asleep_.fetch_add(1, std::memory_order_relaxed);
      // The end, too, changes the state: a thread that takes it for a loop that it has missed would wait for ever.
      wake_.wait(lock, [this, &changed] { return stop_ || changed(); });
      asleep_.fetch_sub(1, std::memory_order_relaxed);
      if (stop_) return;
    }
    std::uint64_t state = state_.load(std::memory_order_acquire);
    seen = state & ~(kGeneration - 1);
    bool joined = false;
    while ((state & ~(kGeneration - 1)) == seen && (state & kOpen) != 0 && !joined) {
      joined = state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel, std::memory_order_acquire);
    }
    if (!joined) continue;
    iterate(worker);
    if (((state_.fetch_sub(1, std::memory_order_acq_rel) - 1) & (kOpen | kJoined)) == 0) {
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
