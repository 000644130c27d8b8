#include "rag/chroma_client.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio.hpp>
#include <catch2/catch.hpp>

#include "base/json.h"
#include "tests/unit/http/scripted_upstream.h"

namespace parlance::rag {
namespace {

using namespace std::chrono_literals;
using namespace http::test;

const std::string kId = "dfeb87a8-5db4-4eac-bb84-a0d615195720";
const std::string kDatabase = "/api/v2/tenants/default_tenant/databases/default_database";

std::string collection_json(const std::string& name) {
  return R"({"id":")" + kId + R"(","name":")" + name + R"(","metadata":null})";
}

/// A server that answers every request with `status` and `body`.
struct Fixture {
  explicit Fixture(std::string status = "200 OK", std::string body = "{}")
      : Fixture([status, body](int, const std::string&) {
          return Reply{{http_response(status, body)}};
        }) {}
  explicit Fixture(ScriptedUpstream::Script script)
      : upstream(io,
                 [this, script = std::move(script)](int request, const std::string& body) {
                   lines.push_back(upstream.last_head.substr(0, upstream.last_head.find(" HTTP/")));
                   bodies.push_back(body);
                   return script(request, body);
                 }),
        loop(io) {
    options.chroma_url = upstream.base_url();
    options.chroma_url.erase(options.chroma_url.rfind("/v1"));
    options.chroma_url += '/';
    connect();
  }
  void connect() { client = std::make_unique<ChromaClient>(loop, options); }

  /// Keeps what a call says in `*end`, which must be empty when the call returns.
  template <class T>
  auto into(std::optional<Result<T>>* end) {
    return [this, end](Result<T> result) {
      ++ends;
      *end = std::move(result);
      if (when_done) when_done();
    };
  }
  template <class T>
  Result<T>& wait(std::optional<Result<T>>& end) {
    REQUIRE(run_until(io, [&] { return end.has_value(); }));
    return *end;
  }
  Status heartbeat() {
    std::optional<Status> end;
    client->heartbeat(into(&end));
    CHECK_FALSE(end.has_value());
    return wait(end);
  }

  boost::asio::io_context io;
  std::vector<std::string> lines;   // "METHOD path" of each request.
  std::vector<std::string> bodies;  // Of each request.
  ScriptedUpstream upstream;
  http::TransferLoop loop;
  Options options;
  std::unique_ptr<ChromaClient> client;
  std::function<void()> when_done;
  int ends = 0;
};

std::vector<ChromaRecord> records(std::size_t count) {
  std::vector<ChromaRecord> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back({"id" + std::to_string(i), {1, 0}, "text", {}});
  }
  return out;
}

}  // namespace

TEST_CASE("every call is the request that Chroma knows") {
  Fixture f("200 OK", collection_json("abc"));
  std::optional<Status> done;
  std::optional<Result<ChromaCollection>> collection;
  std::string expected;
  SECTION("heartbeat") {
    f.client->heartbeat(f.into(&done));
    expected = "GET /api/v2/heartbeat";
  }
  SECTION("open a collection") {
    f.client->open_collection("abc", {{"a", "b"}}, f.into(&collection));
    expected = "POST " + kDatabase + "/collections";
  }
  SECTION("find a collection") {
    f.client->find_collection("abc", f.into(&collection));
    expected = "GET " + kDatabase + "/collections/abc";
  }
  SECTION("delete a collection") {
    f.client->delete_collection("abc", f.into(&done));
    expected = "DELETE " + kDatabase + "/collections/abc";
  }
  SECTION("upsert") {
    f.client->upsert(kId, records(1), f.into(&done));
    expected = "POST " + kDatabase + "/collections/" + kId + "/upsert";
  }
  SECTION("remove by ids") {
    f.client->remove(kId, {"a"}, f.into(&done));
    expected = "POST " + kDatabase + "/collections/" + kId + "/delete";
  }
  SECTION("remove by a filter") {
    f.client->remove_where(kId, ChromaWhere::equal("a", true), f.into(&done));
    expected = "POST " + kDatabase + "/collections/" + kId + "/delete";
  }
  REQUIRE(run_until(f.io, [&] { return f.ends == 1; }));
  CHECK(f.lines == std::vector{expected});
  CHECK((done ? done->has_value() : collection->has_value()));
  if (collection) CHECK((*collection)->id == kId);
}

