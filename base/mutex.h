// std::mutex with clang's thread-safety annotations, which libstdc++ leaves out.
#pragma once

#include <mutex>

#if defined(__clang__)
#define PARLANCE_ANNOTATE(x) __attribute__((x))
#else
#define PARLANCE_ANNOTATE(x)
#endif
#define GUARDED_BY(m) PARLANCE_ANNOTATE(guarded_by(m))

namespace parlance {

class PARLANCE_ANNOTATE(capability("mutex")) Mutex {
 public:
  void lock() PARLANCE_ANNOTATE(acquire_capability()) { mutex_.lock(); }
  void unlock() PARLANCE_ANNOTATE(release_capability()) { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class PARLANCE_ANNOTATE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) PARLANCE_ANNOTATE(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() PARLANCE_ANNOTATE(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace parlance
