import type { World } from "../base/world.ts";
import { BytePool } from "./byte-pool.ts";
import { FIRST_EPHEMERAL, LAST_EPHEMERAL, PortTable } from "./ports.ts";
import { UnixNames } from "./unix-names.ts";

/** What the sockets of a machine share: its loopback interface, its ports, and the names of unix sockets. */
export class Network {
  readonly world: World;
  readonly tcp: PortTable;
  readonly udp: PortTable;
  readonly unix: UnixNames = new UnixNames();
  /** The bytes that are on their way. */
  readonly bytes: BytePool = new BytePool();

  constructor(world: World) {
    this.world = world;
    this.tcp = new PortTable(world, FIRST_EPHEMERAL);
    this.udp = new PortTable(world, (FIRST_EPHEMERAL + LAST_EPHEMERAL) >> 1);
  }
}
