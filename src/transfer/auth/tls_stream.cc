#include "transfer/auth/tls_stream.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "transfer/auth/certificate_names.h"
#include "transfer/auth/crypto.h"
#include "transfer/fd.h"
#include "transfer/frame.h"

namespace mooncake::transfer {
namespace {

/// The largest plaintext of one record (RFC 8446, 5.1).
constexpr std::size_t kRecordBytes = 16u << 10;
/// Encrypted before the socket gets any of it: as much as the kernel holds of a connection within a host (fd.h), and
/// little enough that it is still in the core's cache when the kernel copies it. A call a record took a quarter of the
/// processor time of tls.
constexpr std::size_t kBurstBytes = 128u << 10;
/// Encrypted bytes that wait for the socket: the rest of one burst, and what OpenSSL adds by itself: alerts, and
/// answers to key updates of a peer that does not read.
constexpr std::size_t kOutBytesMax = 256u << 10;
/// Received ahead of what OpenSSL asks for: the begin of another record at first, so that connections on which little
/// moves stay small (a handshake has no long records); a burst once bulk comes.
constexpr std::size_t kAheadBytes = 1024;
constexpr std::size_t kAheadBulkBytes = kBurstBytes;
/// AES-GCM may encrypt 2^24.5 full records under one key (RFC 8446, 5.5); a new one every 64 GiB.
constexpr std::uint64_t kRecordsPerKey = 1u << 22;

std::string text_of(const X509_NAME* name) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), &BIO_free);
  if (!bio || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return "?";
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(std::clamp(size, 0l, 200l)));
}

std::string_view advice(int error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "renew it";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "compare the clocks of both machines";
    case X509_V_ERR_INVALID_PURPOSE:
      return "it must be for both uses, server auth and client auth";
    default:
      return "it must be signed by the authority in --tls-ca, which is the same for the whole cluster";
  }
}

}  // namespace

void TlsStream::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsStream::~TlsStream() = default;

const bio_method_st* TlsStream::socket_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mooncake");
    CHECK(made != nullptr);
    BIO_meth_set_write(made, &TlsStream::bio_write);
    BIO_meth_set_read(made, &TlsStream::bio_read);
    BIO_meth_set_ctrl(made, &TlsStream::bio_control);
    return made;
  }();
  return method;
}

Result<std::unique_ptr<TlsStream>> TlsStream::create(const TlsContext& context, bool dialed) {
  std::unique_ptr<TlsStream> stream(new TlsStream);
  stream->ssl_.reset(SSL_new(context.native()));
  BIO* const bio = BIO_new(socket_method());
  if (!stream->ssl_ || bio == nullptr) {
    BIO_free(bio);
    return Status(Code::kExhausted, "TLS: " + take_openssl_error());
  }
  BIO_set_data(bio, stream.get());
  BIO_set_init(bio, 1);
  SSL* const ssl = stream->ssl_.get();
  SSL_set_bio(ssl, bio, bio);
  SSL_set_app_data(ssl, stream.get());
  SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, &TlsStream::on_verify);
  dialed ? SSL_set_connect_state(ssl) : SSL_set_accept_state(ssl);
  return stream;
}

int TlsStream::on_verify(int fine, x509_store_ctx_st* chain) {
  const auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const self = static_cast<TlsStream*>(SSL_get_app_data(ssl));
  if (fine == 1 || !self->refused_.empty()) return fine;
  const int error = X509_STORE_CTX_get_error(chain);
  const X509* const certificate = X509_STORE_CTX_get_current_cert(chain);
  self->refused_ = fmt::format("the other side's certificate ({}) was refused: {}: {}",
                               certificate == nullptr ? "none" : text_of(X509_get_subject_name(certificate)),
                               X509_verify_cert_error_string(error), advice(error));
  return fine;
}

/// Puts a record behind those that send_out() takes. The copy is of what has just been encrypted, in the core's cache.
int TlsStream::bio_write(bio_st* bio, const char* from, int size) {
  auto* const self = static_cast<TlsStream*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const ConstByteSpan bytes = as_bytes({from, static_cast<std::size_t>(size)});
  if (self->out_.size() - self->sent_ + bytes.size() > kOutBytesMax) return -1;
  self->out_.insert(self->out_.end(), bytes.begin(), bytes.end());
  return size;
}

