// All tunnels of this machine: those that it opened and those that were opened to it, and whether the machines at their
// other ends are still there.
import { randomBytes } from "node:crypto";
import { type Duplex, duplexPair } from "node:stream";
import { isMachineName } from "../../config/values/fleet-values.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { SessionMachines } from "../sessions/session-machines.ts";
import { type Frame, frameBytes, ID_BYTES, readFrame, WHICHEVER } from "./frames.ts";
import { Tunnel, type TunnelEnd } from "./tunnel.ts";
import { MOST_OFFERED, openingBytes, readOpening } from "./words.ts";

/** How often it is looked who has been silent, ms. */
const LOOK_MS = 500;
/** After so long without a word a machine is asked whether it is there, ms: where a call may wait for it, and else. */
const ASK_MS = { waiting: 1_000, quiet: 5_000 };
/** Longer waits are for what has no answer, ms. */
const LONGEST_WAIT_MS = 60_000;
/** A machine that does not answer that for so long is lost, ms. A busy one may take a while. */
const LOST_MS = 10_000;
/** Tunnels that other machines may have here. */
const MOST_OF_ONE = 2 * MOST_OFFERED;
const MOST_OF_ALL = 512;
/** The same of requests for sessions, each of which has one of its own. */
const MOST_VISITS = { ofOne: 1_024, ofAll: 2_048 };
/** One machine may open so many within `withinMs`. */
const OPENINGS = { most: 200, withinMs: 10_000 };
/** Machines whose openings are counted. */
const MOST_COUNTED = 1_000;

const NOTHING = Buffer.alloc(0);

/** What carries frames; to a machine by its name. */
export interface Wire {
  /** Of one frame's data. */
  readonly chunkBytes: number;
  /** Never throws. */
  frame(machine: string, bytes: Uint8Array): void;
}

/** A backend of another machine. */
export interface Borrowed {
  readonly machine: string;
  readonly backend: string;
  readonly instance: string;
}

/** What a tunnel is opened to. */
interface TunnelTarget {
  readonly machine: string;
  readonly instance: string;
  /** Null: sessions of its clients. */
  readonly backend: string | null;
}

/** Machines that share the sessions of their clients. */
export type SessionBoard = Pick<SessionMachines, "refusal" | "serve" | "found" | "nobodyThere">;

interface SwitchboardOptions {
  readonly clock: Clock;
  /** Of this daemon. */
  readonly instance: string;
  readonly name: string;
  /** Why that machine may not use it; null: it may. */
  readonly refusal: (backend: string) => string | null;
  /** Serves it until the stream ends. */
  readonly serve: (machine: string, backend: string, stream: Duplex) => void;
  /** Absent: sessions are shared with nobody. */
  readonly sessions?: SessionBoard;
  /** That daemon is there no more; its tunnels end right after. */
  readonly onLost: (machine: string, instance: string) => void;
}

/** A daemon on another machine to which there are tunnels. */
interface Peer {
  readonly machine: string;
  readonly instance: string;
  readonly tunnels: Set<Tunnel>;
  heardAtMs: number;
  /** Data in tunnels that were opened here. */
  sentAtMs: number;
  answeredAtMs: number;
  probedAtMs: number;
  /** Since when it owes an answer; null: it does not. */
  asksSinceMs: number | null;
}

export class Switchboard {
  readonly #options: SwitchboardOptions;
  readonly #peers = new Map<string, Peer>();
  /** By machine and tunnel. */
  readonly #opened = new Map<string, { readonly tunnel: Tunnel; readonly peer: Peer }>();
  readonly #served = new Map<string, { readonly tunnel: Tunnel; readonly peer: Peer }>();
  /** What is served in each of these. */
  readonly #backends = new WeakMap<Tunnel, string>();
  readonly #held = new HeldBytes();
  /** As `#served`: those for sessions. */
  readonly #visits = new Map<string, { readonly tunnel: Tunnel; readonly peer: Peer }>();
  readonly #openings = new Map<string, { count: number; sinceMs: number }>();
  #wire: Wire | null = null;
  #idle: PromiseWithResolvers<void> | null = null;
  #looking: Timer | null = null;

