// HttpConnection: one client's socket: reads requests one after another, hands each to the handler, sends its answer.
//
//   reading --request--> answering --answer complete--> reading          (keep-alive)
//      |                     |                 '------> lingering -> closed   (Connection: close)
//      '--bad or late request: error answer --^
//
// The socket is non-blocking; the connection only ever waits for "readable" and "writable" and keeps no buffer while it
// waits, so an open stream costs about a kilobyte. It waits for "readable" while it answers, too: that is how a client
// that hangs up is noticed. A request that arrives meanwhile (pipelining) waits in `pending_`.
//
// Each connection belongs to one HttpIo, which is one thread; every member runs there.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "net/http_answer.h"
#include "net/http_server.h"

namespace mooncake::net {

class HttpConnection;

/// An I/O thread of the server and the connections that belong to it.
struct HttpIo {
  explicit HttpIo(const HttpServerConfig& server_config, const HttpHandler& server_handler,
                  std::atomic<std::uint32_t>& open)
      : config(server_config), handler(server_handler), open_count(open), scratch(kScratchBytes) {}

  /// What one read takes at most: large enough that a 16 MiB body takes 256 system calls.
  static constexpr std::size_t kScratchBytes = 64u << 10;

  const HttpServerConfig& config;
  const HttpHandler& handler;
  std::atomic<std::uint32_t>& open_count;  ///< connections of all threads
  const SteadyClock clock;
  std::vector<char> scratch;  ///< where reads land; shared, because each read is looked at before the next
  // Shared: an operation that is under way keeps its connection until it has returned.
  absl::flat_hash_set<std::shared_ptr<HttpConnection>> connections;
  // Destroyed first: its queue holds connections, which refer to the above.
  boost::asio::io_context context{1};
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

  /// Takes over a connected socket and enters it in `io.connections`.
  static void open(HttpIo& io, Socket socket);
  ~HttpConnection();

  /// Gives up on a client that is late: see HttpServerConfig's time-outs. Called for every connection now and then.
  void check_deadline(Instant now);
  /// Closes at once. The handler of an unfinished answer hears that the client is gone. Idempotent.
  void close();

 private:
  struct Parser;
  enum class State : std::uint8_t { kReading, kAnswering, kLingering, kClosed };

  HttpConnection(HttpIo& io, Socket socket);

  void wait_readable();
  void read();
  void parse();
  void feed(bool& progress);
  void dispatch();
  void reject(std::uint32_t status, std::string_view code, std::string_view message);
  void flush();
  bool refill();
  void wait_writable();
  void answer_complete();
  void linger();

  HttpIo& io_;
  Socket socket_;
  State state_ = State::kReading;
  bool reading_ = false;   // a wait for "readable" is under way
  bool writing_ = false;   // a wait for "writable" is under way
  bool complete_ = false;  // nothing follows `out_` in this answer
  bool broken_ = false;    // close at once when `out_` is sent
  Instant deadline_;       // when check_deadline() acts; kNever while the handler has the turn

  std::unique_ptr<Parser> parser_;      // while a request is being received
  std::string pending_;                 // received, not yet parsed
  std::shared_ptr<HttpAnswer> answer_;  // shared with the handler's exchange; while answering
  std::string out_;                     // being sent, from sent_ on
  std::size_t sent_ = 0;
};

}  // namespace mooncake::net
