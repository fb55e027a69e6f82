/*
 * Who sends when.
 *
 * Without a rate a connection sends as soon as its last message is back. With one, messages are due at
 * even distances, and connections take turns: each has a period of its own, and their phases are
 * spread over it. A message that is due while the one before is still out leaves when that is back, and
 * its latency counts from when it was due: what the server was too slow for is in the figures. A window
 * begins with the connection after the last one's, or the last ones would never have a turn in short ones.
 */
#include "load.h"

static uint64_t due_at(const struct load *load, double turn) {
  return load->pace_began + (uint64_t)(turn * 1e9 / load->window.rate);
}

/* When the connection's next batch is due; never, when it has sent all of its own or all is over. */
uint64_t due_ns(const struct load *load, unsigned index, uint64_t now) {
  const struct options *options = &load->options;
  uint32_t sequence = load->connections[index].sequence;
  if (load->phase == OVER || (options->limit > 0 && sequence >= options->limit)) return UINT64_MAX;
  if (load->window.rate == 0) return now;
  unsigned count = options->connections;
  unsigned place = (index + count - load->pace_first) % count;
  return due_at(load, (double)sequence * count + place);
}

/* The next connection that is to send now, each in its turn; the number of them when none is. */
unsigned next_on_time(struct load *load, uint64_t now) {
  unsigned count = load->options.connections;
  if (load->phase == OVER) return count;
  if (load->pace_began == 0) load->pace_began = now;
  while (due_at(load, (double)load->pace_turn) <= now) {
    unsigned index = (unsigned)((load->pace_turn++ + load->pace_first) % count);
    const struct connection *connection = &load->connections[index];
    /* One whose answer is late sends when it is there. */
    if (connection->fd >= 0 && !connection->in_flight && due_ns(load, index, now) <= now) {
      return index;
    }
  }
  return count;
}
