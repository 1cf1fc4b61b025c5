// The client against servers that misbehave; HttpServer's tests cover the rest.
#include "net/http_client.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "net/test_socket.h"

namespace mooncake::net {
namespace {

using testing::HasSubstr;

Deadline soon() { return SteadyClock().now() + Millis(kTestPatienceMs); }

/// Asks once, of a server that does what `serve` does with the connection after the request's header has come.
Result<HttpResponse> ask(const std::function<void(TestSocket&)>& serve, Deadline deadline,
                         const HttpBodySink& sink = {}) {
  TestListener listener;
  std::thread server([&] {
    TestSocket socket = listener.accept_one();
    socket.hear_until("\r\n\r\n");
    serve(socket);
  });
  auto response = http_request("GET", fmt::format("http://127.0.0.1:{}/x", listener.port()), {}, "", deadline, sink);
  server.join();
  return response;
}

TEST(HttpClient, ReadsAnswersInOneByteAtATime) {
  const auto response = ask(
      [](TestSocket& socket) {
        for (const char c : std::string_view("HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
                                             "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")) {
          socket.say({&c, 1});
        }
      },
      soon());
  ASSERT_TRUE(response.ok()) << response.status().to_string();
  EXPECT_EQ(response->body, "abcde");
  EXPECT_EQ(response->headers.at("x-a"), "b");
}

TEST(HttpClient, BodyWithoutALengthEndsWithTheConnection) {
  const auto response = ask([](TestSocket& socket) { socket.say("HTTP/1.0 200 OK\r\n\r\nall of it"); }, soon());
  ASSERT_TRUE(response.ok()) << response.status().to_string();
  EXPECT_EQ(response->body, "all of it");
}

TEST(HttpClient, ErrorStatusIsAnAnswer) {
  const auto response =
      ask([](TestSocket& socket) { socket.say("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"); }, soon());
  ASSERT_TRUE(response.ok()) << response.status().to_string();
  EXPECT_EQ(response->status, 503u);
  EXPECT_EQ(response->body, "busy");
}

TEST(HttpClient, BrokenAnswerIsPeerLost) {
  const auto header = ask([](TestSocket& socket) { socket.say("HTTP/1.1 200 OK\r\nX-"); }, soon());
  EXPECT_EQ(header.status().code(), Code::kPeerLost);
  const auto body =
      ask([](TestSocket& socket) { socket.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"); }, soon());
  EXPECT_EQ(body.status().code(), Code::kPeerLost);
  const auto nothing = ask([](TestSocket&) {}, soon());
  EXPECT_EQ(nothing.status().code(), Code::kPeerLost);
  EXPECT_THAT(nothing.status().message(), HasSubstr("/x: ")) << "the message names the URL";
}

TEST(HttpClient, WhatIsNotHttpIsCorrupt) {
  const auto response = ask([](TestSocket& socket) { socket.say("220 mail.example ESMTP\r\n\r\n"); }, soon());
  EXPECT_EQ(response.status().code(), Code::kCorrupt);
}

TEST(HttpClient, SilentServerMeetsTheDeadline) {
  // The client hangs up first; then the server's wait ends.
  const auto response = ask([](TestSocket& socket) { socket.hear_all(); }, SteadyClock().now() + Millis(20));
  EXPECT_EQ(response.status().code(), Code::kDeadlineExceeded);
}

TEST(HttpClient, ServerThatNeverPausesMeetsTheDeadlineToo) {
  const auto response = ask(
      [](TestSocket& socket) {
        bool listening = socket.say("HTTP/1.1 200 OK\r\n\r\n");
        while (listening) listening = socket.say(std::string(1 << 16, 'x'));
      },
      SteadyClock().now() + Millis(50), [](std::string_view) { return true; });
  EXPECT_EQ(response.status().code(), Code::kDeadlineExceeded);
}

TEST(HttpClient, SinkSeesPiecesAsTheyComeAndMayStop) {
  int pieces = 0;
  const auto response = ask(
      [](TestSocket& socket) {
        socket.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst");
        socket.hear_all();  // ends when the client, stopped by its sink, hangs up
      },
      soon(),
      [&pieces](std::string_view piece) {
        ++pieces;
        EXPECT_EQ(piece, "first");
        return false;
      });
  EXPECT_EQ(response.status().code(), Code::kCancelled);
  EXPECT_EQ(pieces, 1);
}

TEST(HttpClient, NobodyThereIsUnavailable) {
  std::uint16_t port = 0;
  { port = TestListener().port(); }
  const auto response = http_request("GET", fmt::format("http://127.0.0.1:{}/", port), {}, "", soon());
  EXPECT_EQ(response.status().code(), Code::kUnavailable);
  EXPECT_THAT(response.status().message(), HasSubstr("Connection refused"));
}

TEST(HttpClient, RefusesUrlsThatAreNone) {
  for (const std::string_view url :
       {"", "127.0.0.1:80", "https://127.0.0.1/", "http://", "http://:80/", "http://h:/", "http://h:x/", "ftp://h/"}) {
    EXPECT_EQ(http_request("GET", url, {}, "", soon()).status().code(), Code::kInvalidArgument) << url;
  }
}

}  // namespace
}  // namespace mooncake::net
