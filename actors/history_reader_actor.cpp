#include "actors/history_reader_actor.h"

#include <caf/send.hpp>

#include "base/check.h"
#include "base/thread.h"

namespace parlance::actors {

HistoryReaderActor::HistoryReaderActor(caf::actor_config& config, const storage::Store& store,
                                       std::size_t load_bytes_max)
    : HistoryReaderHandle::base(config), store_(store), load_bytes_max_(load_bytes_max) {}

HistoryReaderActor::behavior_type HistoryReaderActor::make_behavior() {
  name_thread("reader");
  become_background_thread();
  set_error_handler([](caf::error& /*error*/) {});
  // Without this actor every session would wait for ever; a restart goes on from the log.
  set_exception_handler([](std::exception_ptr& /*thrown*/) -> caf::error {
    check_failed("no exception in the history reader actor", __FILE__, __LINE__);
  });
  return {
      [this](const LoadSession& m) {
        caf::anon_send(m.session, Loaded{store_.load(m.id, load_bytes_max_)});
      },
      [this](const ReadLog& m) { m.reply(store_.read(m.session, m.range)); },
      [this](const ReadStore& m) { m.read(store_); },
      [this](const ReadPassages& m) { m.reply(store_.passage_texts(m.session, m.ids)); },
  };
}

}  // namespace parlance::actors
