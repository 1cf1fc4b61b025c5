#include "net/http_server.h"

#include <fmt/core.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <thread>
#include <utility>

#include "base/log.h"
#include "net/http_connection.h"
#include "net/http_format.h"

namespace mooncake::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

/// After accept() failed for want of files or memory: long enough not to spin, short enough not to be noticed.
constexpr Millis kAcceptPause{100};
/// Time-outs are looked at this often, or four times a time-out if that is more often: looking at 12,000 takes 0.1 ms.
constexpr Nanos kSweepIntervalMax = Seconds(1);

Status bad_listen(std::string_view listen, std::string_view why) {
  return {
      Code::kInvalidArgument,
      fmt::format("cannot listen on \"{}\": {}; give HOST:PORT, for example 127.0.0.1:8080 (port 0 takes a free one)",
                  listen, why)};
}

/// Splits "127.0.0.1:80", "localhost:80" or "[::1]:80". Loopback only.
Result<tcp::endpoint> parse_listen(std::string_view listen) {
  const std::size_t colon = listen.rfind(':');
  if (colon == std::string_view::npos) return bad_listen(listen, "it has no port");
  std::string_view host = listen.substr(0, colon);
  const std::string_view digits = listen.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (failure != std::errc() || end != digits.data() + digits.size()) {
    return bad_listen(listen, "the port is not a number from 0 to 65535");
  }
  if (host == "localhost") host = "127.0.0.1";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  error_code error;
  const auto address = asio::ip::make_address(std::string(host), error);
  if (error) return bad_listen(listen, "the host is not an IP address");
  if (!address.is_loopback()) {
    return bad_listen(listen,
                      "the address is not a loopback address, and this server has no TLS; keep it on 127.0.0.1 "
                      "and let a reverse proxy face the network");
  }
  return tcp::endpoint(address, port);
}

Status bind_failure(const tcp::endpoint& endpoint, const error_code& error) {
  const std::string address = endpoint.address().to_string();
  if (error == asio::error::address_in_use) {
    return {Code::kUnavailable,
            fmt::format("port {0} is in use on {1}: stop the process that listens there (`ss -ltnp sport = :{0}` names "
                        "it) or choose another port; port 0 takes a free one",
                        endpoint.port(), address)};
  }
  if (error == asio::error::access_denied) {
    return {Code::kUnavailable, fmt::format("port {} on {} is not allowed for this user: ports below 1024 need root; "
                                            "choose a higher one, or 0 for a free one",
                                            endpoint.port(), address)};
  }
  return {Code::kUnavailable, fmt::format("cannot listen on {}:{}: {}", address, endpoint.port(), error.message())};
}

// Threads: io_[0] accepts, and hands connections out in turn; a connection stays with its thread.
class Server final : public HttpServer {
 public:
  Server(HttpServerConfig config, HttpHandler handler) : config_(std::move(config)), handler_(std::move(handler)) {
    for (std::uint32_t i = 0; i < std::max(config_.io_threads, 1u); ++i) {
      io_.push_back(std::make_unique<HttpIo>(config_, handler_, open_count_));
      sweepers_.push_back(std::make_unique<asio::steady_timer>(io_.back()->context));
    }
    acceptor_ = std::make_unique<Acceptor>(io_.front()->context.get_executor());
    accept_pause_ = std::make_unique<asio::steady_timer>(io_.front()->context);
  }

  ~Server() override {
    stopping_ = true;
    stop_accepting();
    for (const auto& io : io_) asio::post(io->context, [&io = *io] { close_all(io); });
    for (std::thread& thread : threads_) thread.join();
    // Exchanges that outlive us hold no connection: each has been told that its client is gone.
    for (auto& sweeper : sweepers_) sweeper.reset();
    accept_pause_.reset();
    acceptor_.reset();
  }

