/* The load over epoll, where io_uring is not available. It uses more CPU time. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 1024
#define BUFFER (256 * 1024)
/* The longest wait, so that the end of the window is noticed in time. */
#define TURN_MS 5

static void lose(struct load *load, unsigned index) {
  transport->close(load->connections[index].fd);
  load->connections[index].fd = -1;
  not_in_flight(load, index);
  load->lost++;
  load->alive--;
}

/*
 * Sending blocks, with a timeout: only one batch is in flight, so the server has read everything before it, and a full
 * buffer delays only this connection's own message.
 */
static void send_next(struct load *load, unsigned index, uint64_t due) {
  const unsigned char *bytes = next_batch(load, index, due);
  if (transport->send(load->connections[index].fd, bytes, load->batch) < 0) lose(load, index);
}

static void send_if_due(struct load *load, unsigned index, uint64_t now) {
  uint64_t due = due_ns(load, index, now);
  if (due <= now) send_next(load, index, due);
}

static int epoll = -1;

static bool open_epoll(struct load *load) {
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) fail("epoll_create1");
  load->engine = "epoll";
  for (unsigned i = 0; i < load->options.connections; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = i}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, load->connections[i].fd, &event) < 0) fail("epoll_ctl");
  }
  return true;
}

static void run(struct load *load) {
  static unsigned char buffer[BUFFER];
  struct epoll_event events[EVENTS];
  uint64_t now = now_ns();
  bool paced = load->window.rate > 0;
  for (unsigned i = 0; i < load->options.connections && !paced; i++) {
    if (load->connections[i].fd >= 0) send_next(load, i, now);
  }
  while (go_on(load, now)) {
    for (unsigned i; paced && (i = next_on_time(load, now)) < load->options.connections;) {
      send_if_due(load, i, now);
    }
    int count = epoll_wait(epoll, events, EVENTS, paced ? 0 : TURN_MS);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    now = now_ns();
    for (int i = 0; i < count; i++) {
      unsigned index = events[i].data.u32;
      if (load->connections[index].fd < 0) continue;
      int fd = load->connections[index].fd;
      ssize_t length = transport->receive(fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (length > 0) {
        if (take_bytes(load, index, buffer, (size_t)length, now)) send_if_due(load, index, now);
      } else if (length == 0 || errno != EAGAIN) {
        lose(load, index);
      }
    }
  }
}

const struct driver epoll_driver = {.open = open_epoll, .run = run};