TEST_CASE("a query gives what the server found") {
  Fixture f("200 OK",
            R"({"ids":[["a"]],"documents":[["A"]],"metadatas":[[null]],"distances":[[0.5]]})");
  std::optional<Result<std::vector<ChromaMatch>>> end;
  f.client->query(kId, {1, 0}, 3, ChromaWhere::at_most("seq", 9), f.into(&end));
  const auto& matches = f.wait(end);
  REQUIRE(matches.has_value());
  REQUIRE(matches->size() == 1);
  CHECK((*matches)[0].distance == 0.5F);
  CHECK(f.bodies[0].find(R"("where":{"seq":{"$lte":9}})") != std::string::npos);
}

TEST_CASE("a collection that does not exist is deleted") {
  Fixture f("404 Not Found", R"({"error":"NotFoundError","message":"x"})");
  std::optional<Status> end;
  f.client->delete_collection("abc", f.into(&end));
  CHECK(f.wait(end).has_value());
}

TEST_CASE("a collection that does not exist is not found by the other calls") {
  Fixture f("404 Not Found", R"({"error":"NotFoundError","message":"x"})");
  std::optional<Result<std::size_t>> end;
  f.client->count(kId, f.into(&end));
  REQUIRE(f.wait(end).has_error());
  CHECK(end->error().code == Errc::not_found);
}

TEST_CASE("records over the size of a request are sent in several, one after the other") {
  Fixture f;
  std::optional<Status> end;
  f.client->upsert(kId, records(600), f.into(&end));
  REQUIRE(f.wait(end).has_value());
  CHECK(f.lines.size() == 3);
  CHECK(f.upstream.connections == 1);
}

TEST_CASE("storing ends at the first request that fails") {
  Fixture f([](int request, const std::string&) {
    return Reply{{http_response(request == 1 ? "503 Busy" : "200 OK", "{}")}};
  });
  std::optional<Status> end;
  f.client->upsert(kId, records(600), f.into(&end));
  REQUIRE(f.wait(end).has_error());
  CHECK(end->error().code == Errc::unavailable);
  run_ready(f.io);
  CHECK(f.lines.size() == 2);
}

TEST_CASE("a list of collections is read page by page and keeps those with the prefix") {
  Fixture f([](int request, const std::string&) {
    std::string page;
    for (int i = 0; i < (request == 0 ? 500 : 3); ++i) {
      page += (page.empty() ? "[" : ",") + collection_json(i == 1 ? "ours-1" : "other-1");
    }
    return Reply{{http_response("200 OK", page + "]")}};
  });
  std::optional<Result<std::vector<ChromaCollection>>> end;
  f.client->list_collections("ours-", f.into(&end));
  REQUIRE(f.wait(end).has_value());
  CHECK((*end)->size() == 2);
  CHECK(f.lines ==
        std::vector<std::string>{"GET " + kDatabase + "/collections?limit=500&offset=0",
                                 "GET " + kDatabase + "/collections?limit=500&offset=500"});
}

TEST_CASE("what cannot be right is refused without a request, and not before the call returned") {
  Fixture f;
  std::optional<Status> done;
  std::optional<Result<ChromaCollection>> collection;
  std::optional<Result<std::vector<ChromaMatch>>> matches;
  SECTION("a name") {
    f.client->open_collection("a/b", {}, f.into(&collection));
  }
  SECTION("an id of a collection") {
    f.client->upsert("../x", records(1), f.into(&done));
  }
  SECTION("a record") {
    auto wrong = records(600);
    wrong.back().document = "\xff";
    f.client->upsert(kId, std::move(wrong), f.into(&done));
  }
  SECTION("no results") {
    // Chroma 1.0 closes the connection when it is asked for none.
    f.client->query(kId, {1}, 0, {}, f.into(&matches));
  }
  SECTION("too many results") {
    f.client->query(kId, {1}, kChromaResultsMax + 1, {}, f.into(&matches));
  }
  SECTION("too many ids") {
    f.client->get(kId, std::vector<std::string>(kChromaResultsMax + 1, "a"), f.into(&matches));
  }
  SECTION("everything as a filter") {
    f.client->remove_where(kId, {}, f.into(&done));
  }
  CHECK(f.ends == 0);
  REQUIRE(run_until(f.io, [&] { return f.ends == 1; }));
  const Errc code = done         ? done->error().code
                    : collection ? collection->error().code
                                 : matches->error().code;
  CHECK(code == Errc::invalid_argument);
  CHECK(f.lines.empty());
}