/// OpenSSL asks twice a record, for its header and for the rest. One system call brings that rest to where OpenSSL
/// decrypts it, and what follows beside it. (Its own read_ahead moves all of that in memory for every record.)
int TlsStream::bio_read(bio_st* bio, char* to, int size) {
  auto* const self = static_cast<TlsStream*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const auto wanted = static_cast<std::size_t>(size);
  if (!self->in_.empty()) {
    const std::size_t taken = std::min(self->in_.size(), wanted);
    std::memcpy(to, self->in_.data(), taken);
    self->in_ = self->in_.subspan(taken);
    return static_cast<int>(taken);
  }
  const ssize_t count = self->receive({reinterpret_cast<std::byte*>(to), wanted});
  if (count < 0 && would_block(errno)) BIO_set_retry_read(bio);
  return static_cast<int>(std::min<ssize_t>(count, size));
}

/// Fills `to`, then in_. @return as recv().
ssize_t TlsStream::receive(ByteSpan to) {
  if (ahead_.empty()) ahead_.resize(kAheadBytes);
  if (bulk_) ahead_.resize(kAheadBulkBytes);
  std::array<iovec, 2> pieces = {{{to.data(), to.size()}, {ahead_.data(), ahead_.size()}}};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  ssize_t count = 0;
  do {
    count = ::recvmsg(fd_, &message, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && !would_block(errno)) socket_error_ = errno;
  if (count == 0) ended_ = true;
  if (count <= 0) return count;
  const bool filled = static_cast<std::size_t>(count) == to.size() + ahead_.size();
  bulk_ = bulk_ || (filled && to.size() > kRecordBytes / 2);
  in_ = ConstByteSpan(ahead_).first(static_cast<std::size_t>(count) -
                                    std::min(static_cast<std::size_t>(count), to.size()));
  if (!std::exchange(started_, true)) {  // of the first record's header, 5 bytes
    std::array<std::byte, sizeof kFrameMagic> magic;
    store_le(magic.data(), kFrameMagic);
    clear_text_ = static_cast<std::size_t>(count) >= magic.size() && std::ranges::equal(to.first(magic.size()), magic);
  }
  return count;
}

long TlsStream::bio_control(bio_st* /*bio*/, int what, long /*number*/, void* /*pointer*/) {
  return what == BIO_CTRL_FLUSH ? 1 : 0;
}

/// Why the other side is not to be a peer.
Status TlsStream::refusal() const {
  if (clear_text_) {
    return {Code::kPermissionDenied,
            "the other side does not speak TLS, and this one runs with --auth tls: both need the "
            "same"};
  }
  if (!refused_.empty()) return {Code::kPermissionDenied, refused_};
  const unsigned long code = ERR_peek_last_error();
  const std::string reason = take_openssl_error();
  // An alert that the other side sent: numbers above 1000 (openssl/sslerr.h).
  if (ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET) {
    return {Code::kPermissionDenied,
            fmt::format("the other side refused this one's certificate or TLS ({}): its log says why", reason)};
  }
  return {Code::kPermissionDenied, fmt::format("TLS failed: {}", reason)};
}

Status TlsStream::failure(int error) const {
  if (socket_error_ != 0) return {Code::kPeerLost, fmt::format("the connection broke: {}", errno_text(socket_error_))};
  if (error == SSL_ERROR_ZERO_RETURN || ended_) return {Code::kPeerLost, "the peer closed the connection"};
  return refusal();
}

/// What a call of OpenSSL that did not succeed means.
TlsStream::Step TlsStream::after(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ) return {.blocked = true};
  over_ = failure(error);
  return {.over = over_};
}

TlsStream::Step TlsStream::handshake() {
  if (!over_.ok()) return {.over = over_};
  if (SSL_is_init_finished(ssl_.get()) == 1) return {};
  const int result = SSL_do_handshake(ssl_.get());
  Step step = result == 1 ? Step{} : after(result);
  send_out();  // our part of it, or the alert
  return step;
}

