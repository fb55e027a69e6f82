/*
 * The common part of the load generator's files.
 *
 * The load has to cost less CPU time per message than any server, or it would be the bottleneck. So it makes one
 * system call per turn (io_uring), compares answers in the buffers of the kernel, and waits for several answers before
 * it wakes up: then the server is always busy, and does not pay for wake-ups of its client.
 */
#ifndef POLLOI_BENCH_LOAD_H
#define POLLOI_BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* Messages begin at one of this many offsets of the pattern, so that a swapped or stale one is detected. */
#define PATTERN_SHIFTS 4096

struct options {
  struct sockaddr_in server;
  unsigned connections; /* active ones */
  unsigned idle;        /* opened first, with one message, then idle */
  size_t size;          /* bytes of a message */
  unsigned depth;       /* messages in flight per connection */
  unsigned gather;      /* answers to wait for in one turn; 0 chooses */
  unsigned limit;       /* batches per connection and window; 0: as many as the time allows */
  unsigned life;        /* batches per connection in churn */
  const char *engine;   /* "auto", "io_uring", "epoll" */
  const char *mode;     /* "echo", "churn", "http", "http-churn" */
  const char *path;     /* the path of requests, in http */
  size_t sent_body;     /* bytes of the body of a request, in http: POST; 0: GET */
  const char *body;     /* a file with the expected body; NULL: any */
  bool resume;          /* with TLS: resume the session of the connection before */
  unsigned keep;        /* seconds between windows after which each connection sends a batch; 0: never */
  pid_t server_pid;     /* the process whose CPU time is read; 0 for none */
  int server_core;      /* the core whose idle time is read; -1 for none */
};

/* A period of load. Before and after it nothing is in flight. */
struct window {
  double warmup;  /* seconds before anything is counted */
  double seconds; /* counted */
  double rate;    /* messages/s in an open loop; 0: closed loop */
};

/* A reading of the clock and of /proc. */
struct sample {
  uint64_t ns;
  double own_cpu;    /* CPU time of this process, in seconds */
  double server_cpu; /* CPU time of all threads of the server, in seconds */
  double core_idle;  /* idle time of the server's core, in seconds */
  uint64_t messages;
  uint64_t bytes;
  uint64_t lives;
};

/* The sums of windows. */
struct total {
  double seconds, own_cpu, server_cpu, core_idle;
  uint64_t messages, bytes, lives;
};

/* A histogram with 32 steps per power of two: a value is off by at most 3 %. */
#define HISTOGRAM_STEPS 32
#define HISTOGRAM_SIZE (64 * HISTOGRAM_STEPS)
struct histogram {
  uint64_t counts[HISTOGRAM_SIZE];
  uint64_t total;
  uint64_t max;
};

/* The position in a chunked answer. */
struct chunks {
  size_t head; /* bytes of the head that were received */
  size_t body; /* bytes of the decoded body */
  size_t left; /* of the current chunk */
  unsigned char state;
};

struct connection {
  int fd;
  uint32_t sequence; /* of the batch in flight */
  uint32_t received; /* bytes of it that were received */
  bool wrong;        /* a byte differed */
  bool in_flight;
  unsigned left; /* batches left for this connection, in churn */
  struct chunks chunks; /* of a chunked answer */
  uint64_t sent_ns; /* or was due, with a rate */
};

/* A request, and the answer that every later one is compared with, except for the time. */
struct http {
  unsigned char *request; /* a batch of them; NULL in the other modes */
  unsigned char *answer;  /* the head only, if it is chunked */
  size_t length; /* of the answer */
  size_t date;   /* where the value of its Date begins */
  unsigned char *body; /* the decoded body of a chunked answer; otherwise NULL */
  size_t body_length;
};
#define DATE_LENGTH 29

/* OVER: nothing is sent any more, and messages in flight are answered. */
enum phase { WARMING, MEASURING, OVER };

/* Answers that arrive later than this after a window are lost. */
#define DRAIN_SECONDS 10

struct load {
  struct options options;
  struct window window;
  struct connection *connections;
  unsigned alive;
  unsigned in_flight;
  unsigned char *pattern;
  size_t batch; /* bytes of a batch: size * depth */
  size_t back;  /* bytes of its answers */
  struct http http;
  enum phase phase;
  uint64_t phase_ends;
  uint64_t pace_began; /* with a rate: when the first message was due */
  uint64_t pace_turn;  /* and the number of messages due since */
  unsigned pace_first; /* the connection of the first message: windows continue in turn */
  uint64_t lives;      /* connections that churn has closed */
  uint64_t messages;
  uint64_t messages_before; /* those of earlier windows */
  uint64_t bytes;
  uint64_t unseen; /* bytes that were counted and not compared */
  uint64_t mismatches;
  uint64_t lost; /* connections that the server closed */
  double connect_ms;
  struct sample first;
  struct sample last;
  struct total total;
  struct histogram latency;
  const char *engine;
};

/* measure.c */
uint64_t now_ns(void);
void take_sample(const struct load *load, struct sample *sample);
void add_window(struct load *load);
void histogram_add(struct histogram *histogram, uint64_t value);
uint64_t histogram_at(const struct histogram *histogram, double fraction);
void report(const struct load *load);

