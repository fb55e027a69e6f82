/*
 * The schedule of messages.
 *
 * Without a rate a connection sends as soon as its last message is answered. With a rate, messages are due at equal
 * intervals, and connections send in turn, so that their phases are distributed over the period. A message that is due
 * while the one before it is in flight is sent when that is answered, and its latency counts from when it was due. So
 * the figures include the delay of a slow server. A window begins with the connection after the last one of the window
 * before; otherwise the last connections would never send in short windows.
 */
#include "load.h"

static uint64_t due_at(const struct load *load, double turn) {
  return load->pace_began + (uint64_t)(turn * 1e9 / load->window.rate);
}

/* When the connection's next batch is due; never, after its last batch or the end of the window. */
uint64_t due_ns(const struct load *load, unsigned index, uint64_t now) {
  const struct options *options = &load->options;
  uint32_t sequence = load->connections[index].sequence;
  if (load->phase == OVER || (options->limit > 0 && sequence >= options->limit)) return UINT64_MAX;
  if (load->window.rate == 0) return now;
  unsigned count = options->connections;
  unsigned place = (index + count - load->pace_first) % count;
  return due_at(load, (double)sequence * count + place);
}

/* The next connection that has to send now, in turn; the number of connections when none has. */
unsigned next_on_time(struct load *load, uint64_t now) {
  unsigned count = load->options.connections;
  if (load->phase == OVER) return count;
  if (load->pace_began == 0) load->pace_began = now;
  while (due_at(load, (double)load->pace_turn) <= now) {
    unsigned index = (unsigned)((load->pace_turn++ + load->pace_first) % count);
    const struct connection *connection = &load->connections[index];
    /* A connection whose answer is late sends when it arrives. */
    if (connection->fd >= 0 && !connection->in_flight && due_ns(load, index, now) <= now) {
      return index;
    }
  }
  return count;
}
