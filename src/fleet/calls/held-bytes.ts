// What this machine keeps of others' words that have not come to an end, or wait to be read: of one machine, and of all.
import type { Tunnel } from "./tunnel.ts";

/** Of one machine: a message of the longest kind, and others beside it. */
export const MOST_OF_MACHINE = 128 * 1024 * 1024;
const MOST_IN_ALL = 2 * MOST_OF_MACHINE;

interface Holding {
  readonly machine: string;
  readonly bytes: number;
}

export class HeldBytes {
  readonly #tunnels = new Map<Tunnel, Holding>();
  readonly #machines = new Map<string, number>();
  #inAll = 0;

  /** So much is held in the tunnel now. Null, or the tunnel that has to end: the largest of the machine that holds too much. */
  note(tunnel: Tunnel, machine: string, bytes: number): Tunnel | null {
    this.forget(tunnel);
    if (bytes === 0) return null;
    this.#tunnels.set(tunnel, { machine, bytes });
    this.#add(machine, bytes);
    if ((this.#machines.get(machine) ?? 0) > MOST_OF_MACHINE) return this.#largestOf(machine);
    return this.#inAll > MOST_IN_ALL ? this.#largestOf(largest(this.#machines)) : null;
  }

  forget(tunnel: Tunnel): void {
    const held = this.#tunnels.get(tunnel);
    if (held === undefined) return;
    this.#tunnels.delete(tunnel);
    this.#add(held.machine, -held.bytes);
  }

  #add(machine: string, bytes: number): void {
    this.#inAll += bytes;
    const ofMachine = (this.#machines.get(machine) ?? 0) + bytes;
    if (ofMachine === 0) this.#machines.delete(machine);
    else this.#machines.set(machine, ofMachine);
  }

  #largestOf(machine: string | null): Tunnel | null {
    const ofMachine = [...this.#tunnels].filter(([, held]) => held.machine === machine);
    return largest(new Map(ofMachine.map(([tunnel, { bytes }]) => [tunnel, bytes])));
  }
}

function largest<T>(sizes: ReadonlyMap<T, number>): T | null {
  const [first] = [...sizes].toSorted(([, one], [, other]) => other - one);
  return first === undefined ? null : first[0];
}
