// TlsStream: TLS over one connected, non-blocking stream socket. It handshakes by itself, in read() and write(), and
// decrypts straight into the memory that it is given.
//
// What is written is encrypted at once, in records of 16 KiB, of which several go to the socket in one system call.
// What it does not take of them is kept: so memory that was taken is the caller's again. Loop thread only.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "transfer/auth/tls_context.h"

struct bio_method_st;
struct bio_st;
struct ssl_st;
struct x509_store_ctx_st;

namespace mooncake::transfer {

class TlsStream {
 public:
  /// Bytes that were moved, and what is in the way of more.
  struct Step {
    std::size_t count = 0;
    /// The socket has no more to give, or takes no more, or the handshake waits for the other side.
    bool blocked = false;
    /// Not ok: the stream is over. kPeerLost: the other side ended it. kPermissionDenied: its certificate, or ours,
    /// was refused, or it does not speak TLS; the message says why and what to do.
    Status over = {};
  };

  /// For a socket that we dialled (then we are TLS's client) or accepted. @return kExhausted without memory.
  static Result<std::unique_ptr<TlsStream>> create(const TlsContext& context, bool dialed);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  /// Receives into `first`, then into `second`.
  Step read(int fd, ByteSpan first, ByteSpan second);
  /// Takes bytes of the pieces, in order, and sends them or will. Pieces may be none: then it sends what waits. Takes
  /// nothing from the socket; until read() has ended the handshake it is blocked.
  Step write(int fd, std::span<const iovec> pieces);
  /// Bytes wait for the socket to take them.
  [[nodiscard]] bool must_send() const { return sent_ < out_.size(); }
  /// As write(), of the last bytes there are; best effort. In the clear if the other side does not speak TLS.
  void write_last(int fd, std::string_view bytes);

  /// Who the other side is, once anything has been read: the SHA-256 of its certificate, and the names in it.
  [[nodiscard]] std::string peer_fingerprint() const;
  [[nodiscard]] std::vector<std::string> peer_names() const;

 private:
  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  TlsStream() = default;

  static int on_verify(int fine, x509_store_ctx_st* chain);
  static const bio_method_st* socket_method();
  static int bio_write(bio_st* bio, const char* from, int size);
  static int bio_read(bio_st* bio, char* to, int size);
  static long bio_control(bio_st* bio, int what, long number, void* pointer);

  Step handshake();
  Step greet();
  Step after(int result);
  [[nodiscard]] Status failure(int error) const;
  [[nodiscard]] Status refusal() const;
  ByteSpan next_record(std::span<const iovec>& pieces, std::size_t& at);
  Step encrypt_some(std::span<const iovec>& pieces, std::size_t& at);
  void send_out();
  ssize_t receive(ByteSpan to);

  std::unique_ptr<ssl_st, Free> ssl_;
  int fd_ = -1;  // during a call
  std::vector<std::byte> ahead_;
  ConstByteSpan in_;            // of ahead_: came, and not asked for yet
  bool bulk_ = false;           // long records have come, one after another
  std::vector<std::byte> out_;  // encrypted; sent up to sent_
  std::size_t sent_ = 0;
  std::vector<std::byte> record_;  // small pieces, put together
  std::uint64_t records_ = 0;      // written under the current key
  int socket_error_ = 0;           // errno of a socket that broke
  bool ended_ = false;             // the other side closed the socket
  bool started_ = false;           // bytes have come
  bool clear_text_ = false;        // and they are frames: no TLS there
  std::string refused_;            // what is wrong with the other side's certificate
  Status over_;                    // not ok: the first failure
};

}  // namespace mooncake::transfer