  constructor(options: SwitchboardOptions) {
    this.#options = options;
  }

  /** Resolves when there is no tunnel, either way. */
  idle(): Promise<void> {
    if (this.#peers.size === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }

  begin(wire: Wire): void {
    this.#wire = wire;
  }

  /** The wire is gone: every tunnel ends. */
  end(why: string): void {
    this.#wire = null;
    for (const { tunnels } of [...this.#peers.values()]) {
      for (const tunnel of [...tunnels]) tunnel.fail(why, HINT, false);
    }
    this.#openings.clear();
  }

  /** Tunnels in which others are served a backend that is to end. */
  endServed(isToEnd: (backend: string) => boolean, why: string): void {
    for (const { tunnel } of [...this.#served.values()]) {
      const backend = this.#backends.get(tunnel);
      if (backend !== undefined && isToEnd(backend)) tunnel.fail(why);
    }
  }

  /** The same for machines that are served requests for sessions. */
  endVisits(isToEnd: (machine: string) => boolean, why: string): void {
    for (const { tunnel, peer } of [...this.#visits.values()]) {
      if (isToEnd(peer.machine)) tunnel.fail(why);
    }
  }

  /** `onOpen`: that machine has taken it, before which nothing needs to be sent. */
  open(
    { machine, backend, instance }: TunnelTarget,
    onEnd: (end: TunnelEnd) => void,
    onOpen: () => void = () => {},
  ): Duplex {
    const wire = this.#wire;
    if (wire === null) return closedStream("the fleet's server is not reached", onEnd);
    const id = randomBytes(ID_BYTES).toString("hex");
    const peer = this.#peer(machine, instance);
    const place = { peer, id, backend, fromOpener: true, table: this.#opened, onOpen };
    const tunnel = this.#tunnel(wire, place, (end) =>
      onEnd({ ...end, message: `${machine}: ${end.message}` }),
    );
    const payload = openingBytes({ instance: this.#options.instance, backend });
    this.#send(wire, peer, { kind: "open", fromOpener: true, tunnel: id, number: 0, payload });
    return tunnel.stream;
  }

  /** Asks that machine which daemon it is now, for its sessions. */
  ask(machine: string): void {
    const { instance } = this.#options;
    const probe = { kind: "probe", fromOpener: true, to: WHICHEVER, tunnel: instance, number: 0 } as const;
    this.#wire?.frame(machine, frameBytes({ ...probe, payload: NOTHING }));
  }

  /** A frame of that machine, as it came. */
  take(sender: string, bytes: Uint8Array): void {
    const { instance, clock, sessions } = this.#options;
    const frame = readFrame(bytes);
    const wire = this.#wire;
    if (frame === null || wire === null || !isMachineName(sender) || sender === this.#options.name) return;
    if (frame.to !== instance && !this.#isAsked(sender, frame)) return;
    const { kind, fromOpener, tunnel: id, number, payload } = frame;
    if (kind === "probe") {
      const answer = { kind: "alive", fromOpener: false, to: id, tunnel: instance, number: 0 } as const;
      wire.frame(sender, frameBytes({ ...answer, payload: NOTHING }));
    } else if (kind === "alive") {
      const peer = this.#peers.get(peerKey(sender, id));
      if (peer !== undefined) heard(peer, clock.monotonicMs());
      sessions?.found(sender, id);
    } else if (kind === "open") {
      if (fromOpener) this.#opening(wire, sender, id, payload);
    } else {
      const key = `${sender} ${id}`;
      const found = fromOpener ? (this.#served.get(key) ?? this.#visits.get(key)) : this.#opened.get(key);
      if (found === undefined) return;
      const nowMs = clock.monotonicMs();
      heard(found.peer, nowMs);
      if (kind === "data" && !fromOpener) found.peer.answeredAtMs = nowMs;
      found.tunnel.take(kind, number, payload);
    }
  }

  /** Nobody of that machine listens. */
  nobodyThere(machine: string): void {
    this.#options.sessions?.nobodyThere(machine);
    for (const peer of [...this.#peers.values()]) {
      if (peer.machine === machine) this.#lose(peer, "it is not there any more");
    }
  }

  /** It wants to know which daemon this machine is now, and may. */
  #isAsked(sender: string, { kind, to }: Frame): boolean {
    return kind === "probe" && to === WHICHEVER && this.#options.sessions?.refusal(sender) === null;
  }

  #opening(wire: Wire, machine: string, id: string, payload: Buffer): void {
    const { refusal, serve, sessions } = this.#options;
    const opening = readOpening(payload);
    const key = `${machine} ${id}`;
    if (opening === null || this.#served.has(key) || this.#visits.has(key)) return;
    const { instance, backend } = opening;
    const why =
      backend === null
        ? (this.#refusalOfVisit(machine) ?? this.#tooManyVisits(machine))
        : (this.#tooMany(machine) ?? refusal(backend));
    if (why !== null) {
      const said = { kind: "abort", fromOpener: false, to: instance, tunnel: id, number: 0 } as const;
      wire.frame(machine, frameBytes({ ...said, payload: Buffer.from(why) }));
      return;
    }
    const peer = this.#peer(machine, instance);
    const table = backend === null ? this.#visits : this.#served;
    const tunnel = this.#tunnel(wire, { peer, id, backend, fromOpener: false, table }, () => {});
    if (backend !== null) this.#backends.set(tunnel, backend);
    tunnel.welcome();
    if (backend === null) sessions?.serve(machine, tunnel.stream);
    else serve(machine, backend, tunnel.stream);
  }

  #refusalOfVisit(machine: string): string | null {
    const { sessions } = this.#options;
    return sessions === undefined ? "it shares its sessions with nobody" : sessions.refusal(machine);
  }

  #tooManyVisits(machine: string): string | null {
    const ofOne = [...this.#visits.values()].filter(({ peer }) => peer.machine === machine).length;
    return ofOne >= MOST_VISITS.ofOne || this.#visits.size >= MOST_VISITS.ofAll ? TOO_MANY : null;
  }

  #tooMany(machine: string): string | null {
    const nowMs = this.#options.clock.monotonicMs();
    const before = this.#openings.get(machine);
    const isRecent = before !== undefined && nowMs - before.sinceMs < OPENINGS.withinMs;
    const openings = isRecent ? before : { count: 0, sinceMs: nowMs };
    openings.count += 1;
    if (!isRecent && this.#openings.size >= MOST_COUNTED) this.#openings.clear();
    this.#openings.set(machine, openings);
    const ofOne = [...this.#served.values()].filter(({ peer }) => peer.machine === machine).length;
    const isOver = openings.count > OPENINGS.most || ofOne >= MOST_OF_ONE || this.#served.size >= MOST_OF_ALL;
    return isOver ? TOO_MANY : null;
  }

  #peer(machine: string, instance: string): Peer {
    const key = peerKey(machine, instance);
    const known = this.#peers.get(key);
    if (known !== undefined) return known;
    const nowMs = this.#options.clock.monotonicMs();
    const peer: Peer = {
      machine,
      instance,
      tunnels: new Set(),
      heardAtMs: nowMs,
      sentAtMs: nowMs,
      answeredAtMs: nowMs,
      probedAtMs: nowMs,
      asksSinceMs: null,
    };
    this.#peers.set(key, peer);
    this.#looking ??= this.#lookLater();
    return peer;
  }

  #tunnel(
    wire: Wire,
    { peer, id, backend, fromOpener, table, onOpen = () => {} }: TunnelPlace,
    onEnd: (end: TunnelEnd) => void,
  ): Tunnel {
    const key = `${peer.machine} ${id}`;
    const tunnel = new Tunnel({
      chunkBytes: wire.chunkBytes,
      // A request for a session is read as it comes.
      isOfLines: backend !== null,
      send: (kind, number, payload) =>
        this.#send(wire, peer, { kind, fromOpener, tunnel: id, number, payload }),
      onHeld: (bytes) => {
        this.#held.note(tunnel, peer.machine, bytes)?.fail("too much of it has come without its end");
      },
      onOver: () => {
        this.#held.forget(tunnel);
        table.delete(key);
        peer.tunnels.delete(tunnel);
        if (peer.tunnels.size > 0) return;
        this.#peers.delete(peerKey(peer.machine, peer.instance));
        if (this.#peers.size === 0) this.#idle?.resolve();
      },
      onOpen,
      onEnd,
    });
    peer.tunnels.add(tunnel);
    table.set(key, { tunnel, peer });
    return tunnel;
  }

  #send(wire: Wire, peer: Peer, frame: SentFrame): void {
    if (wire !== this.#wire) return;
    if (frame.kind === "data" && frame.fromOpener) peer.sentAtMs = this.#options.clock.monotonicMs();
    wire.frame(peer.machine, frameBytes({ ...frame, to: peer.instance }));
  }

  #lookLater(): Timer {
    return this.#options.clock.setTimer(LOOK_MS, () => {
      this.#looking = null;
      for (const peer of [...this.#peers.values()]) this.#look(peer);
      if (this.#peers.size > 0) this.#looking ??= this.#lookLater();
    });
  }

  #look(peer: Peer): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (peer.asksSinceMs !== null && nowMs - peer.asksSinceMs > LOST_MS) {
      this.#lose(peer, "it does not answer any more");
      return;
    }
    const mayWait = peer.sentAtMs > peer.answeredAtMs && nowMs - peer.sentAtMs < LONGEST_WAIT_MS;
    const everyMs = mayWait ? ASK_MS.waiting : ASK_MS.quiet;
    const wire = this.#wire;
    if (wire === null || nowMs - Math.max(peer.heardAtMs, peer.probedAtMs) < everyMs) return;
    peer.probedAtMs = nowMs;
    peer.asksSinceMs ??= nowMs;
    const probe = {
      kind: "probe",
      fromOpener: false,
      to: peer.instance,
      number: 0,
      payload: NOTHING,
    } as const;
    wire.frame(peer.machine, frameBytes({ ...probe, tunnel: this.#options.instance }));
  }

  #lose(peer: Peer, why: string): void {
    this.#options.onLost(peer.machine, peer.instance);
    for (const tunnel of [...peer.tunnels]) tunnel.fail(why, HINT, false);
  }
}

const TOO_MANY = "there are too many connections; try again in 10 s";
const HINT = "mountaineer fleet status shows which machines are there";

interface TunnelPlace {
  readonly peer: Peer;
  readonly id: string;
  /** As its opener wants it. */
  readonly backend: string | null;
  readonly fromOpener: boolean;
  readonly table: Map<string, { readonly tunnel: Tunnel; readonly peer: Peer }>;
  readonly onOpen?: () => void;
}

type SentFrame = Omit<Frame, "to">;

function peerKey(machine: string, instance: string): string {
  return `${machine} ${instance}`;
}

function heard(peer: Peer, nowMs: number): void {
  peer.heardAtMs = nowMs;
  peer.asksSinceMs = null;
}

function closedStream(message: string, onEnd: (end: TunnelEnd) => void): Duplex {
  const [ours, theirs] = duplexPair();
  setImmediate(() => {
    onEnd({ message, hint: HINT, wasReached: false });
    theirs.destroy();
    ours.destroy();
  });
  return ours;
}

// What this machine keeps of others' words that have not come to an end, or wait to be read: of one machine, and of all.

/** Of one machine: a message of the longest kind, and others beside it. */
export const MOST_OF_MACHINE = 128 * 1024 * 1024;
const MOST_IN_ALL = 2 * MOST_OF_MACHINE;

interface Holding {
  readonly machine: string;
  readonly bytes: number;
}

class HeldBytes {
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
