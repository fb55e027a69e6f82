/*
 * A control: an echo server on libuv's C API, which node:net uses. It sends what the kernel accepts at once and queues
 * the rest. Prints {"ready":true,"port":N} when it listens.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

/* The kernel reduces it to net.core.somaxconn. */
#define BACKLOG 65535

/* One buffer for all: received bytes are sent or copied before the next read. */
static char buffer[64 * 1024];

static void check(int result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "%s: %s\n", what, uv_strerror(result));
  exit(1);
}

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *lent) {
  (void)handle, (void)suggested;
  *lent = uv_buf_init(buffer, sizeof buffer);
}

static void on_closed(uv_handle_t *handle) {
  free(handle);
}

static void leave(uv_stream_t *stream) {
  if (!uv_is_closing((uv_handle_t *)stream)) uv_close((uv_handle_t *)stream, on_closed);
}

static void on_sent(uv_write_t *request, int status) {
  if (status < 0) leave(request->handle);
  free(request);
}

static void send_rest(uv_stream_t *stream, const char *bytes, size_t length) {
  uv_write_t *request = malloc(sizeof *request + length);
  if (request == NULL) check(UV_ENOMEM, "malloc");
  uv_buf_t rest = uv_buf_init((char *)(request + 1), (unsigned)length);
  memcpy(rest.base, bytes, length);
  check(uv_write(request, stream, &rest, 1, on_sent), "uv_write");
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *lent) {
  if (length == 0) return;
  if (length < 0) {
    leave(stream);
    return;
  }
  uv_buf_t bytes = uv_buf_init(lent->base, (unsigned)length);
  int sent = uv_try_write(stream, &bytes, 1);
  if (sent < 0 && sent != UV_EAGAIN) leave(stream);
  else if (sent < length) {
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    send_rest(stream, lent->base + taken, (size_t)length - taken);
  }
}

static void on_connection(uv_stream_t *server, int status) {
  if (status < 0) return;
  uv_tcp_t *client = malloc(sizeof *client);
  if (client == NULL) check(UV_ENOMEM, "malloc");
  check(uv_tcp_init(server->loop, client), "uv_tcp_init");
  if (uv_accept(server, (uv_stream_t *)client) < 0) {
    leave((uv_stream_t *)client);
    return;
  }
  uv_tcp_nodelay(client, 1);
  check(uv_read_start((uv_stream_t *)client, lend, on_read), "uv_read_start");
}

int main(void) {
  static uv_tcp_t server;
  struct sockaddr_in address;
  int length = sizeof address;
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  uv_loop_t *loop = uv_default_loop();
  check(uv_tcp_init(loop, &server), "uv_tcp_init");
  check(uv_ip4_addr("127.0.0.1", 0, &address), "uv_ip4_addr");
  check(uv_tcp_bind(&server, (const struct sockaddr *)&address, 0), "uv_tcp_bind");
  check(uv_listen((uv_stream_t *)&server, BACKLOG, on_connection), "uv_listen");
  check(uv_tcp_getsockname(&server, (struct sockaddr *)&address, &length), "uv_tcp_getsockname");
  printf("{\"ready\":true,\"port\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
