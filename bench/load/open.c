/* Opens connections. Each one exchanges a message, or a request and its answer. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* An address has about 28,000 ports by default; a block of this size leaves ports for others. */
#define CONNECTIONS_PER_ADDRESS 10000
/* Fewer than the shortest backlog in use, so that the kernel never drops a SYN, which costs a second. */
#define WAVE 100
/* The time limit of each step of opening a connection. */
#define PATIENCE_SECONDS 10

static void begin_plain(const struct load *load, int fd, unsigned index) {
  (void)load;
  (void)fd;
  (void)index;
}

/* Sending blocks, with a timeout. */
static ssize_t send_plain(int fd, const void *bytes, size_t length) {
  for (size_t sent = 0; sent < length;) {
    ssize_t count = send(fd, (const unsigned char *)bytes + sent, length - sent, MSG_NOSIGNAL);
    if (count < 0) return -1;
    sent += (size_t)count;
  }
  return (ssize_t)length;
}

static void close_plain(int fd) {
  close(fd);
}

const struct transport plain_transport = {
    .begin = begin_plain, .send = send_plain, .receive = recv, .close = close_plain};
const struct transport *transport = &plain_transport;

void fail(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* A socket bound to the source address of its block, in 127.0.0.0/8 if the server is. */
int open_socket(const struct options *options, unsigned index) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0) fail("socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  /* The cheapest congestion control: BBR and others set a timer for every packet. */
  setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
  /* Close with a reset: thousands of TIME_WAITs would slow down the next run. */
  struct linger reset = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if ((ntohl(options->server.sin_addr.s_addr) >> 24) == 127) {
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(0x7f000001u + index / CONNECTIONS_PER_ADDRESS);
    /* The port is chosen at connect, when the kernel knows the peer and may reuse a port. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0) fail("bind");
  }
  return fd;
}

static void receive_greeting(int fd, const unsigned char *expected, size_t length) {
  unsigned char buffer[64];
  for (size_t have = 0; have < length;) {
    ssize_t count = transport->receive(fd, buffer + have, length - have, 0);
    if (count == 0) {
      fprintf(stderr, "load: the server closed a connection that had just been opened\n");
      exit(1);
    }
    if (count < 0) fail("waiting for a greeting to come back");
    have += (size_t)count;
  }
  if (memcmp(buffer, expected, length) == 0) return;
  fprintf(stderr, "load: a greeting came back changed\n");
  exit(1);
}

static void greet(const struct load *load, int fd, unsigned number) {
  const struct options *options = &load->options;
  size_t length = options->size < 64 ? options->size : 64;
  if (load->http.request != NULL) {
    http_greet(load, fd);
  } else if (transport->send(fd, load->pattern + number % PATTERN_SHIFTS, length) < 0) {
    fail("send");
  }
}

static void hear(struct load *load, int fd, unsigned number) {
  const struct options *options = &load->options;
  size_t length = options->size < 64 ? options->size : 64;
  if (load->http.request != NULL) http_hear(load, fd);
  else receive_greeting(fd, load->pattern + number % PATTERN_SHIFTS, length);
}

/*
 * Opens `count` connections in batches: connects all of a batch, sends a message on each, and waits for all answers.
 * A connection with an answer has been accepted, so none waits in the backlog.
 */
void open_all(struct load *load, int *fds, unsigned count, unsigned first) {
  const struct options *options = &load->options;
  for (unsigned start = 0; start < count; start += WAVE) {
    unsigned end = start + WAVE < count ? start + WAVE : count;
    for (unsigned i = start; i < end; i++) {
      fds[i] = open_socket(options, first + i);
      if (connect(fds[i], (const struct sockaddr *)&options->server, sizeof options->server) < 0) {
        fail("connect");
      }
      transport->begin(load, fds[i], first + i);
      greet(load, fds[i], first + i);
    }
    for (unsigned i = start; i < end; i++) hear(load, fds[i], first + i);
  }
}
