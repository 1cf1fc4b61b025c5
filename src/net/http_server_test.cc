// The server over real loopback sockets. Handlers run on its I/O thread; tests meet them through futures.
#include "net/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "net/http_client.h"
#include "net/test_socket.h"

namespace mooncake::net {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

using ExchangePtr = std::shared_ptr<HttpExchange>;

Deadline soon() { return SteadyClock().now() + Millis(kTestPatienceMs); }

template <typename T>
T get(std::future<T> future) {
  EXPECT_EQ(future.wait_for(Millis(kTestPatienceMs)), std::future_status::ready);
  return future.get();
}

std::unique_ptr<HttpServer> serve(HttpHandler handler, HttpServerConfig config = {}) {
  auto server = HttpServer::create(std::move(config), std::move(handler));
  EXPECT_TRUE(server.ok()) << server.status().to_string();
  return std::move(server).value();
}

std::string url(const HttpServer& server, std::string_view path = "/") {
  return "http://" + server.endpoint() + std::string(path);
}

void answer_ok(const ExchangePtr& exchange) { exchange->respond(200, {}, "ok"); }

/// A server whose one request is handed to the test.
struct Held {
  std::promise<ExchangePtr> promise;
  std::unique_ptr<HttpServer> server;
  TestSocket client{-1};
  ExchangePtr exchange;

