// What threads tell the kernel about themselves.
#pragma once

namespace parlance {

/// Names the calling thread, for people who look at it from outside; up to 15 characters.
void name_thread(const char* name) noexcept;

/// Lets the calling thread wait its turn: when it wakes, it does not take the processor from a core
/// that is at work (SCHED_BATCH; sched(7)). For threads whose delay costs less than a core's
/// interruption costs all its sessions; not for the one that makes messages durable, since every
/// acknowledgement waits for it.
void become_background_thread() noexcept;

/// The same, and the thread gets little of a processor that others want (nice 15). For what takes
/// seconds.
void become_patient_thread() noexcept;

}  // namespace parlance