TlsStream::Step TlsStream::read(int fd, ByteSpan first, ByteSpan second) {
  fd_ = fd;
  ERR_clear_error();  // of others: SSL_get_error() wants none before a call
  Step step = handshake();
  while (step.over.ok() && !step.blocked && first.size() + second.size() > 0) {
    ByteSpan& to = first.empty() ? second : first;
    std::size_t count = 0;
    const int result = SSL_read_ex(ssl_.get(), to.data(), to.size(), &count);
    if (result != 1) {
      const std::size_t before = step.count;
      step = after(result);
      step.count = before;
      break;
    }
    to = to.subspan(count);
    step.count += count;
  }
  if (step.count > 0) step.over = {};  // the next call says it again
  send_out();
  return step;
}

/// The next bytes for a record: of one piece if it has enough, else of several, put together. Takes them off: `at` is
/// where the first piece begins.
ByteSpan TlsStream::next_record(std::span<const iovec>& pieces, std::size_t& at) {
  record_.clear();
  while (!pieces.empty() && record_.size() < kRecordBytes) {
    const iovec& piece = pieces.front();
    const ByteSpan rest = ByteSpan(static_cast<std::byte*>(piece.iov_base), piece.iov_len).subspan(at);
    const ByteSpan taken = rest.first(std::min(rest.size(), kRecordBytes - record_.size()));
    const bool whole = taken.size() == kRecordBytes;
    if (!whole) record_.insert(record_.end(), taken.begin(), taken.end());
    at += taken.size();
    if (taken.size() == rest.size()) {
      pieces = pieces.subspan(1);
      at = 0;
    }
    if (whole) return taken;
  }
  return record_;
}

/// Who dials says the first word. All else of the handshake is in answer to what comes, and only read() may take that
/// from the socket: data of the other side can be right behind it, and nobody would look for it here.
TlsStream::Step TlsStream::greet() {
  const bool answers = SSL_is_server(ssl_.get()) == 1 || SSL_in_before(ssl_.get()) != 1;
  if (over_.ok() && SSL_is_init_finished(ssl_.get()) != 1 && answers) return {.blocked = true};
  return handshake();
}

TlsStream::Step TlsStream::write(int fd, std::span<const iovec> pieces) {
  fd_ = fd;
  ERR_clear_error();  // of others: SSL_get_error() wants none before a call
  send_out();
  Step step = greet();
  std::size_t at = 0;
  while (step.over.ok() && !step.blocked && !pieces.empty() && !must_send()) {
    const std::size_t before = step.count;
    step = encrypt_some(pieces, at);
    step.count += before;
    send_out();
  }
  if (must_send()) step.blocked = true;
  if (socket_error_ != 0) step.over = failure(SSL_ERROR_SYSCALL);
  return step;
}

/// A burst of records, from where next_record() takes them.
TlsStream::Step TlsStream::encrypt_some(std::span<const iovec>& pieces, std::size_t& at) {
  Step step;
  while (out_.size() < kBurstBytes) {
    const ByteSpan record = next_record(pieces, at);
    if (record.empty()) break;
    if (++records_ % kRecordsPerKey == 0) SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);
    std::size_t count = 0;
    if (const int result = SSL_write_ex(ssl_.get(), record.data(), record.size(), &count); result != 1) {
      const std::size_t before = step.count;
      step = after(result);
      step.count = before;
      break;
    }
    step.count += record.size();
  }
  return step;
}

/// Sends what the socket takes.
void TlsStream::send_out() {
  while (must_send() && socket_error_ == 0) {
    const ssize_t count = ::send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      sent_ += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      if (!would_block(errno)) socket_error_ = errno;
      break;
    }
  }
  if (must_send()) return;
  out_.clear();
  sent_ = 0;
}

void TlsStream::write_last(int fd, std::string_view bytes) {
  if (clear_text_) {
    static_cast<void>(::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
    return;
  }
  if (SSL_is_init_finished(ssl_.get()) != 1) return;
  const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  static_cast<void>(write(fd, std::span(&piece, 1)));
  SSL_shutdown(ssl_.get());
  send_out();
}

std::string TlsStream::peer_fingerprint() const {
  Digest digest{};
  unsigned int size = 0;
  X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr ||
      X509_digest(certificate, EVP_sha256(), reinterpret_cast<unsigned char*>(digest.data()), &size) != 1) {
    return "";
  }
  return to_hex(digest);
}

std::vector<std::string> TlsStream::peer_names() const {
  const X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
  return certificate == nullptr ? std::vector<std::string>() : certificate_names(certificate);
}

}  // namespace mooncake::transfer
