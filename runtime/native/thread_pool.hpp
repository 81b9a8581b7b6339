// A pool of threads that runs the iterations of a loop.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hecc {

// Threads are started at the first loop that has work for them and sleep between loops. The calling thread works too,
// and waits for those only that have joined it in time. Which thread runs which iteration is left to chance, so an
// iteration must write only what no other one touches: then results do not depend on the number of threads.
class ThreadPool {
 public:
  using Body = std::function<void(std::size_t index, std::size_t worker)>;

  // Throws std::invalid_argument unless 1 <= threads <= 1024.
  explicit ThreadPool(std::size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t threads() const { return threads_; }

  // Calls body(i, worker) once for every i in [0, count), and returns when all are done; worker < threads() tells the
  // threads apart, for scratch memory. After an exception no further iterations start, and the first one is rethrown
  // here. A body must not call this. Callers that share several threads take turns, loop by loop; where there is
  // nothing to share, each runs its loops by itself.
  void run(std::size_t count, const Body& body);

 private:
  void start();
  void work(std::size_t worker);
  void iterate(std::size_t worker);
  void keep_off_this_processor();

  std::size_t threads_;
  std::vector<std::thread> workers_;
  std::mutex turn_;

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  // The number of the loop at hand, above kOpen while threads may join it, above how many have.
  static constexpr std::uint64_t kGeneration = std::uint64_t{1} << 32, kOpen = kGeneration >> 1, kJoined = kOpen - 1;
  std::atomic<std::uint64_t> state_{0};
  std::atomic<std::size_t> asleep_{0};  // workers that wait to be woken, or are about to
  int avoided_ = -1;                    // the processor that workers are kept off
  bool stop_ = false;

  // The loop at hand.
  const Body* body_ = nullptr;
  std::size_t count_ = 0;
  std::atomic<std::size_t> next_{0};
  std::exception_ptr error_;
};

}  // namespace hecc
