/*
 * echo-load: asks an echo server for as much as it can give, and says how much that was.
 *
 *   echo-load -p PORT [-h HOST] [-m echo|hold|churn] [-c CONNECTIONS] [-i IDLE] [-s SIZE]
 *             [-n DEPTH] [-d SECONDS] [-w WARMUP] [-g GATHER] [-e auto|io_uring|epoll]
 *             [-r RATE] [-l LIFE] [-M BATCHES] [-G] [-P SERVER_PID] [-C SERVER_CORE]
 *
 * echo: IDLE connections are opened first and stay silent; CONNECTIONS each have one batch of DEPTH
 * messages of SIZE bytes in flight. With -r, RATE batches a second leave when they are due (pace.c).
 * hold: only opens IDLE connections, prints a line, and keeps them until its stdin ends. churn: each
 * connection is replaced after LIFE batches. One line of JSON on stdout.
 *
 * -M: each connection sends so many batches, all of them within the window, which ends with the last
 * answer. -G: prints {"opened":N} when all are connected, begins at the first byte on stdin, and stays
 * connected until stdin ends, so that nothing but messages happens in between.
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void refuse(const char *message) {
  fprintf(stderr, "echo-load: %s\n", message);
  exit(2);
}

static double number(const char *text, double least, double most) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end != 0 || !(value >= least && value <= most)) {
    fprintf(stderr, "echo-load: %s is not a number from %g to %g\n", text, least, most);
    exit(2);
  }
  return value;
}

static struct options parse(int argc, char **argv) {
  struct options options = {.connections = 50, .size = 64, .depth = 1, .seconds = 3, .warmup = 1,
                            .life = 10, .engine = "auto", .mode = "echo", .server_core = -1};
  options.server.sin_family = AF_INET;
  options.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int option; (option = getopt(argc, argv, "p:h:m:c:i:s:n:d:w:g:e:r:l:M:GP:C:")) != -1;) {
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
      case 'd': options.seconds = number(optarg, 0.01, 3600); break;
      case 'w': options.warmup = number(optarg, 0, 600); break;
      case 'g': options.gather = (unsigned)number(optarg, 0, 1e6); break;
      case 'e': options.engine = optarg; break;
      case 'r': options.rate = number(optarg, 0, 1e9); break;
      case 'l': options.life = (unsigned)number(optarg, 1, 1e6); break;
      case 'M': options.limit = (unsigned)number(optarg, 1, 1e6); break;
      case 'G': options.gated = true; break;
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
  fprintf(stderr, "echo-load: %u connections do not fit the descriptor limit of %llu\n", wanted,
          (unsigned long long)limit.rlim_max);
  exit(1);
}

static void *zeroed(size_t count, size_t size) {
  void *memory = calloc(count + 1, size);
  if (memory == NULL) fail("calloc");
  return memory;
}

/* Bytes without a short period: a copy that lands at the wrong offset must not look right. */
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

static void until_stdin_ends(void) {
  char byte;
  while (read(0, &byte, 1) > 0) continue;
}

/* With -G: says that all are connected, and waits to be told. */
static void wait_at_gate(unsigned opened) {
  char byte;
  printf("{\"opened\":%u}\n", opened);
  fflush(stdout);
  if (read(0, &byte, 1) != 1) exit(0);
}

static void hold(const struct load *load) {
  printf("{\"held\":%u,\"connectMs\":%.3f}\n", load->options.idle, load->connect_ms);
  fflush(stdout);
  until_stdin_ends();
}

int main(int argc, char **argv) {
  static struct load load;
  load.options = parse(argc, argv);
  struct options *options = &load.options;
  bool holding = strcmp(options->mode, "hold") == 0, churning = strcmp(options->mode, "churn") == 0;
  if (!holding && !churning && strcmp(options->mode, "echo") != 0) refuse("unknown mode");
  if (!holding && options->connections == 0) refuse("-c must be at least 1");
  if (holding) options->connections = 0;
  raise_limit(options->connections + options->idle);
  /* Whatever happens, this process ends: nothing is left behind on a machine that waits for it. */
  alarm((unsigned)(options->warmup + options->seconds) + (holding ? 600 : 120));
  load.batch = options->size * options->depth;
  fill_pattern(&load);

  int *fds = zeroed(options->connections + options->idle, sizeof *fds);
  load.connections = zeroed(options->connections, sizeof *load.connections);
  uint64_t started = now_ns();
  open_all(&load, fds, options->idle, 0);
  if (!churning) open_all(&load, fds + options->idle, options->connections, options->idle);
  load.connect_ms = (double)(now_ns() - started) / 1e6;
  if (holding) {
    hold(&load);
    return 0;
  }
  for (unsigned i = 0; i < options->connections; i++) {
    load.connections[i].fd = fds[options->idle + i];
  }
  load.alive = options->connections;
  if (options->gated) wait_at_gate(options->connections);
  load.phase_ends = now_ns() + (uint64_t)(options->warmup * 1e9);
  if (churning) run_churn(&load);
  else if (strcmp(options->engine, "epoll") == 0 || !run_uring(&load)) {
    if (strcmp(options->engine, "io_uring") == 0) refuse("io_uring cannot be had here");
    run_epoll(&load);
  }
  report(&load);
  if (options->gated) until_stdin_ends();
  return 0;
}
