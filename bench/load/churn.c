/*
 * Churn: each connection is opened, exchanges a number of batches, is closed, and is opened again.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 1024
#define TURN_MS 5

static int epoll = -1;

static void send_next(struct load *load, unsigned index, uint64_t now) {
  const unsigned char *bytes = next_batch(load, index, now);
  if (transport->send(load->connections[index].fd, bytes, load->batch) < 0) fail("send");
}

/* Opens a connection again; on loopback the handshake is complete when connect returns. */
static void begin(struct load *load, unsigned index, uint64_t now) {
  static unsigned lives;
  struct connection *connection = &load->connections[index];
  /* Half a million connections use 50 source addresses in turn, while earlier ports are in TIME_WAIT. */
  int fd = open_socket(&load->options, lives++ % 500000);
  struct linger farewell = {0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &farewell, sizeof farewell);
  if (connect(fd, (struct sockaddr *)&load->options.server, sizeof load->options.server) < 0) {
    fail("connect");
  }
  transport->begin(load, fd, index);
  connection->fd = fd;
  connection->left = load->options.life;
  struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = index}};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
  send_next(load, index, now);
}

static bool open_epoll(struct load *load) {
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) fail("epoll_create1");
  load->engine = "epoll";
  return true;
}

/* At the end of a window a connection closes as soon as nothing is in flight on it. */
static void run(struct load *load) {
  static unsigned char buffer[256 * 1024];
  struct epoll_event events[EVENTS];
  uint64_t now = now_ns();
  for (unsigned i = 0; i < load->options.connections; i++) begin(load, i, now);
  while (go_on(load, now)) {
    int count = epoll_wait(epoll, events, EVENTS, TURN_MS);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    now = now_ns();
    for (int i = 0; i < count; i++) {
      unsigned index = events[i].data.u32;
      struct connection *connection = &load->connections[index];
      ssize_t length = transport->receive(connection->fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (length < 0 && errno == EAGAIN) continue;
      if (length > 0) {
        if (!take_bytes(load, index, buffer, (size_t)length, now)) continue;
        connection->left--;
        if (connection->left > 0 && load->phase != OVER) {
          send_next(load, index, now);
          continue;
        }
        if (connection->left == 0) load->lives++;
      } else {
        not_in_flight(load, index);
        load->lost++;
      }
      transport->close(connection->fd);
      if (load->phase != OVER) begin(load, index, now);
    }
  }
}

const struct driver churn_driver = {.open = open_epoll, .run = run};
