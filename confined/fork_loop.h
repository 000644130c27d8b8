// A process that has loaded a program and forks it for each request, so that a request does not
// wait for the loading: the other end of ChildProcess::fork.
//
//   parent -> this   kForkByte, with one end of a socket pair
//   this -> parent   one byte, with the pidfd of the child that has this end; without it where the
//                    system refused
//
// The process itself is not confined: it reads nothing but those bytes of its parent, and holds
// nothing of a stranger. A child does not share its socket and, once it is confined, reaches
// neither it nor the other children. What they share is where things lie in memory: one loading
// draws the addresses, and the stack's guard, for all children of one process. Who finds them out
// in one child still has to break out of the filter of another.
#pragma once

#include <functional>

namespace parlance::confined {

inline constexpr char kForkByte = 'f';

/// Serves forks on standard input until its parent has closed that. A child has its end as standard
/// input and output and nothing else but standard error; it ends with what `run` returns, or when
/// this process does. Call it with everything loaded. Other threads are not forked: none may be at
/// work.
void serve_forks(const std::function<int()>& run);

}  // namespace parlance::confined
