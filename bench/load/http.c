/*
 * HTTP: requests for one resource on keep-alive connections, with GET, or with POST and a body.
 *
 * The first answer is parsed, and its status, length, body and Date are checked. Every later one has to be the same
 * byte for byte, except for the time, and so is compared at the cost of an echo. Servers whose answers differ in other
 * ways cannot be measured. The chunks of a chunked answer may differ: they are decoded, and only the head and the
 * decoded body have to be the same.
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#define HEAD_AT_MOST 4096

static void refuse(const char *message) {
  fprintf(stderr, "load: the answer %s\n", message);
  exit(1);
}

static void *memory_of(size_t length) {
  void *memory = malloc(length + 1);
  if (memory == NULL) fail("malloc");
  return memory;
}

/* Creates the batch that every connection sends. */
void http_prepare(struct load *load) {
  const struct options *options = &load->options;
  char host[INET_ADDRSTRLEN], *request;
  inet_ntop(AF_INET, &options->server.sin_addr, host, sizeof host);
  char fields[128] = "";
  if (options->sent_body > 0) {
    snprintf(fields, sizeof fields,
             "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n",
             options->sent_body);
  }
  int head = asprintf(&request, "%s %s HTTP/1.1\r\nHost: %s:%u\r\n%s\r\n",
                      options->sent_body > 0 ? "POST" : "GET", options->path, host,
                      ntohs(options->server.sin_port), fields);
  if (head < 0) fail("asprintf");
  size_t length = (size_t)head + options->sent_body;
  load->batch = length * options->depth;
  load->http.request = memory_of(load->batch);
  for (unsigned i = 0; i < options->depth; i++) {
    unsigned char *at = load->http.request + i * length;
    memcpy(at, request, (size_t)head);
    for (size_t j = 0; j < options->sent_body; j++) at[(size_t)head + j] = (unsigned char)(j % 251);
  }
  free(request);
}

void http_greet(const struct load *load, int fd) {
  size_t length = load->batch / load->options.depth;
  if (transport->send(fd, load->http.request, length) < 0) fail("send");
}

static void receive_until(int fd, unsigned char *bytes, size_t have, size_t length) {
  while (have < length) {
    ssize_t count = transport->receive(fd, bytes + have, length - have, 0);
    if (count == 0) refuse("ended before its length");
    if (count < 0) fail("waiting for an answer");
    have += (size_t)count;
  }
}

/* The start of the value of a field, in a head that ends with 0; NULL without the field. */
static const char *field(const char *head, const char *name) {
  size_t length = strlen(name);
  for (const char *line = head; (line = strstr(line, "\r\n")) != NULL;) {
    line += 2;
    if (strncasecmp(line, name, length) != 0 || line[length] != ':') continue;
    line += length + 1;
    return line + strspn(line, " \t");
  }
  return NULL;
}

static void check_body(const struct options *options, const unsigned char *body, size_t length) {
  if (options->body == NULL) return;
  FILE *file = fopen(options->body, "r");
  if (file == NULL) fail(options->body);
  unsigned char *expected = memory_of(length + 1);
  size_t there = fread(expected, 1, length + 1, file);
  fclose(file);
  if (there != length || memcmp(expected, body, length) != 0) refuse("has another body");
  free(expected);
}

/* The length of the head including its empty line; 0 when it is incomplete. */
static size_t head_length(const char *bytes) {
  const char *end = strstr(bytes, "\r\n\r\n");
  return end == NULL ? 0 : (size_t)(end - bytes) + 4;
}

/* Reads the file with the expected body of chunked answers. */
static void read_body(struct http *http, const char *path) {
  FILE *file = path == NULL ? NULL : fopen(path, "r");
  if (path == NULL) refuse("is chunked, which needs the expected body");
  if (file == NULL || fseek(file, 0, SEEK_END) < 0) fail(path);
  long length = ftell(file);
  if (length < 0) fail(path);
  rewind(file);
  http->body_length = (size_t)length;
  http->body = memory_of(http->body_length);
  if (fread(http->body, 1, http->body_length, file) != http->body_length) fail(path);
  fclose(file);
}

/* The length of the body according to the head; 0 if it is chunked. Stores the position of the time. */
static size_t read_head(struct http *http, const struct options *options, const char *head) {
  char *end;
  if (strncmp(head, "HTTP/1.1 200 ", 13) != 0) refuse("is none of HTTP/1.1 with the status 200");
  const char *after = field(head, "Connection"), *date = field(head, "Date");
  if (after != NULL && strncasecmp(after, "close", 5) == 0) refuse("is the last one");
  if (date == NULL || strcspn(date, "\r") != DATE_LENGTH) refuse("has no Date");
  http->date = (size_t)(date - head);
  const char *size = field(head, "Content-Length"), *coding = field(head, "Transfer-Encoding");
  if (size == NULL && coding != NULL && strncasecmp(coding, "chunked\r", 8) == 0) {
    if (options->depth > 1) refuse("is chunked, which is not supported with pipelining");
    read_body(http, options->body);
    return 0;
  }
  if (size == NULL || coding != NULL) refuse("has no Content-Length");
  size_t length = strtoul(size, &end, 10);
  if (end == size || *end != '\r') refuse("has a Content-Length that is no number");
  return length;
}

/* The part of a chunked answer that the next byte belongs to. */
enum { HEAD, SIZE_START, SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, LAST_CR, LAST_LF, COMPLETE };

static unsigned digit_of(unsigned char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  byte |= 0x20;
  return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10u : 16;
}

