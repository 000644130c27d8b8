#include "net/spooled_body.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/core.h"

using namespace parlance;
using namespace parlance::net;

namespace {

namespace asio = boost::asio;

/// Has nothing but a background, which is the loop itself.
class FakeGateway final : public actors::SessionGateway {
 public:
  explicit FakeGateway(asio::io_context& io) : io_(io) {}

  bool in_background(std::function<void()> work, std::function<void()> done) override {
    if (busy) return false;
    asio::post(io_, [work = std::move(work), done = std::move(done)] {
      work();
      done();
    });
    return true;
  }
  std::size_t home_of(const SessionId&) const override { return 0; }
  void submit(const SessionId&, SubmitMessage, SubmitReply) override { FAIL(); }
  void cancel(const SessionId&, CancelMessage, StatusReply) override { FAIL(); }
  void ping(const SessionId&, std::string, PingReply) override { FAIL(); }
  void snapshot(const SessionId&, SnapshotReply) override { FAIL(); }
  void read(const SessionId&, ReadEvents, PageReply) override { FAIL(); }
  std::uint64_t run_once(std::string, RunOnceReply) override { return 0; }
  void cancel_run_once(std::uint64_t) override { FAIL(); }
  void create_client(Scope, AuthorizedReply) override { FAIL(); }
  void refresh_client(SessionId, std::string, AuthorizedReply) override { FAIL(); }
  void change_lifecycle(const SessionId&, LifecycleCommand, StatusReply) override { FAIL(); }
  void store(const SessionId&, StoreDocuments, StoreReply) override { FAIL(); }
  void await_end(const SessionId&, MessageId, StatusReply, SpeechReply) override { FAIL(); }
  void read_passages(const SessionId&, std::vector<PassageId>, PassagesReply) override { FAIL(); }
  actors::PlatformGateway& platform() override { throw std::logic_error("no platform here"); }
  actors::ConsoleGateway& console() override { throw std::logic_error("no console here"); }
  bool stopping() const override { return false; }
  bool ready() const override { return true; }

  bool busy = false;

 private:
  asio::io_context& io_;
};

struct World {
  World() {
    std::string name = (std::filesystem::temp_directory_path() / "spool-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder = name;
    Options options;
    options.spool_directory = name;
    options.uploads_max = 2;
    core = std::make_shared<Core>(io, std::make_shared<Shared>(std::move(options), nullptr), 0);
    core->set_gateway(&gateway);
  }
  ~World() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }

  Status wait(asio::awaitable<Status> work) {
    std::optional<Status> result;
    asio::co_spawn(io, std::move(work), [&result](const std::exception_ptr&, Status status) {
      result = std::move(status);
    });
    io.restart();
    io.run();
    REQUIRE(result);
    return *result;
  }

  std::filesystem::path folder;
  asio::io_context io;
  FakeGateway gateway{io};
  std::shared_ptr<Core> core;
};

std::string content(const UniqueFd& file) {
  struct stat status {};
  REQUIRE(::fstat(file.get(), &status) == 0);
  std::string out(static_cast<std::size_t>(status.st_size), '\0');
  REQUIRE(::pread(file.get(), out.data(), out.size(), 0) == status.st_size);
  return out;
}

}  // namespace

TEST_CASE("a spooled body is in its file piece by piece") {
  World world;
  const auto body = SpooledBody::make(*world.core);
  REQUIRE(world.wait(body->open()).has_value());
  std::string all;
  for (const std::string piece : {"one", "", "two", "three"}) {
    std::string bytes = piece;
    REQUIRE(world.wait(body->append(bytes)).has_value());
    CHECK(bytes.empty());
    all += piece;
  }
  CHECK(body->bytes() == all.size());
  CHECK(content(*body->file()) == all);
}

TEST_CASE("a spooled body has a file without a name, for its owner alone") {
  World world;
  const auto body = SpooledBody::make(*world.core);
  REQUIRE(world.wait(body->open()).has_value());
  struct stat status {};
  REQUIRE(::fstat(body->file()->get(), &status) == 0);
  CHECK(status.st_nlink == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(std::filesystem::is_empty(world.folder));
}

TEST_CASE("a core has no more spooled bodies than it may have") {
  World world;
  auto first = SpooledBody::make(*world.core);
  const auto second = SpooledBody::make(*world.core);
  CHECK(second != nullptr);
  CHECK(SpooledBody::make(*world.core) == nullptr);
  first.reset();
  CHECK(SpooledBody::make(*world.core) != nullptr);
}

TEST_CASE("a spooled body whose directory is gone is refused") {
  World world;
  std::filesystem::remove(world.folder);
  const Status opened = world.wait(SpooledBody::make(*world.core)->open());
  REQUIRE(!opened.has_value());
  CHECK(opened.error().code == Errc::unavailable);
  CHECK(opened.error().detail.find(world.folder.string()) == std::string::npos);
}

TEST_CASE("a spooled body is refused where too much waits") {
  World world;
  const auto body = SpooledBody::make(*world.core);
  REQUIRE(world.wait(body->open()).has_value());
  world.gateway.busy = true;
  std::string bytes = "more";
  const Status written = world.wait(body->append(bytes));
  REQUIRE(!written.has_value());
  CHECK(written.error().code == Errc::unavailable);
}