  Status listen() {
    MC_ASSIGN_OR_RETURN(const tcp::endpoint endpoint, parse_listen(config_.listen));
    error_code error;
    acceptor_->open(endpoint.protocol(), error);
    if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);  // a restart finds its port again
    if (!error) acceptor_->bind(endpoint, error);
    if (!error) acceptor_->listen(asio::socket_base::max_listen_connections, error);
    if (error) return bind_failure(endpoint, error);
    const tcp::endpoint local = acceptor_->local_endpoint(error);
    if (error) return bind_failure(endpoint, error);
    const std::string host = local.address().to_string();
    endpoint_ = fmt::format(fmt::runtime(local.address().is_v6() ? "[{}]:{}" : "{}:{}"), host, local.port());
    return {};
  }

  void start() {
    accept();
    for (std::size_t i = 0; i < io_.size(); ++i) {
      sweep(i);
      threads_.emplace_back([io = io_[i].get(), i] {
        pthread_setname_np(pthread_self(), fmt::format("http-{}", i).c_str());
        const auto keep_alive = asio::make_work_guard(io->context);
        io->context.run();
      });
    }
  }

  [[nodiscard]] const std::string& endpoint() const override { return endpoint_; }

  void stop_accepting() override {
    asio::post(io_.front()->context, [this] {
      error_code ignored;
      acceptor_->close(ignored);
    });
  }

 private:
  using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;

  static void close_all(HttpIo& io) {
    while (!io.connections.empty()) {
      const std::shared_ptr<HttpConnection> connection = *io.connections.begin();
      connection->close();
    }
    io.context.stop();
  }

  void accept() {
    HttpIo& io = *io_[next_io_++ % io_.size()];
    acceptor_->async_accept(io.context.get_executor(),
                            [this, &io](const error_code& error, HttpConnection::Socket socket) {
                              if (!acceptor_->is_open()) return;
                              if (error) return pause_accepting(error);
                              if (open_count_ >= config_.connections_max) {
                                refuse(std::move(socket));
                              } else {
                                asio::post(io.context, [this, &io, accepted = std::move(socket)]() mutable {
                                  if (!stopping_) HttpConnection::open(io, std::move(accepted));
                                });
                              }
                              accept();
                            });
  }

  void pause_accepting(const error_code& error) {
    log_warn("http {}: cannot accept a connection: {}; is the limit of open files (`ulimit -n`) too low?", endpoint_,
             error.message());
    accept_pause_->expires_after(kAcceptPause);
    accept_pause_->async_wait([this](const error_code& cancelled) {
      if (!cancelled && acceptor_->is_open()) accept();
    });
  }

  // Says why as far as the empty socket buffer allows, without waiting for the client.
  void refuse(HttpConnection::Socket socket) const {
    const std::string body =
        http_error_body(fmt::format("the server has {} connections open, its limit", config_.connections_max),
                        "server_error", "too_many_connections");
    const std::string answer = http_response_head(503, {{"Content-Type", "application/json"}, {"Retry-After", "1"}},
                                                  {.content_length = body.size(), .keep_alive = false}) +
                               body;
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(answer), ignored);
    socket.shutdown(HttpConnection::Socket::shutdown_send, ignored);
  }

  void sweep(std::size_t index) {
    const Nanos interval = std::min({kSweepIntervalMax, config_.read_timeout / 4, config_.write_timeout / 4});
    sweepers_[index]->expires_after(std::max<Nanos>(interval, Millis(1)));
    sweepers_[index]->async_wait([this, index](const error_code& cancelled) {
      if (cancelled) return;
      HttpIo& io = *io_[index];
      const std::vector<std::shared_ptr<HttpConnection>> connections(io.connections.begin(), io.connections.end());
      for (const auto& connection : connections) connection->check_deadline(io.clock.now());
      sweep(index);
    });
  }

  const HttpServerConfig config_;
  const HttpHandler handler_;
  std::string endpoint_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint32_t> open_count_{0};
  std::vector<std::unique_ptr<HttpIo>> io_;
  std::vector<std::unique_ptr<asio::steady_timer>> sweepers_;  // one an I/O thread
  std::unique_ptr<Acceptor> acceptor_;                         // belongs to io_[0], as do the two below
  std::unique_ptr<asio::steady_timer> accept_pause_;
  std::size_t next_io_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  const auto entry = headers.find(name);
  return entry == headers.end() ? std::string_view() : std::string_view(entry->second);
}

Result<std::unique_ptr<HttpServer>> HttpServer::create(HttpServerConfig config, HttpHandler handler) {
  auto server = std::make_unique<Server>(std::move(config), std::move(handler));
  MC_RETURN_IF_ERROR(server->listen());
  server->start();
  return Result<std::unique_ptr<HttpServer>>(std::move(server));
}

}  // namespace mooncake::net
