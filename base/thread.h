// What the threads beside the cores tell the kernel about themselves.
#pragma once

namespace parlance {

/// Names the calling thread (up to 15 characters) and lets it wait its turn: when it wakes, it does
/// not take the processor from a core that is at work (SCHED_BATCH; sched(7)). For threads that
/// wait for a disk or a tool, and whose delay is less than what a core's interruption would cost
/// all its sessions.
void become_background_thread(const char* name) noexcept;

}  // namespace parlance
