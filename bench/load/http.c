/*
 * HTTP: requests for one resource on keep-alive connections.
 *
 * The first answer is parsed, and its status, length, body and Date are checked. Every later one has to be the same
 * byte for byte, except for the time, and so is compared at the cost of an echo. Servers whose answers differ in other
 * ways cannot be measured.
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
  int length = asprintf(&request, "GET %s HTTP/1.1\r\nHost: %s:%u\r\n\r\n", options->path, host,
                        ntohs(options->server.sin_port));
  if (length < 0) fail("asprintf");
  load->batch = (size_t)length * options->depth;
  load->http.request = memory_of(load->batch);
  for (unsigned i = 0; i < options->depth; i++) {
    memcpy(load->http.request + i * (size_t)length, request, (size_t)length);
  }
  free(request);
}

void http_greet(const struct load *load, int fd) {
  size_t length = load->batch / load->options.depth;
  if (send(fd, load->http.request, length, MSG_NOSIGNAL) != (ssize_t)length) fail("send");
}

static void receive_until(int fd, unsigned char *bytes, size_t have, size_t length) {
  while (have < length) {
    ssize_t count = recv(fd, bytes + have, length - have, 0);
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

/* The length of the body according to the head. Stores the position of the time. */
static size_t read_head(struct http *http, const char *head) {
  char *end;
  if (strncmp(head, "HTTP/1.1 200 ", 13) != 0) refuse("is none of HTTP/1.1 with the status 200");
  const char *after = field(head, "Connection"), *date = field(head, "Date");
  if (after != NULL && strncasecmp(after, "close", 5) == 0) refuse("is the last one");
  if (date == NULL || strcspn(date, "\r") != DATE_LENGTH) refuse("has no Date");
  http->date = (size_t)(date - head);
  const char *size = field(head, "Content-Length");
  if (size == NULL || field(head, "Transfer-Encoding") != NULL) refuse("has no Content-Length");
  size_t length = strtoul(size, &end, 10);
  if (end == size || *end != '\r') refuse("has a Content-Length that is no number");
  return length;
}

/* Reads the answer that all others are compared with. */
static void hear_first(struct load *load, int fd) {
  struct http *http = &load->http;
  char bytes[HEAD_AT_MOST + 1] = "", head[HEAD_AT_MOST + 1] = "";
  size_t have = 0, length;
  while ((length = head_length(bytes)) == 0) {
    if (have == HEAD_AT_MOST) refuse("has no end of its head");
    ssize_t count = recv(fd, bytes + have, HEAD_AT_MOST - have, 0);
    if (count == 0) refuse("ended within its head");
    if (count < 0) fail("waiting for an answer");
    bytes[have += (size_t)count] = 0;
  }
  memcpy(head, bytes, length);
  size_t body = read_head(http, head);
  http->length = length + body;
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
