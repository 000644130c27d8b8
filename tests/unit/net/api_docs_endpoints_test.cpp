#include "net/api_docs_endpoints.h"

#include <algorithm>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "base/json.h"

using namespace parlance;
using net::Endpoint;
using net::HttpRequest;
using net::HttpResponse;

namespace {

HttpRequest request_for(Endpoint endpoint, std::string file = {}) {
  HttpRequest request;
  request.route = {.endpoint = endpoint, .name = std::move(file)};
  return request;
}

std::string header(const HttpResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return {};
}

}  // namespace

TEST_CASE("the OpenAPI document is JSON of version 3.1") {
  const HttpResponse response = net::api_document(request_for(Endpoint::openapi));
  const auto document = json::parse(response.body);
  REQUIRE(document.has_value());
  CHECK(json::view((*document)["openapi"]) == "3.1.0");
}

TEST_CASE("the AsyncAPI document is JSON of version 3.0") {
  const HttpResponse response = net::api_document(request_for(Endpoint::asyncapi));
  const auto document = json::parse(response.body);
  REQUIRE(document.has_value());
  CHECK(json::view((*document)["asyncapi"]) == "3.0.0");
}

TEST_CASE("who takes gzip gets less") {
  HttpRequest request = request_for(Endpoint::docs_file, "swagger-ui.css");
  const HttpResponse plain = net::api_document(request);
  request.accept_encoding = "deflate, gzip;q=0.5";
  const HttpResponse gzipped = net::api_document(request);
  CHECK(header(plain, "Content-Encoding").empty());
  CHECK(header(gzipped, "Content-Encoding") == "gzip");
  CHECK(gzipped.body.size() < plain.body.size() / 4);
}

TEST_CASE("who refuses gzip does not get it") {
  for (const char* refusal : {"gzip;q=0", "gzip; q=0.000", "br", "x-gzip, identity", ""}) {
    HttpRequest request = request_for(Endpoint::openapi);
    request.accept_encoding = refusal;
    CHECK(header(net::api_document(request), "Content-Encoding").empty());
  }
}

TEST_CASE("who has the document already gets 304 without a body") {
  HttpRequest request = request_for(Endpoint::openapi);
  const std::string etag = header(net::api_document(request), "ETag");
  for (const std::string& known : {etag, "\"other\", W/" + etag, std::string("*")}) {
    request.if_none_match = known;
    const HttpResponse response = net::api_document(request);
    CHECK(response.status == 304);
    CHECK(response.body.empty());
  }
}

TEST_CASE("who has another document gets this one") {
  HttpRequest request = request_for(Endpoint::openapi);
  request.if_none_match = header(net::api_document(request_for(Endpoint::asyncapi)), "ETag");
  CHECK(net::api_document(request).status == 200);
}

TEST_CASE("a document and its gzipped form have different tags") {
  HttpRequest request = request_for(Endpoint::openapi);
  const std::string plain = header(net::api_document(request), "ETag");
  request.accept_encoding = "gzip";
  CHECK(header(net::api_document(request), "ETag") != plain);
}

TEST_CASE("a page runs and loads nothing but this server's scripts") {
  for (const Endpoint endpoint : {Endpoint::docs, Endpoint::redoc}) {
    const HttpResponse page = net::api_document(request_for(endpoint));
    const std::string policy = header(page, "Content-Security-Policy");
    CHECK(policy.starts_with("default-src 'none'; script-src 'self'; "));
    CHECK(policy.find("unsafe") == std::string::npos);
    CHECK(policy.find("http") == std::string::npos);
  }
}

TEST_CASE("only the scripts and styles of the pages are files") {
  for (const char* name : {"swagger-ui-bundle.js", "docs.js", "redoc.standalone.js", "redoc.js"}) {
    CHECK(net::api_document(request_for(Endpoint::docs_file, name)).status == 200);
  }
  for (const char* name :
       {"", "docs.html", "openapi.json", "docs.js.gz", "../docs.js", "none.js"}) {
    CHECK(net::api_document(request_for(Endpoint::docs_file, name)).status == 404);
  }
}
