/*
 * TLS: what the transport sends and receives is encrypted by the system's OpenSSL.
 *
 * OpenSSL reads and writes memory, so that a connection sends and receives with the same calls as without TLS. The
 * certificate of the server is not verified, but its signature in the handshake is.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER (256 * 1024)

struct secure {
  SSL *ssl;
  BIO *in, *out;
  bool established;
  bool resuming;
  unsigned index;
  const void *waiting; /* sent when the handshake is complete */
  size_t waiting_length;
};

static SSL_CTX *context;
static struct secure *secured; /* by descriptor */
static SSL_SESSION **kept;     /* by index of the connection; NULL unless sessions are resumed */

static void fail_tls(const char *what) {
  char text[256] = "no reason given";
  unsigned long error = ERR_peek_last_error();
  if (error != 0) ERR_error_string_n(error, text, sizeof text);
  fprintf(stderr, "load: Error: %s: %s\n", what, text);
  exit(1);
}

static void prepare(const struct load *load) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) fail("getrlimit");
  context = SSL_CTX_new(TLS_client_method());
  if (context == NULL) fail_tls("SSL_CTX_new");
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  secured = calloc(limit.rlim_cur, sizeof *secured);
  if (secured == NULL) fail("calloc");
  if (!load->options.resume) return;
  kept = calloc(load->options.connections + load->options.idle + 1, sizeof *kept);
  if (kept == NULL) fail("calloc");
}

/* Sends what OpenSSL has written. */
static bool flush(int fd, struct secure *secure) {
  char *bytes;
  long length = BIO_get_mem_data(secure->out, &bytes);
  if (length == 0) return true;
  bool sent = plain_transport.send(fd, bytes, (size_t)length) >= 0;
  BIO_reset(secure->out);
  return sent;
}

static bool write_all(int fd, struct secure *secure, const void *bytes, size_t length) {
  if (SSL_write(secure->ssl, bytes, (int)length) != (int)length) return false;
  return flush(fd, secure);
}

/* Continues the handshake with what was received. */
static bool advance(int fd, struct secure *secure) {
  int done = SSL_do_handshake(secure->ssl);
  if (!flush(fd, secure)) return false;
  if (done != 1) return SSL_get_error(secure->ssl, done) == SSL_ERROR_WANT_READ;
  secure->established = true;
  if (secure->resuming && !SSL_session_reused(secure->ssl)) {
    fprintf(stderr, "load: Error: the server did not resume a session\n");
    exit(1);
  }
  return secure->waiting == NULL || write_all(fd, secure, secure->waiting, secure->waiting_length);
}

static void begin(const struct load *load, int fd, unsigned index) {
  if (context == NULL) prepare(load);
  struct secure *secure = &secured[fd];
  *secure = (struct secure){.index = index, .ssl = SSL_new(context), .in = BIO_new(BIO_s_mem()),
                            .out = BIO_new(BIO_s_mem())};
  if (secure->ssl == NULL || secure->in == NULL || secure->out == NULL) fail_tls("SSL_new");
  BIO_set_mem_eof_return(secure->in, -1);
  SSL_set_bio(secure->ssl, secure->in, secure->out);
  SSL_set_connect_state(secure->ssl);
  SSL_set_tlsext_host_name(secure->ssl, "localhost");
  if (kept != NULL && kept[index] != NULL) {
    secure->resuming = true;
    SSL_set_session(secure->ssl, kept[index]);
  }
  if (!advance(fd, secure)) fail_tls("handshake");
}

static ssize_t send_secure(int fd, const void *bytes, size_t length) {
  struct secure *secure = &secured[fd];
  if (secure->established) return write_all(fd, secure, bytes, length) ? (ssize_t)length : -1;
  secure->waiting = bytes;
  secure->waiting_length = length;
  return (ssize_t)length;
}

/* Decrypts what was received. @returns -1 for an error, and 0 when there is nothing, or the connection has ended. */
static ssize_t decrypt(struct secure *secure, unsigned char *bytes, size_t length) {
  size_t have = 0;
  while (have < length && (BIO_ctrl_pending(secure->in) > 0 || SSL_pending(secure->ssl) > 0)) {
    int count = SSL_read(secure->ssl, bytes + have, (int)(length - have));
    if (count > 0) {
      have += (size_t)count;
      continue;
    }
    int error = SSL_get_error(secure->ssl, count);
    if (error == SSL_ERROR_WANT_READ) break;
    return error == SSL_ERROR_ZERO_RETURN ? (ssize_t)have : -1;
  }
  return (ssize_t)have;
}

static ssize_t receive_secure(int fd, void *bytes, size_t length, int flags) {
  static unsigned char encrypted[BUFFER];
  struct secure *secure = &secured[fd];
  for (;;) {
    if (secure->established) {
      ssize_t count = decrypt(secure, bytes, length);
      if (count < 0) errno = EPROTO;
      if (count != 0) return count;
    }
    ssize_t count = recv(fd, encrypted, sizeof encrypted, flags);
    if (count <= 0) return count;
    BIO_write(secure->in, encrypted, (int)count);
    if (!secure->established && !advance(fd, secure)) {
      errno = EPROTO;
      return -1;
    }
  }
}

static void close_secure(int fd) {
  struct secure *secure = &secured[fd];
  if (secure->established) {
    SSL_SESSION *session = kept == NULL ? NULL : SSL_get1_session(secure->ssl);
    if (session != NULL && SSL_SESSION_is_resumable(session)) {
      SSL_SESSION_free(kept[secure->index]);
      kept[secure->index] = session;
    } else {
      SSL_SESSION_free(session);
    }
    SSL_shutdown(secure->ssl);
    flush(fd, secure);
  }
  SSL_free(secure->ssl);
  ERR_clear_error();
  secure->ssl = NULL;
  close(fd);
}

const struct transport tls_transport = {
    .begin = begin, .send = send_secure, .receive = receive_secure, .close = close_secure};