TEST_CASE("nothing to do is done without a request") {
  Fixture f;
  std::optional<Status> done;
  std::optional<Result<std::vector<ChromaMatch>>> matches;
  SECTION("store") {
    f.client->upsert(kId, {}, f.into(&done));
  }
  SECTION("remove") {
    f.client->remove(kId, {}, f.into(&done));
  }
  SECTION("get") {
    f.client->get(kId, {}, f.into(&matches));
  }
  CHECK(f.ends == 0);
  REQUIRE(run_until(f.io, [&] { return f.ends == 1; }));
  CHECK((done ? done->has_value() : matches->has_value()));
  CHECK(f.lines.empty());
}

TEST_CASE("a Chroma that is not there is unavailable, and is found when it comes back") {
  boost::asio::io_context other;
  std::string gone;
  {
    boost::asio::ip::tcp::acceptor closed(other, {boost::asio::ip::make_address("127.0.0.1"), 0});
    gone = "http://127.0.0.1:" + std::to_string(closed.local_endpoint().port());
  }
  Fixture f;
  f.options.chroma_url = gone;
  f.connect();
  const Status result = f.heartbeat();
  REQUIRE(result.has_error());
  CHECK(result.error().code == Errc::unavailable);
  CHECK(result.error().detail.starts_with("Chroma could not be reached: "));
}

TEST_CASE("a Chroma that closes the connection is unavailable, and the next call opens another") {
  Fixture f([](int request, const std::string&) {
    if (request == 0) return Reply{{}, Reply::Then::close};
    return Reply{{http_response("200 OK", "{}")}};
  });
  const Status result = f.heartbeat();
  REQUIRE(result.has_error());
  CHECK(result.error().code == Errc::unavailable);
  CHECK(f.heartbeat().has_value());
}

TEST_CASE("a Chroma that does not answer in time is given up") {
  Fixture f([](int, const std::string&) { return Reply{{}, Reply::Then::stall}; });
  f.options.request_timeout = 30ms;
  f.connect();
  const Status result = f.heartbeat();
  REQUIRE(result.has_error());
  CHECK(result.error().code == Errc::deadline_exceeded);
  CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
}

TEST_CASE("a URL that is none is a mistake in the configuration") {
  Fixture f;
  f.options.chroma_url = "ftp://127.0.0.1";
  f.connect();
  const Status result = f.heartbeat();
  REQUIRE(result.has_error());
  CHECK(result.error().code == Errc::failed_precondition);
}

TEST_CASE("a cancelled call says nothing, at whatever it was") {
  Fixture f([](int request, const std::string&) {
    if (request == 0) return Reply{{http_response("200 OK", "{}")}};
    return Reply{{}, Reply::Then::stall};
  });
  std::optional<Status> end;
  SECTION("between two of its requests") {
    const auto call = f.client->upsert(kId, records(600), f.into(&end));
    REQUIRE(run_until(f.io, [&] { return f.lines.size() == 2; }));
    f.client->cancel(call);
    f.client->cancel(call);
    CHECK(run_until(f.io, [&] { return f.upstream.closed_by_client == 1; }));
  }
  SECTION("refused and not told so yet") {
    f.client->cancel(f.client->upsert("x", {}, f.into(&end)));
  }
  SECTION("with the client") {
    f.client->upsert(kId, records(600), f.into(&end));
    f.client->upsert("x", {}, f.into(&end));
    f.client.reset();
  }
  run_ready(f.io);
  CHECK(f.ends == 0);
}

TEST_CASE("the end of a call may be the end of the client") {
  Fixture f;
  std::optional<Status> end;
  f.when_done = [&] { f.client.reset(); };
  SECTION("of one that was sent") {
    f.client->heartbeat(f.into(&end));
  }
  SECTION("of one that was refused") {
    f.client->upsert("x", {}, f.into(&end));
  }
  f.wait(end);
  CHECK(f.client == nullptr);
}

}  // namespace parlance::rag