/* Reads a byte of the framing of chunks. */
static void decode_framing(const struct http *http, struct chunks *chunks, unsigned char byte) {
  switch (chunks->state) {
    case SIZE_START:
    case SIZE:
      if (digit_of(byte) < 16) {
        chunks->left = chunks->left * 16 + digit_of(byte);
        if (chunks->left > http->body_length) refuse("has a chunk that is longer than the body");
        chunks->state = SIZE;
        return;
      }
      if (chunks->state == SIZE && (byte == '\r' || byte == ';')) {
        chunks->state = byte == ';' ? EXTENSION : SIZE_LF;
        return;
      }
      break;
    case EXTENSION:
      if (byte == '\r') chunks->state = SIZE_LF;
      return;
    case SIZE_LF:
      chunks->state = chunks->left > 0 ? DATA : LAST_CR;
      if (byte == '\n') return;
      break;
    case DATA_CR:
    case LAST_CR:
      chunks->state++;
      if (byte == '\r') return;
      break;
    case DATA_LF:
      chunks->state = SIZE_START;
      if (byte == '\n') return;
      break;
    case LAST_LF:
      if (chunks->body != http->body_length) refuse("has a body that is too short");
      chunks->state = COMPLETE;
      if (byte == '\n') return;
      break;
  }
  refuse("has invalid chunks, or trailers");
}

/*
 * Decodes bytes of a chunked answer. `wrong` is set if its head or its body differs from the expected one; NULL compares
 * nothing. @returns Whether the answer is complete.
 */
bool http_decode(const struct http *http, struct chunks *chunks, const unsigned char *bytes, size_t length,
                 bool *wrong) {
  for (size_t at = 0; at < length;) {
    size_t count = length - at;
    switch (chunks->state) {
      case HEAD:
        if (count > http->length - chunks->head) count = http->length - chunks->head;
        if (wrong != NULL && http_differs(http, chunks->head, bytes + at, count)) *wrong = true;
        chunks->head += count;
        if (chunks->head == http->length) chunks->state = SIZE_START;
        break;
      case DATA:
        if (count > chunks->left) count = chunks->left;
        if (count > http->body_length - chunks->body) refuse("has a body that is too long");
        if (wrong != NULL && memcmp(http->body + chunks->body, bytes + at, count) != 0) *wrong = true;
        chunks->body += count;
        chunks->left -= count;
        if (chunks->left == 0) chunks->state = DATA_CR;
        break;
      case COMPLETE:
        refuse("is longer than it says");
      default:
        decode_framing(http, chunks, bytes[at]);
        count = 1;
    }
    at += count;
  }
  return chunks->state == COMPLETE;
}

/* Receives a chunked answer, the first bytes of which are given. */
static void hear_chunks(const struct http *http, int fd, const unsigned char *first, size_t have) {
  unsigned char bytes[HEAD_AT_MOST];
  struct chunks chunks = {0};
  bool wrong = false, complete = http_decode(http, &chunks, first, have, &wrong);
  while (!complete) {
    ssize_t count = transport->receive(fd, bytes, sizeof bytes, 0);
    if (count == 0) refuse("ended before its last chunk");
    if (count < 0) fail("waiting for an answer");
    complete = http_decode(http, &chunks, bytes, (size_t)count, &wrong);
  }
  if (wrong) refuse("has another body, or differs from the first one");
}

/* Reads the answer that all others are compared with. */
static void hear_first(struct load *load, int fd) {
  struct http *http = &load->http;
  char bytes[HEAD_AT_MOST + 1] = "", head[HEAD_AT_MOST + 1] = "";
  size_t have = 0, length;
  while ((length = head_length(bytes)) == 0) {
    if (have == HEAD_AT_MOST) refuse("has no end of its head");
    ssize_t count = transport->receive(fd, bytes + have, HEAD_AT_MOST - have, 0);
    if (count == 0) refuse("ended within its head");
    if (count < 0) fail("waiting for an answer");
    bytes[have += (size_t)count] = 0;
  }
  memcpy(head, bytes, length);
  size_t body = read_head(http, &load->options, head);
  http->length = length + body;
  if (http->body != NULL) {
    http->answer = memory_of(length);
    memcpy(http->answer, bytes, length);
    hear_chunks(http, fd, (unsigned char *)bytes, have);
    load->back = length + http->body_length;
    return;
  }
  if (have > http->length) refuse("is longer than it says");
  http->answer = memory_of(http->length);
  memcpy(http->answer, bytes, have);
  receive_until(fd, http->answer, have, http->length);
  check_body(&load->options, http->answer + length, body);
  load->back = http->length * load->options.depth;
}

/* Reads the answer to the first request of a connection. */
void http_hear(struct load *load, int fd) {
  struct http *http = &load->http;
  if (http->answer == NULL) {
    hear_first(load, fd);
    return;
  }
  if (http->body != NULL) {
    hear_chunks(http, fd, NULL, 0);
    return;
  }
  unsigned char *bytes = memory_of(http->length);
  receive_until(fd, bytes, 0, http->length);
  if (http_differs(http, 0, bytes, http->length)) refuse("differs from the first one");
  free(bytes);
}

/* Whether bytes differ from the answer's between two positions. */
static bool differ(const struct http *http, size_t from, size_t to, const unsigned char *bytes) {
  return from < to && memcmp(http->answer + from, bytes, to - from) != 0;
}

/* Whether bytes at a position of the batch differ from those of its answers. */
bool http_differs(const struct http *http, size_t at, const unsigned char *bytes, size_t length) {
  while (length > 0) {
    size_t from = at % http->length, rest = http->length - from;
    size_t to = from + (length < rest ? length : rest);
    size_t date = http->date < to ? http->date : to;
    size_t after = http->date + DATE_LENGTH > from ? http->date + DATE_LENGTH : from;
    if (differ(http, from, date, bytes)) return true;
    if (after < to && differ(http, after, to, bytes + (after - from))) return true;
    bytes += to - from;
    at += to - from;
    length -= to - from;
  }
  return false;
}
