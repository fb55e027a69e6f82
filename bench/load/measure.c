/* Clocks, /proc, the latency histogram, and the report. */
#define _GNU_SOURCE
#include "load.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static double own_cpu(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/*
 * CPU time of all threads of a process, in seconds, to the nanosecond: a window of a second has only 100 clock ticks.
 * -1 without scheduler statistics.
 */
static double threads_cpu(pid_t pid) {
  char path[64 + NAME_MAX];
  snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
  DIR *threads = opendir(path);
  double total = -1;
  if (threads == NULL) return total;
  for (struct dirent *thread; (thread = readdir(threads)) != NULL;) {
    unsigned long long ns;
    if (thread->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, thread->d_name);
    FILE *file = fopen(path, "r");
    if (file == NULL) continue;
    if (fscanf(file, "%llu", &ns) == 1) total = (total < 0 ? 0 : total) + (double)ns / 1e9;
    fclose(file);
  }
  closedir(threads);
  return total;
}

/* utime + stime of /proc/PID/stat: CPU time of all threads of the process, in clock ticks. */
static double process_cpu(pid_t pid) {
  char path[64], line[1024];
  double precise = threads_cpu(pid);
  if (precise >= 0) return precise;
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) return 0;
  size_t length = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[length] = 0;
  /* The name in parentheses may contain any character, so fields are counted from the last one. */
  char *rest = strrchr(line, ')');
  unsigned long user = 0, system = 0;
  if (rest == NULL) return 0;
  if (sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) {
    return 0;
  }
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* The idle and iowait columns of one core in /proc/stat. */
static double core_idle(int core) {
  char name[16], line[512];
  double ticks = 0;
  snprintf(name, sizeof name, "cpu%d ", core);
  FILE *file = fopen("/proc/stat", "r");
  if (file == NULL) return 0;
  while (fgets(line, sizeof line, file) != NULL) {
    unsigned long long idle, wait;
    if (strncmp(line, name, strlen(name)) != 0) continue;
    if (sscanf(line, "%*s %*u %*u %*u %llu %llu", &idle, &wait) == 2) ticks = (double)(idle + wait);
    break;
  }
  fclose(file);
  return ticks / (double)sysconf(_SC_CLK_TCK);
}

void take_sample(const struct load *load, struct sample *sample) {
  const struct options *options = &load->options;
  sample->messages = load->messages;
  sample->bytes = load->bytes;
  sample->lives = load->lives;
  sample->own_cpu = own_cpu();
  sample->server_cpu = options->server_pid > 0 ? process_cpu(options->server_pid) : 0;
  sample->core_idle = options->server_core >= 0 ? core_idle(options->server_core) : 0;
  sample->ns = now_ns();
}

/* Adds the difference of the two samples of a window to the total. */
void add_window(struct load *load) {
  const struct sample *first = &load->first, *last = &load->last;
  struct total *total = &load->total;
  total->seconds += (double)(last->ns - first->ns) / 1e9;
  total->own_cpu += last->own_cpu - first->own_cpu;
  total->server_cpu += last->server_cpu - first->server_cpu;
  total->core_idle += last->core_idle - first->core_idle;
  total->messages += last->messages - first->messages;
  total->bytes += last->bytes - first->bytes;
  total->lives += last->lives - first->lives;
}

void histogram_add(struct histogram *histogram, uint64_t value) {
  unsigned slot = (unsigned)value;
  if (value >= HISTOGRAM_STEPS) {
    unsigned power = 63u - (unsigned)__builtin_clzll(value);
    slot = (power - 4) * HISTOGRAM_STEPS + (unsigned)((value >> (power - 5)) & (HISTOGRAM_STEPS - 1));
  }
  histogram->counts[slot]++;
  histogram->total++;
  if (value > histogram->max) histogram->max = value;
}

/* The value below which `fraction` of all values lie: the upper end of its bucket. */
uint64_t histogram_at(const struct histogram *histogram, double fraction) {
  uint64_t wanted = (uint64_t)((double)histogram->total * fraction), seen = 0;
  for (unsigned slot = 0; slot < HISTOGRAM_SIZE; slot++) {
    seen += histogram->counts[slot];
    if (seen <= wanted) continue;
    if (slot < HISTOGRAM_STEPS) return slot;
    unsigned power = slot / HISTOGRAM_STEPS + 4;
    uint64_t step = (uint64_t)1 << (power - 5);
    uint64_t end = ((uint64_t)1 << power) + (slot % HISTOGRAM_STEPS + 1) * step - 1;
    return end < histogram->max ? end : histogram->max;
  }
  return histogram->max;
}

static double micros(const struct load *load, double fraction) {
  return (double)histogram_at(&load->latency, fraction) / 1e3;
}

void report(const struct load *load) {
  const struct options *options = &load->options;
  const struct total *total = &load->total;
  printf("{\"side\":\"c\",\"engine\":\"%s\",\"mode\":\"%s\",", load->engine, options->mode);
  printf("\"connections\":%u,\"idle\":%u,\"size\":%zu,\"depth\":%u,", options->connections,
         options->idle, options->size, options->depth);
  printf("\"seconds\":%.6f,", total->seconds);
  printf("\"messages\":%llu,\"bytes\":%llu,", (unsigned long long)total->messages,
         (unsigned long long)total->bytes);
  printf("\"rate\":%.3f,\"lives\":%llu,", load->window.rate,
         (unsigned long long)total->lives);
  /* Of all answers, not only of the window. */
  double seen = load->bytes > 0 ? 1 - (double)load->unseen / (double)load->bytes : 1;
  printf("\"compared\":%.3f,", seen);
  printf("\"mismatches\":%llu,\"lost\":%llu,", (unsigned long long)load->mismatches,
         (unsigned long long)load->lost);
  printf("\"connectMs\":%.3f,", load->connect_ms);
  printf("\"latencyUs\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},",
         micros(load, 0.5), micros(load, 0.9), micros(load, 0.99), micros(load, 0.999),
         (double)load->latency.max / 1e3);
  printf("\"cpuSeconds\":%.6f,", total->own_cpu);
  printf("\"serverCpuSeconds\":%.6f,", total->server_cpu);
  printf("\"coreIdleSeconds\":%.6f}\n", total->core_idle);
  fflush(stdout);
}
