#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace parlance {

void name_thread(const char* name) noexcept {
  pthread_setname_np(pthread_self(), name);
}

void become_background_thread() noexcept {
  const sched_param none{};
  sched_setscheduler(0, SCHED_BATCH, &none);  // Where it is not allowed all goes on as before.
}

void become_patient_thread() noexcept {
  become_background_thread();
  constexpr int kNice = 15;
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
}

}  // namespace parlance
