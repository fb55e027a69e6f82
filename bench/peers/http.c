/*
 * The reference for HTTP: a level-triggered epoll loop in C with a constant answer.
 *
 *   http [FILE]
 *
 * A request ends at an empty line; nothing else of it is parsed. All pending answers of a connection are sent at once.
 * With FILE each answer is that file, by sendfile(2) after a head that is sent with MSG_MORE. Prints
 * {"ready":true,"port":N} when it listens.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 1024
#define BUFFER (64 * 1024)
#define BACKLOG 65535
/* The most answers in one send. */
#define COPIES 64
#define HEAD_AT_MOST 256

struct connection {
  unsigned char matched; /* of the four bytes that end a request */
  bool waits;            /* until the socket is writable */
  unsigned owed;         /* pending answers */
  size_t sent;           /* bytes of the first one */
};

static struct connection *connections;
static int epoll, file = -1;
static size_t file_length;
/* COPIES of an answer, or of the head before the file; `length` is one of them. */
static char answers[COPIES * HEAD_AT_MOST];
static size_t length;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* Creates the answers of this second. Their length is constant. */
static void make_answers(void) {
  static time_t made;
  time_t now = time(NULL);
  if (now == made) return;
  made = now;
  char date[64], answer[HEAD_AT_MOST];
  strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
  const char *type = file < 0 ? "text/plain; charset=utf-8" : "application/octet-stream";
  length = (size_t)snprintf(answer, sizeof answer,
                            "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: %s\r\n"
                            "Content-Length: %zu\r\n\r\n%s",
                            date, type, file_length, file < 0 ? "Hello, world!" : "");
  for (unsigned i = 0; i < COPIES; i++) memcpy(answers + i * length, answer, length);
}

static int listener(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0) fail("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (listen(fd, BACKLOG) < 0) fail("listen");
  if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) fail("getsockname");
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
    connections[fd] = (struct connection){0};
    control(EPOLL_CTL_ADD, fd, EPOLLIN);
  }
}

/* Counts the requests that end within these bytes; the first one may have begun earlier. */
static void take(struct connection *connection, const char *bytes, size_t count) {
  static const char END[4] = "\r\n\r\n";
  for (size_t i = 0; i < count; i++) {
    if (bytes[i] == END[connection->matched]) connection->matched++;
    else connection->matched = bytes[i] == '\r';
    if (connection->matched < 4) continue;
    connection->matched = 0;
    connection->owed++;
  }
}

/* Sends some pending answers. @returns The result of send(2). */
static ssize_t send_some(int fd, struct connection *connection) {
  size_t sent = connection->sent;
  if (file < 0) {
    unsigned copies = connection->owed < COPIES ? connection->owed : COPIES;
    return send(fd, answers + sent, copies * length - sent, MSG_NOSIGNAL);
  }
  if (sent < length) return send(fd, answers + sent, length - sent, MSG_NOSIGNAL | MSG_MORE);
  off_t at = (off_t)(sent - length);
  return sendfile(fd, file, &at, file_length - (size_t)at);
}

/* Sends all pending answers; false when the connection has failed. The rest waits until the socket is writable. */
static bool answer(int fd) {
  struct connection *connection = &connections[fd];
  size_t whole = length + (file < 0 ? 0 : file_length);
  while (connection->owed > 0) {
    ssize_t count = send_some(fd, connection);
    if (count < 0) {
      if (errno != EAGAIN) return false;
      if (!connection->waits) control(EPOLL_CTL_MOD, fd, EPOLLOUT);
      connection->waits = true;
      return true;
    }
    connection->sent += (size_t)count;
    connection->owed -= (unsigned)(connection->sent / whole);
    connection->sent %= whole;
  }
  if (connection->waits) control(EPOLL_CTL_MOD, fd, EPOLLIN);
  connection->waits = false;
  return true;
}

static bool receive(int fd) {
  static char buffer[BUFFER];
  ssize_t count = recv(fd, buffer, sizeof buffer, 0);
  if (count < 0 && errno == EAGAIN) return true;
  if (count <= 0) return false;
  take(&connections[fd], buffer, (size_t)count);
  return answer(fd);
}

static void open_file(const char *path) {
  struct stat about;
  file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || fstat(file, &about) < 0) fail(path);
  file_length = (size_t)about.st_size;
}

int main(int argc, char **argv) {
  struct epoll_event events[EVENTS];
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  file_length = strlen("Hello, world!");
  if (argc > 1) open_file(argv[1]);
  /* Pages of calloc exist only when they are written to, so a high limit costs nothing. */
  connections = calloc(limit.rlim_cur, sizeof *connections);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (connections == NULL || epoll < 0) fail("start");
  int from = listener();
  control(EPOLL_CTL_ADD, from, EPOLLIN);
  for (;;) {
    int count = epoll_wait(epoll, events, EVENTS, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    make_answers();
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == from) accept_all(fd);
      else if (!(connections[fd].waits ? answer(fd) : receive(fd))) close(fd);
    }
  }
}
