/*
 * Starts nginx in the way that the benchmark starts other servers.
 *
 *   nginx PROGRAM FOLDER ROOT
 *
 * nginx does not accept port 0 and does not report when it is ready. So this program finds a free port; a child waits
 * until nginx listens there and prints {"ready":true,"port":N}; and this process executes nginx, as one process that
 * is master and worker. Its configuration is a file in memory. It writes to FOLDER, and serves ROOT.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_CONNECTIONS 65000
#define LOOK_US 5000

/* No log, no limit of requests or idle time per connection; otherwise Debian's configuration. */
static const char CONFIGURATION[] =
    "daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr warn;\n"
    "events { worker_connections %lu; }\n"
    "http {\n"
    "  access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;\n"
    "  keepalive_timeout 1h; keepalive_requests 1000000000;\n"
    "  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;\n"
    "  uwsgi_temp_path tmp; scgi_temp_path tmp;\n"
    "  server {\n"
    "    listen 127.0.0.1:%d backlog=65535; root \"%s\";\n"
    "    location = / { default_type \"text/plain; charset=utf-8\"; return 200 \"Hello, world!\"; }\n"
    "  }\n"
    "}\n";

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in free_address(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) fail("getsockname");
  close(fd);
  return address;
}

/* Waits until nginx listens there, or has exited. */
static void announce(const struct sockaddr_in *address, pid_t nginx) {
  while (getppid() == nginx) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    int there = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    close(fd);
    if (there) {
      printf("{\"ready\":true,\"port\":%d}\n", ntohs(address->sin_port));
      return;
    }
    usleep(LOOK_US);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: nginx PROGRAM FOLDER ROOT\n");
    return 2;
  }
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  unsigned long most = limit.rlim_max < MOST_CONNECTIONS ? limit.rlim_max : MOST_CONNECTIONS;
  struct sockaddr_in address = free_address();
  int port = ntohs(address.sin_port), configuration = memfd_create("nginx.conf", 0);
  if (configuration < 0 || dprintf(configuration, CONFIGURATION, most, port, argv[3]) < 0) {
    fail("the configuration");
  }
  pid_t self = getpid(), child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    announce(&address, self);
    return 0;
  }
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", configuration);
  execl(argv[1], "nginx", "-p", argv[2], "-c", path, (char *)NULL);
  fail(argv[1]);
}