/* How bytes reach the server: as they are, or encrypted (tls.c). The io_uring driver uses sockets without it. */
struct transport {
  /* Called once the connection of that index is connected. */
  void (*begin)(const struct load *load, int fd, unsigned index);
  /* Sends everything, or returns -1. The bytes have to remain where they are until there is an answer. */
  ssize_t (*send)(int fd, const void *bytes, size_t length);
  /* As recv(2), with MSG_DONTWAIT or 0. */
  ssize_t (*receive)(int fd, void *bytes, size_t length, int flags);
  void (*close)(int fd);
};
extern const struct transport plain_transport, tls_transport;
extern const struct transport *transport;

/* open.c */
int open_socket(const struct options *options, unsigned index);
void open_all(struct load *load, int *fds, unsigned count, unsigned first);

/* An implementation of the load: opened once, then run for each window. */
struct driver {
  bool (*open)(struct load *load); /* false when it is not available */
  void (*run)(struct load *load);
};
extern const struct driver uring_driver, epoll_driver, churn_driver;

/* pace.c: when a connection's next batch is due, and which connection sends next. */
uint64_t due_ns(const struct load *load, unsigned index, uint64_t now);
unsigned next_on_time(struct load *load, uint64_t now);

/* http.c */
void http_prepare(struct load *load);
void http_greet(const struct load *load, int fd);
void http_hear(struct load *load, int fd);
bool http_differs(const struct http *http, size_t at, const unsigned char *bytes, size_t length);
bool http_decode(const struct http *http, struct chunks *chunks, const unsigned char *bytes, size_t length,
                 bool *wrong);

/* Prints an error and exits. */
void fail(const char *what) __attribute__((noreturn));

/* The bytes of a connection's batch: its number and sequence determine the offset in the pattern. */
static inline const unsigned char *batch_of(const struct load *load, unsigned index) {
  if (load->http.request != NULL) return load->http.request;
  uint32_t shift = index * 61u + load->connections[index].sequence * 17u;
  return load->pattern + shift % PATTERN_SHIFTS;
}

/* Records that a batch is sent now. @returns Its bytes. */
static inline const unsigned char *next_batch(struct load *load, unsigned index, uint64_t now) {
  struct connection *connection = &load->connections[index];
  connection->sequence++;
  connection->received = 0;
  connection->chunks = (struct chunks){0};
  connection->wrong = false;
  connection->in_flight = true;
  load->in_flight++;
  connection->sent_ns = now;
  return batch_of(load, index);
}

/* Records that nothing is in flight on a connection. */
static inline void not_in_flight(struct load *load, unsigned index) {
  if (load->connections[index].in_flight) load->in_flight--;
  load->connections[index].in_flight = false;
}

/*
 * A batch with at least this many bytes to receive is large. Of large ones, the bytes of every eighth connection are
 * compared.
 */
#define LARGE 4096
#define COMPARE_EVERY 8

static inline bool is_compared(const struct load *load, unsigned index) {
  return load->back < LARGE || index % COMPARE_EVERY == 0;
}

/* Whether received bytes differ from the expected ones. */
static inline bool differs(const struct load *load, unsigned index, const unsigned char *bytes,
                           size_t length) {
  size_t at = load->connections[index].received;
  if (load->http.request != NULL) return http_differs(&load->http, at, bytes, length);
  return memcmp(bytes, batch_of(load, index) + at, length) != 0;
}

/*
 * Compares received bytes; true when the batch is complete and the next one is due. NULL for bytes that were counted
 * and not compared.
 */
static inline bool take_bytes(struct load *load, unsigned index, const unsigned char *bytes,
                              size_t length, uint64_t now) {
  struct connection *connection = &load->connections[index];
  load->bytes += length;
  if (load->http.body != NULL) {
    /* The length of a chunked answer depends on its chunks, which are therefore decoded on each connection. */
    bool compared = is_compared(load, index);
    if (!compared) load->unseen += length;
    if (!http_decode(&load->http, &connection->chunks, bytes, length,
                     compared ? &connection->wrong : NULL)) {
      return false;
    }
  } else {
    if (length > load->back - connection->received) {
      /* More bytes than expected: the connection is no longer reliable. */
      load->mismatches++;
      connection->received = 0;
      return false;
    }
    if (bytes == NULL) {
      load->unseen += length;
    } else if (differs(load, index, bytes, length)) {
      connection->wrong = true;
    }
    connection->received += length;
    if (connection->received < load->back) return false;
  }
  not_in_flight(load, index);
  if (connection->wrong) load->mismatches++;
  load->messages += load->options.depth;
  if (load->phase == MEASURING) histogram_add(&load->latency, now - connection->sent_ns);
  return true;
}

/* Proceeds from warming to measuring to over; true while the window continues. */
static inline bool go_on(struct load *load, uint64_t now) {
  const struct options *options = &load->options;
  uint64_t limit = (uint64_t)options->limit * options->depth * options->connections;
  if (load->phase == OVER) {
    if (now > load->phase_ends) fail("answers did not come back");
    return load->in_flight > 0;
  }
  bool all_sent = limit > 0 && load->messages - load->messages_before >= limit;
  if (load->alive == 0 || all_sent) load->phase_ends = now;
  if (now < load->phase_ends) return true;
  if (load->phase == WARMING) {
    take_sample(load, &load->first);
    load->phase = MEASURING;
    load->phase_ends = load->first.ns + (uint64_t)(load->window.seconds * 1e9);
    return true;
  }
  take_sample(load, &load->last);
  add_window(load);
  load->phase = OVER;
  load->phase_ends = load->last.ns + DRAIN_SECONDS * 1000000000ull;
  return load->in_flight > 0;
}

#endif
