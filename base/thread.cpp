#include "base/thread.h"

#include <pthread.h>
#include <sched.h>

namespace parlance {

void name_thread(const char* name) noexcept {
  pthread_setname_np(pthread_self(), name);
}

void become_background_thread() noexcept {
  const sched_param none{};
  sched_setscheduler(0, SCHED_BATCH, &none);  // Where it is not allowed all goes on as before.
}

}  // namespace parlance
