/*
 * load: saturates a server, and reports its throughput.
 *
 *   echo-load -p PORT [-h HOST] [-m echo|churn] [-c CONNECTIONS] [-i IDLE] [-s SIZE] [-n DEPTH]
 *             [-g GATHER] [-e auto|io_uring|epoll] [-l LIFE] [-M BATCHES] [-P SERVER_PID]
 *             [-C SERVER_CORE] [-k SECONDS]
 *   load -m http|http-churn -p PORT [-u PATH] [-b BODY_FILE] [-B BYTES] ...
 *   load-tls -t [-r] ...
 *
 * It opens IDLE connections, which stay idle, and CONNECTIONS, and prints {"opened":N,...}. Then each line on
 * stdin, "WARMUP SECONDS RATE", is a window: WARMUP seconds are not counted, SECONDS are. Every connection has one
 * batch of DEPTH messages of SIZE bytes in flight, or with a RATE above 0 sends when a message is due (pace.c). In
 * churn, connections are opened within the window, and replaced after LIFE batches. With -M each connection sends
 * BATCHES batches, and the window ends with the last answer. In http a message is a request for PATH, with a body of
 * BYTES, and the answer has the body of BODY_FILE (http.c); in http-churn it is one of a connection's LIFE.
 * With -t connections use TLS (tls.c), where the program was built with it; with -r each resumes the session of the one
 * that it replaces.
 *
 * After each window everything is answered and nothing is sent, so that windows of several loads, each with its own
 * server, can alternate. Each window is followed by a line of JSON on stdout: the sums of all windows since the last
 * one of 0 SECONDS. With -k, every connection sends a batch each SECONDS while the load waits for its next window: some
 * servers close idle connections. It exits at the end of stdin.
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* Alarms end this process in any case. */
#define IDLE_ALARM_SECONDS 600
#define RUN_ALARM_SECONDS 120

static void refuse(const char *message) {
  fprintf(stderr, "load: %s\n", message);
  exit(2);
}

static double number(const char *text, double least, double most) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end != 0 || !(value >= least && value <= most)) {
    fprintf(stderr, "load: %s is not a number from %g to %g\n", text, least, most);
    exit(2);
  }
  return value;
}

static struct options parse(int argc, char **argv) {
  struct options options = {.connections = 50, .size = 64, .depth = 1, .life = 10,
                            .engine = "auto", .mode = "echo", .path = "/", .server_core = -1};
  options.server.sin_family = AF_INET;
  options.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int option; (option = getopt(argc, argv, "p:h:m:c:i:s:n:u:b:B:g:e:l:M:P:C:k:tr")) != -1;) {
    switch (option) {
      case 'p': options.server.sin_port = htons((uint16_t)number(optarg, 1, 65535)); break;
      case 'h':
        if (inet_pton(AF_INET, optarg, &options.server.sin_addr) != 1) refuse("HOST is not IPv4");
        break;
      case 'm': options.mode = optarg; break;
      case 'c': options.connections = (unsigned)number(optarg, 0, 1e6); break;
      case 'i': options.idle = (unsigned)number(optarg, 0, 1e6); break;
      case 's': options.size = (size_t)number(optarg, 1, 1 << 24); break;
      case 'n': options.depth = (unsigned)number(optarg, 1, 1024); break;
      case 'u': options.path = optarg; break;
      case 'b': options.body = optarg; break;
      case 'B': options.sent_body = (size_t)number(optarg, 0, 1 << 24); break;
      case 'g': options.gather = (unsigned)number(optarg, 0, 1e6); break;
      case 'e': options.engine = optarg; break;
      case 'l': options.life = (unsigned)number(optarg, 1, 1e6); break;
      case 'M': options.limit = (unsigned)number(optarg, 1, 1e6); break;
      case 'k': options.keep = (unsigned)number(optarg, 0, 3600); break;
      case 't':
#ifdef LOAD_TLS
        transport = &tls_transport;
#else
        refuse("-t: it was built without TLS");
#endif
        break;
      case 'r': options.resume = true; break;
      case 'P': options.server_pid = (pid_t)number(optarg, 1, 1e9); break;
      case 'C': options.server_core = (int)number(optarg, 0, 65535); break;
      default: exit(2);
    }
  }
  if (options.server.sin_port == 0) refuse("-p PORT is missing");
  return options;
}

static void raise_limit(unsigned wanted) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (wanted + 16 <= limit.rlim_max) return;
  fprintf(stderr, "load: %u connections do not fit the descriptor limit of %llu\n", wanted,
          (unsigned long long)limit.rlim_max);
  exit(1);
}

static void *zeroed(size_t count, size_t size) {
  void *memory = calloc(count + 1, size);
  if (memory == NULL) fail("calloc");
  return memory;
}

/* Bytes without a short period, so that a copy at the wrong offset is detected. */
static void fill_pattern(struct load *load) {
  size_t length = PATTERN_SHIFTS + (load->batch < 64 ? 64 : load->batch);
  load->pattern = zeroed(length, 1);
  uint64_t state = 0x9e3779b97f4a7c15ull;
  for (size_t i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    load->pattern[i] = (unsigned char)(state >> 32);
  }
}