  explicit Held(HttpServerConfig config = {}, std::string_view request = "GET / HTTP/1.1\r\n\r\n") {
    server = serve([this](ExchangePtr held) { promise.set_value(std::move(held)); }, std::move(config));
    client = TestSocket::connect_to(server->endpoint());
    client.say(request);
    exchange = get(promise.get_future());
  }
};

TEST(HttpServer, HandsOverTheWholeRequest) {
  std::promise<HttpRequest> seen;
  const auto server = serve([&](const ExchangePtr& exchange) {
    seen.set_value(exchange->request());
    exchange->respond(201, {{"X-Answer", "42"}}, "body");
  });
  const auto response = http_request("POST", url(*server, "/v1/x?a=1&b=2"), {{"X-Question", "why"}}, "hello", soon());
  ASSERT_TRUE(response.ok()) << response.status().to_string();
  EXPECT_EQ(response->status, 201u);
  EXPECT_EQ(response->body, "body");
  EXPECT_EQ(response->headers.at("x-answer"), "42");
  EXPECT_EQ(response->headers.at("content-length"), "4");
  const HttpRequest request = get(seen.get_future());
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/v1/x");
  EXPECT_EQ(request.query, "a=1&b=2");
  EXPECT_EQ(request.header("x-question"), "why");
  EXPECT_EQ(request.header("x-other"), "");
  EXPECT_EQ(request.body, "hello");
  EXPECT_THAT(request.remote_address, StartsWith("127.0.0.1:"));
  EXPECT_TRUE(request.remote_is_loopback);
  EXPECT_LE(request.received, SteadyClock().now());
}

TEST(HttpServer, AnswersLaterFromAnyThread) {
  Held held;
  std::thread([&held] { held.exchange->respond(200, {}, "late"); }).join();
  EXPECT_THAT(held.client.hear_until("late"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(HttpServer, LargeBodiesPassBothWays) {
  const auto server = serve([](const ExchangePtr& exchange) { exchange->respond(200, {}, exchange->request().body); });
  std::string body(8 << 20, 'x');
  for (std::size_t i = 0; i < body.size(); i += 4096) body[i] = static_cast<char>('a' + i / 4096 % 26);
  const auto response = http_request("POST", url(*server), {}, body, soon());
  ASSERT_TRUE(response.ok()) << response.status().to_string();
  EXPECT_EQ(response->body == body, true);
}

// --- streams

TEST(HttpServer, EachPieceOfAStreamArrivesBeforeTheNextIsWritten) {
  Held held;
  held.exchange->start_stream(200, {{"Content-Type", "text/event-stream"}});
  EXPECT_THAT(held.client.hear_until("\r\n\r\n"), HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_TRUE(held.exchange->write("data: 1\n\n").ok());
  EXPECT_EQ(held.client.hear_until("\n\n\r\n"), "9\r\ndata: 1\n\n\r\n");
  EXPECT_TRUE(held.exchange->write("").ok()) << "an empty piece must not end the stream";
  EXPECT_TRUE(held.exchange->write("data: 2\n\n").ok());
  EXPECT_EQ(held.client.hear_until("\n\n\r\n"), "9\r\ndata: 2\n\n\r\n");
  held.exchange->finish();
  EXPECT_EQ(held.client.hear_until("0\r\n\r\n"), "0\r\n\r\n");
}

TEST(HttpServer, ManyStreamsAtOnceKeepTheirOrder) {
  constexpr int kStreams = 200;
  constexpr int kPieces = 20;
  Mutex mutex;
  std::vector<ExchangePtr> exchanges;
  std::promise<void> all;
  const auto server = serve(
      [&](const ExchangePtr& exchange) {
        const MutexLock lock(mutex);
        exchange->start_stream(200, {});
        exchanges.push_back(exchange);
        if (exchanges.size() == kStreams) all.set_value();
      },
      {.io_threads = 2});
  std::vector<TestSocket> clients;
  for (int i = 0; i < kStreams; ++i) {
    clients.push_back(TestSocket::connect_to(server->endpoint()));
    clients.back().say("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  }
  get(all.get_future());
  std::string expected;
  for (int piece = 0; piece < kPieces; ++piece) {
    const std::string text = std::string(1, static_cast<char>('a' + piece));
    expected += "1\r\n" + text + "\r\n";
    for (const ExchangePtr& exchange : exchanges) EXPECT_TRUE(exchange->write(text).ok());
  }
  for (const ExchangePtr& exchange : exchanges) exchange->finish();
  for (TestSocket& client : clients) {
    EXPECT_THAT(client.hear_all(), testing::EndsWith("\r\n\r\n" + expected + "0\r\n\r\n"));
  }
}

TEST(HttpServer, SlowReaderMeetsTheBacklogLimit) {
  Held held({.stream_backlog_bytes_max = 64 << 10});
  held.exchange->start_stream(200, {});
  Status status;
  std::size_t written = 0;
  // The kernel takes some megabytes on top of the backlog; a client that never reads cannot cost more.
  while (status.ok() && written < (256u << 20)) {
    status = held.exchange->write(std::string(16 << 10, 'x'));
    written += 16 << 10;
  }
  EXPECT_EQ(status.code(), Code::kExhausted) << status.to_string();
  EXPECT_THAT(status.message(), HasSubstr("unread"));
}

TEST(HttpServer, ReaderThatCatchesUpMayGoOn) {
  Held held({.stream_backlog_bytes_max = 64 << 10});
  held.exchange->start_stream(200, {});
  const std::string piece(16 << 10, 'x');
  std::size_t written = 0;
  while (held.exchange->write(piece).ok()) written += piece.size();
  std::size_t heard = 0;
  while (heard < written) heard += held.client.hear_some(1 << 20).size();
  // The client has everything; the server learns it when its socket becomes writable.
  Status status(Code::kExhausted, "");
  const Deadline deadline = soon();
  while (!status.ok() && SteadyClock().now() < deadline) {
    status = held.exchange->write("more");
    std::this_thread::yield();
  }
  EXPECT_TRUE(status.ok()) << status.to_string();
  held.exchange->finish();
  EXPECT_THAT(held.client.hear_until("0\r\n\r\n"), testing::EndsWith("4\r\nmore\r\n0\r\n\r\n"));
}

TEST(HttpServer, ClientThatReadsNothingForTooLongIsGone) {
  Held held({.write_timeout = Millis(50), .stream_backlog_bytes_max = 64 << 10});
  std::promise<void> gone;
  held.exchange->on_client_gone([&gone] { gone.set_value(); });
  held.exchange->start_stream(200, {});
  Status status;
  const Deadline deadline = soon();
  while (status.code() != Code::kCancelled && SteadyClock().now() < deadline) {
    status = held.exchange->write(std::string(16 << 10, 'x'));
    if (!status.ok()) std::this_thread::yield();
  }
  get(gone.get_future());
  EXPECT_EQ(status.code(), Code::kCancelled);
}

// --- clients that leave

TEST(HttpServer, NoticesAClientThatLeavesWhileTheHandlerThinks) {
  Held held;
  std::promise<void> gone;
  held.exchange->on_client_gone([&gone] { gone.set_value(); });
  held.client.hang_up();
  get(gone.get_future());
  held.exchange->respond(200, {}, "to nobody");
}

TEST(HttpServer, NoticesAClientThatLeavesInMidStream) {
  Held held;
  std::promise<void> gone;
  held.exchange->on_client_gone([&gone] { gone.set_value(); });
  held.exchange->start_stream(200, {});
  EXPECT_TRUE(held.exchange->write("data").ok());
  held.client.hear_until("data\r\n");
  held.client.hang_up();
  get(gone.get_future());
  EXPECT_EQ(held.exchange->write("more").code(), Code::kCancelled);
  held.exchange->finish();
}

TEST(HttpServer, TellsAtOnceWhoAsksAfterTheClientHasGone) {
  Held held;
  std::promise<void> gone;
  held.exchange->on_client_gone([&gone] { gone.set_value(); });
  held.client.hang_up();
  get(gone.get_future());
  bool told = false;
  held.exchange->on_client_gone([&told] { told = true; });
  EXPECT_TRUE(told);
}

TEST(HttpServer, DoesNotCallACompleteAnswerGone) {
  Held held;
  auto owned = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = owned;
  held.exchange->on_client_gone([owned = std::move(owned)] { ADD_FAILURE() << "the answer was complete"; });
  held.exchange->respond(200, {}, "ok");
  EXPECT_TRUE(watch.expired()) << "the callback's captures must not live on";
  held.client.hear_until("ok");
  held.client.hang_up();
  held.server.reset();
}

// --- exchanges that are dropped

TEST(HttpServer, DroppedExchangeAnswers500) {
  const auto server = serve([](const ExchangePtr&) {});
  const auto response = http_request("GET", url(*server), {}, "", soon());
  ASSERT_TRUE(response.ok()) << response.status().to_string();
  EXPECT_EQ(response->status, 500u);
  EXPECT_THAT(response->body, HasSubstr("\"type\":\"server_error\""));
}

TEST(HttpServer, DroppedStreamIsSeenAsBroken) {
  const auto server = serve([](const ExchangePtr& exchange) {
    exchange->start_stream(200, {});
    EXPECT_TRUE(exchange->write("half").ok());
  });
  std::string heard;
  const auto response = http_request("GET", url(*server), {}, "", soon(), [&](std::string_view piece) {
    heard += piece;
    return true;
  });
  EXPECT_EQ(response.status().code(), Code::kPeerLost);
  EXPECT_EQ(heard, "half") << "what was written before must arrive";
}

TEST(HttpServer, ExchangeMayOutliveTheServer) {
  Held held;
  bool gone = false;
  held.exchange->start_stream(200, {});
  held.exchange->on_client_gone([&gone] { gone = true; });
  held.server.reset();
  EXPECT_TRUE(gone);
  EXPECT_EQ(held.exchange->write("x").code(), Code::kCancelled);
  held.exchange->finish();
  held.exchange.reset();
}

// --- connections

TEST(HttpServer, KeepsTheConnectionForTheNextRequest) {
  std::atomic<int> count{0};
  const auto server =
      serve([&](const ExchangePtr& exchange) { exchange->respond(200, {}, "#" + std::to_string(++count) + "!"); });
  TestSocket client = TestSocket::connect_to(server->endpoint());
  for (int i = 1; i <= 3; ++i) {
    client.say("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
    EXPECT_THAT(client.hear_until("!"), HasSubstr("#" + std::to_string(i)));
  }
  client.say("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.hear_all(), HasSubstr("Connection: close\r\n\r\n#4!"));
}

TEST(HttpServer, AnswersPipelinedRequestsInTheirOrder) {
  std::promise<ExchangePtr> first;
  const auto server = serve([&](const ExchangePtr& exchange) {
    if (exchange->request().path == "/1") return first.set_value(exchange);
    exchange->respond(200, {}, exchange->request().path + exchange->request().body);
  });
  TestSocket client = TestSocket::connect_to(server->endpoint());
  client.say(
      "GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 5\r\n\r\n-bodyGET /3 HTTP/1.1\r\nConnection: "
      "close\r\n\r\n");
  get(first.get_future())->respond(200, {}, "/1");
  const std::string heard = client.hear_all();
  const auto at = [&heard](std::string_view text) { return heard.find("\r\n\r\n" + std::string(text)); };
  EXPECT_LT(at("/1"), at("/2-body")) << heard;
  EXPECT_LT(at("/2-body"), at("/3")) << heard;
  EXPECT_NE(at("/3"), std::string::npos) << heard;
}

TEST(HttpServer, ManyPipelinedRequestsWaitTheirTurnWithoutNesting) {
  constexpr int kRequests = 5000;  // 95 KiB: more than is taken in while one is being answered
  std::atomic<int> count{0};
  const auto server = serve([&](const ExchangePtr& exchange) {
    ++count;
    exchange->respond(200, {}, "ok");
  });
  TestSocket client = TestSocket::connect_to(server->endpoint());
  std::thread writer([&client] {
    std::string requests;
    for (int i = 0; i < kRequests; ++i) requests += "GET / HTTP/1.1\r\n\r\n";
    requests += "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
    EXPECT_TRUE(client.say(requests));
  });
  client.hear_all();
  writer.join();
  EXPECT_EQ(count, kRequests + 1);
}

TEST(HttpServer, SpeaksToHttp10WithoutChunks) {
  Held held({}, "GET / HTTP/1.0\r\n\r\n");
  held.exchange->start_stream(200, {});
  EXPECT_TRUE(held.exchange->write("one ").ok());
  EXPECT_TRUE(held.exchange->write("two").ok());
  held.exchange->finish();
  const std::string heard = held.client.hear_all();
  EXPECT_THAT(heard, testing::EndsWith("\r\n\r\none two"));
  EXPECT_THAT(heard, Not(HasSubstr("chunked")));
}

TEST(HttpServer, AnswersHeadWithoutABody) {
  const auto server = serve(answer_ok);
  TestSocket client = TestSocket::connect_to(server->endpoint());
  client.say("HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n");
  const std::string heard = client.hear_all();
  EXPECT_THAT(heard, HasSubstr("Content-Length: 2\r\n"));
  EXPECT_THAT(heard, testing::EndsWith("\r\n\r\n"));
}

TEST(HttpServer, InvitesTheBodyOfAClientThatAsksFirst) {
  const auto server = serve([](const ExchangePtr& exchange) { exchange->respond(200, {}, exchange->request().body); });
  TestSocket client = TestSocket::connect_to(server->endpoint());
  client.say("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(client.hear_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.say("body");
  EXPECT_THAT(client.hear_until("body"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(HttpServer, RefusesConnectionsBeyondItsLimit) {
  const auto server = serve(answer_ok, {.connections_max = 1});
  TestSocket first = TestSocket::connect_to(server->endpoint());
  first.say("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(first.hear_until("ok"), StartsWith("HTTP/1.1 200"));
  const std::string refusal = TestSocket::connect_to(server->endpoint()).hear_all();
  EXPECT_THAT(refusal, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_THAT(refusal, HasSubstr("Retry-After: 1\r\n"));
  EXPECT_THAT(refusal, HasSubstr("\"code\":\"too_many_connections\""));
}

TEST(HttpServer, StopAcceptingLeavesOpenExchangesAlone) {
  Held held;
  held.server->stop_accepting();
  // The listener is closed by the I/O thread; connections that it has not accepted until then are reset.
  Status refused;
  const Deadline deadline = soon();
  while (refused.code() != Code::kUnavailable && SteadyClock().now() < deadline) {
    refused = http_request("GET", url(*held.server), {}, "", SteadyClock().now() + Millis(20)).status();
  }
  EXPECT_EQ(refused.code(), Code::kUnavailable) << refused.to_string();
  held.exchange->respond(200, {}, "still here");
  EXPECT_THAT(held.client.hear_until("still here"), StartsWith("HTTP/1.1 200"));
}

// --- bad requests

struct BadRequest {
  std::string_view what;
  std::string request;
  std::string_view status;
  std::string_view code;
};

class HttpServerBadRequest : public testing::TestWithParam<BadRequest> {};

TEST_P(HttpServerBadRequest, IsAnsweredClearlyAndTheServerGoesOn) {
  std::atomic<int> handled{0};
  const auto server = serve(
      [&](const ExchangePtr& exchange) {
        ++handled;
        answer_ok(exchange);
      },
      {.header_bytes_max = 8 << 10, .body_bytes_max = 1000});
  TestSocket client = TestSocket::connect_to(server->endpoint());
  std::thread writer([&client] { client.say(GetParam().request); });
  const std::string heard = client.hear_all();
  writer.join();
  EXPECT_THAT(heard, StartsWith("HTTP/1.1 " + std::string(GetParam().status)));
  EXPECT_THAT(heard, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(heard, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(heard, HasSubstr("\"code\":\"" + std::string(GetParam().code) + "\""));
  EXPECT_THAT(heard, HasSubstr("\"message\":\""));
  EXPECT_EQ(handled, 0);
  const auto next = http_request("GET", url(*server), {}, "", soon());
  ASSERT_TRUE(next.ok()) << next.status().to_string();
  EXPECT_EQ(next->body, "ok");
}

INSTANTIATE_TEST_SUITE_P(
    All, HttpServerBadRequest,
    testing::Values(
        BadRequest{"OneMegabyteHeader", "GET / HTTP/1.1\r\nX-Big: " + std::string(1 << 20, 'x') + "\r\n\r\n", "431",
                   "headers_too_large"},
        BadRequest{"OneMegabyteTarget", "GET /" + std::string(1 << 20, 'x') + " HTTP/1.1\r\n\r\n", "431",
                   "headers_too_large"},
        BadRequest{"BodyAnnouncedTooLarge", "POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n" + std::string(1001, 'x'),
                   "413", "body_too_large"},
        BadRequest{"BodyInChunksTooLarge",
                   "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x') + "\r\n",
                   "413", "body_too_large"},
        BadRequest{"EndlessChunkHeader",
                   "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(100'000, 'x'), "400",
                   "bad_http"},
        BadRequest{"NotHttp", "\x16\x03\x01\x02TLS hello, perhaps\r\n\r\n", "400", "bad_http"},
        BadRequest{"NegativeLength", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400", "bad_http"},
        BadRequest{"TwoLengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "400",
                   "bad_http"},
        BadRequest{"BadChunk", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "400", "bad_http"},
        BadRequest{"SpaceInHeaderName", "GET / HTTP/1.1\r\nBad Name: x\r\n\r\n", "400", "bad_http"}),
    [](const auto& bad) { return std::string(bad.param.what); });

TEST(HttpServer, RequestThatDribblesInIsGivenUpWith408) {
  const auto server = serve(answer_ok, {.read_timeout = Millis(50)});
  TestSocket client = TestSocket::connect_to(server->endpoint());
  client.say("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf");
  const std::string heard = client.hear_all();
  EXPECT_THAT(heard, StartsWith("HTTP/1.1 408 Request Timeout\r\n"));
  EXPECT_THAT(heard, HasSubstr("\"code\":\"request_timeout\""));
}

TEST(HttpServer, IdleConnectionIsClosedWithoutAWord) {
  const auto server = serve(answer_ok, {.read_timeout = Millis(50)});
  TestSocket client = TestSocket::connect_to(server->endpoint());
  EXPECT_EQ(client.hear_all(), "");
  TestSocket used = TestSocket::connect_to(server->endpoint());
  used.say("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(used.hear_until("ok"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(used.hear_all(), "");
}

TEST(HttpServer, HandlerMayTakeLongerThanTheReadTimeout) {
  Held held({.read_timeout = Millis(20)});
  // Another connection's time-out proves that the server has looked at its clock meanwhile.
  EXPECT_EQ(TestSocket::connect_to(held.server->endpoint()).hear_all(), "");
  held.exchange->respond(200, {}, "patience");
  EXPECT_THAT(held.client.hear_until("patience"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, HeaderValuesCannotStartHeadersOfTheirOwn) {
  const auto server = serve([](const ExchangePtr& exchange) {
    exchange->respond(200, {{"X-Echo", "a\r\nX-Injected: yes\r\n\r\n<html>"}}, "");
  });
  const auto response = http_request("GET", url(*server), {}, "", soon());
  ASSERT_TRUE(response.ok()) << response.status().to_string();
  EXPECT_EQ(response->headers.at("x-echo"), "a  X-Injected: yes    <html>");
  EXPECT_FALSE(response->headers.contains("x-injected"));
}

// --- addresses

TEST(HttpServer, BusyPortIsAnErrorThatSaysWhatToDo) {
  const auto first = serve(answer_ok);
  const auto second = HttpServer::create({.listen = first->endpoint()}, answer_ok);
  EXPECT_EQ(second.status().code(), Code::kUnavailable);
  const std::string port = first->endpoint().substr(first->endpoint().rfind(':') + 1);
  EXPECT_THAT(second.status().message(), StartsWith("port " + port + " is in use"));
  EXPECT_THAT(second.status().message(), HasSubstr("choose another port"));
}

TEST(HttpServer, PortOfAServerThatEndedIsFreeAgain) {
  auto first = serve(answer_ok);
  const std::string endpoint = first->endpoint();
  ASSERT_TRUE(http_request("GET", url(*first), {}, "", soon()).ok());
  first.reset();
  const auto second = HttpServer::create({.listen = endpoint}, answer_ok);
  EXPECT_TRUE(second.ok()) << second.status().to_string();
}

TEST(HttpServer, ListensOnLoopbackOnly) {
  for (const std::string listen : {"0.0.0.0:0", "[::]:0", "192.0.2.1:80"}) {
    const auto server = HttpServer::create({.listen = listen}, answer_ok);
    EXPECT_EQ(server.status().code(), Code::kInvalidArgument) << listen;
    EXPECT_THAT(server.status().message(), HasSubstr("not a loopback address")) << listen;
  }
  EXPECT_TRUE(HttpServer::create({.listen = "localhost:0"}, answer_ok).ok());
}

TEST(HttpServer, RefusesAddressesThatAreNone) {
  for (const std::string listen :
       {"", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "host:80"}) {
    const auto server = HttpServer::create({.listen = listen}, answer_ok);
    EXPECT_EQ(server.status().code(), Code::kInvalidArgument) << listen;
    EXPECT_THAT(server.status().message(), HasSubstr("give HOST:PORT")) << listen;
  }
}

}  // namespace
}  // namespace mooncake::net
