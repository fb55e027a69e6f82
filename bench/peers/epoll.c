/*
 * The reference: an echo server as a level-triggered epoll loop in C.
 *
 * One recv and one send per message. The bytes of a peer that does not read are kept in a buffer of its own, and it is
 * not read from until they are sent. Prints {"ready":true,"port":N} when it listens.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 1024
#define BUFFER (64 * 1024)
/* The kernel reduces it to net.core.somaxconn. */
#define BACKLOG 65535

/* Unsent bytes by descriptor; `bytes` is NULL for nearly all of them. */
struct pending {
  char *bytes;
  size_t length;
};

static struct pending *pendings;
static int epoll;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int listener(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0) fail("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (listen(fd, BACKLOG) < 0) fail("listen");
  if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) fail("getsockname");
  printf("{\"ready\":true,\"port\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static void control(int operation, int fd, unsigned interest) {
  struct epoll_event event = {.events = interest, .data = {.fd = fd}};
  if (epoll_ctl(epoll, operation, fd, &event) < 0) fail("epoll_ctl");
}

static void accept_all(int from) {
  for (;;) {
    int fd = accept4(from, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    if (fd < 0) {
      if (errno == EAGAIN || errno == ECONNABORTED) return;
      fail("accept4");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    control(EPOLL_CTL_ADD, fd, EPOLLIN);
  }
}

static void drop(int fd) {
  free(pendings[fd].bytes);
  pendings[fd] = (struct pending){0};
  close(fd);
}

static void keep(int fd, const char *bytes, size_t length) {
  pendings[fd].bytes = malloc(length);
  if (pendings[fd].bytes == NULL) fail("malloc");
  memcpy(pendings[fd].bytes, bytes, length);
  pendings[fd].length = length;
  control(EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void echo(int fd) {
  static char buffer[BUFFER];
  ssize_t length = recv(fd, buffer, sizeof buffer, 0);
  if (length < 0 && errno == EAGAIN) return;
  if (length <= 0) {
    drop(fd);
    return;
  }
  ssize_t sent = send(fd, buffer, (size_t)length, MSG_NOSIGNAL);
  if (sent == length) return;
  if (sent < 0 && errno != EAGAIN) drop(fd);
  else keep(fd, buffer + (sent < 0 ? 0 : sent), (size_t)(length - (sent < 0 ? 0 : sent)));
}

static void send_rest(int fd) {
  struct pending *pending = &pendings[fd];
  ssize_t sent = send(fd, pending->bytes, pending->length, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN) drop(fd);
    return;
  }
  pending->length -= (size_t)sent;
  memmove(pending->bytes, pending->bytes + sent, pending->length);
  if (pending->length > 0) return;
  free(pending->bytes);
  pending->bytes = NULL;
  control(EPOLL_CTL_MOD, fd, EPOLLIN);
}

int main(void) {
  struct epoll_event events[EVENTS];
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  /* Pages of calloc exist only when they are written to, so a high limit costs nothing. */
  pendings = calloc(limit.rlim_cur, sizeof *pendings);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (pendings == NULL || epoll < 0) fail("start");
  int from = listener();
  control(EPOLL_CTL_ADD, from, EPOLLIN);
  for (;;) {
    int count = epoll_wait(epoll, events, EVENTS, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == from) accept_all(fd);
      else if (pendings[fd].bytes != NULL) send_rest(fd);
      else echo(fd);
    }
  }
}