static void begin_window(struct load *load, struct window window) {
  load->window = window;
  for (unsigned i = 0; i < load->options.connections; i++) load->connections[i].sequence = 0;
  load->messages_before = load->messages;
  if (load->options.connections > 0) {
    load->pace_first = (unsigned)((load->pace_first + load->pace_turn) % load->options.connections);
  }
  load->pace_began = load->pace_turn = 0;
  load->phase = WARMING;
  load->phase_ends = now_ns() + (uint64_t)(window.warmup * 1e9);
}

/* Every connection sends a batch, which counts nowhere. */
static void keep_alive(struct load *load, const struct driver *driver) {
  struct total total = load->total;
  struct histogram latency = load->latency;
  unsigned limit = load->options.limit;
  load->options.limit = 1;
  begin_window(load, (struct window){.seconds = 1});
  driver->run(load);
  load->options.limit = limit;
  load->total = total;
  load->latency = latency;
}

/* Waits for a line on stdin, which is not buffered. Meanwhile no connection is idle for too long. */
static void wait_for_line(struct load *load, const struct driver *driver) {
  static uint64_t kept;
  uint64_t every = load->options.keep * 1000000000ull;
  if (every == 0) return;
  if (kept == 0) kept = now_ns();
  for (;;) {
    uint64_t passed = now_ns() - kept;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int timeout = passed >= every ? 0 : (int)((every - passed) / 1000000) + 1;
    int ready = poll(&input, 1, timeout);
    if (ready < 0 && errno != EINTR) fail("poll");
    if (now_ns() - kept >= every) {
      keep_alive(load, driver);
      kept = now_ns();
    }
    if (ready > 0) return;
  }
}

/* Reads the next window, if there is one, and begins it. */
static bool next_window(struct load *load, const struct driver *driver) {
  struct window window = {0};
  char line[128];
  alarm(IDLE_ALARM_SECONDS);
  wait_for_line(load, driver);
  if (fgets(line, sizeof line, stdin) == NULL) return false;
  if (sscanf(line, "%lf %lf %lf", &window.warmup, &window.seconds, &window.rate) != 3 ||
      !(window.warmup >= 0 && window.seconds >= 0 && window.rate >= 0)) {
    refuse("a window is WARMUP SECONDS RATE");
  }
  alarm((unsigned)(window.warmup + window.seconds) + RUN_ALARM_SECONDS);
  begin_window(load, window);
  return true;
}

/* A window of 0 seconds resets the figures. */
static void forget(struct load *load) {
  memset(&load->total, 0, sizeof load->total);
  memset(&load->latency, 0, sizeof load->latency);
}

static const struct driver *choose(struct load *load) {
  const char *engine = load->options.engine;
  if (strstr(load->options.mode, "churn") != NULL) {
    churn_driver.open(load);
    return &churn_driver;
  }
  bool any = strcmp(engine, "epoll") != 0 && transport == &plain_transport;
  if (any && uring_driver.open(load)) return &uring_driver;
  if (strcmp(engine, "io_uring") == 0) refuse("io_uring cannot be had here");
  epoll_driver.open(load);
  return &epoll_driver;
}

int main(int argc, char **argv) {
  static struct load load;
  load.options = parse(argc, argv);
  struct options *options = &load.options;
  bool churning = strstr(options->mode, "churn") != NULL;
  bool asking = strncmp(options->mode, "http", 4) == 0;
  static const char *const modes[] = {"echo", "churn", "http", "http-churn"};
  unsigned known = 0;
  while (known < 4 && strcmp(options->mode, modes[known]) != 0) known++;
  if (known == 4) refuse("unknown mode");
  /* The expected answer is that of an idle connection. */
  if (asking && churning && options->idle == 0) options->idle = 1;
  setvbuf(stdin, NULL, _IONBF, 0);
  raise_limit(options->connections + options->idle);
  alarm(RUN_ALARM_SECONDS);
  load.batch = load.back = options->size * options->depth;
  fill_pattern(&load);
  if (asking) http_prepare(&load);

  int *fds = zeroed(options->connections + options->idle, sizeof *fds);
  load.connections = zeroed(options->connections, sizeof *load.connections);
  uint64_t started = now_ns();
  open_all(&load, fds, options->idle, 0);
  if (!churning) open_all(&load, fds + options->idle, options->connections, options->idle);
  load.connect_ms = (double)(now_ns() - started) / 1e6;
  for (unsigned i = 0; i < options->connections; i++) {
    load.connections[i].fd = fds[options->idle + i];
  }
  load.alive = options->connections;
  const struct driver *driver = choose(&load);
  printf("{\"opened\":%u,\"connectMs\":%.3f}\n", options->connections + options->idle,
         load.connect_ms);
  fflush(stdout);
  while (next_window(&load, driver)) {
    driver->run(&load);
    if (load.window.seconds == 0) forget(&load);
    report(&load);
  }
  return 0;
}
