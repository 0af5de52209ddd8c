// All tunnels of this machine, opened here or by other machines, and the check whether the machines at the
// other ends still answer.
import { randomBytes } from "node:crypto";
import { type Duplex, duplexPair } from "node:stream";
import { isMachineName } from "../../config/values/fleet-values.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { MOST_OFFERED, type Opening, openingBytes, readOpening } from "./call-messages.ts";
import { frameBytes, ID_BYTES, readFrame, type SentFrame } from "./frames.ts";
import { Tunnel, type TunnelEnd } from "./tunnel.ts";

/** Interval of the check for silent machines, ms. */
const CHECK_MS = 500;
/**
 * A machine is probed after this much silence, ms: `waiting` while a call may wait for its answer, otherwise
 * `quiet`.
 */
const PROBE_AFTER_MS = { waiting: 1_000, quiet: 5_000 };
/** After this time without an answer, a message is assumed to need none, ms. */
const LONGEST_WAIT_MS = 60_000;
/** A machine that leaves a probe unanswered for this long is lost, ms. A busy machine may need a while. */
const LOST_MS = 10_000;
/** Tunnels that other machines may open here. */
const MOST_SERVED = { ofOne: 2 * MOST_OFFERED, ofAll: 512 };
/** How many tunnels to backends one machine may open within `withinMs`. */
const OPENINGS = { most: 200, withinMs: 10_000 };
/** Maximum number of machines for which `OPENINGS` is counted. */
const MOST_TUNNELS = 1_000;

export interface Wire {
  /** The most data that one frame may carry. */
  readonly chunkBytes: number;
  /** Never throws. */
  frame(machine: string, bytes: Uint8Array): void;
}

export interface ImportedOffer {
  readonly machine: string;
  readonly backend: string;
  /** The id of the daemon that offers the backend. */
  readonly instance: string;
}

type TunnelTarget = Pick<ImportedOffer, "machine" | "instance"> & Pick<Opening, "backend">;

interface SwitchboardOptions {
  readonly clock: Clock;
  /** The id of this daemon. */
  readonly instance: string;
  readonly name: string;
  /** Why other machines may not use this backend; null: they may use it. */
  readonly refusal: (backend: string) => string | null;
  /** Serves the backend until the stream ends. */
  readonly serve: (machine: string, backend: string, stream: Duplex) => void;
  /** Called when a daemon is lost, right before its tunnels end. */
  readonly onLost: (machine: string, instance: string) => void;
}

/** A daemon on another machine to which there are tunnels. */
interface Peer {
  readonly machine: string;
  readonly instance: string;
  readonly tunnels: Set<Tunnel>;
  heardAtMs: number;
  /**
   * When this machine last sent (`sentAtMs`) and received (`answeredAtMs`) data in the tunnels that it opened
   * itself.
   */
  sentAtMs: number;
  answeredAtMs: number;
  probedAtMs: number;
  /** When the first unanswered probe was sent; null: every probe is answered. */
  unansweredSinceMs: number | null;
}

interface Entry {
  readonly tunnel: Tunnel;
  readonly peer: Peer;
  readonly backend: string;
  readonly isServed: boolean;
}

export class TunnelRegistry {
  readonly #options: SwitchboardOptions;
  readonly #peers = new Map<string, Peer>();
  /** By `tunnelKey`. */
  readonly #tunnels = new Map<string, Entry>();
  readonly #buffered = new BufferedBytes();
  readonly #openings = new Map<string, { count: number; sinceMs: number }>();
  #wire: Wire | null = null;
  #idle: PromiseWithResolvers<void> | null = null;
  #checkTimer: Timer | null = null;

  constructor(options: SwitchboardOptions) {
    this.#options = options;
  }

  /** Resolves when there is no tunnel in either direction. */
  idle(): Promise<void> {
    if (this.#peers.size === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }

  begin(wire: Wire): void {
    this.#wire = wire;
  }

  /** Ends every tunnel, because the connection that carries the frames is lost. */
  end(why: string): void {
    this.#wire = null;
    for (const { tunnel } of [...this.#tunnels.values()]) tunnel.fail(why, HINT, false);
    this.#openings.clear();
  }

  /** Ends the tunnels that other machines opened and may no longer use. */
  endServed(isToEnd: (machine: string, backend: string) => boolean, why: string): void {
    for (const { tunnel, peer, backend, isServed } of [...this.#tunnels.values()]) {
      if (isServed && isToEnd(peer.machine, backend)) tunnel.fail(why);
    }
  }

  open({ machine, backend, instance }: TunnelTarget, onEnd: (end: TunnelEnd) => void): Duplex {
    const wire = this.#wire;
    if (wire === null) return closedStream("the fleet's server is not reached", onEnd);
    const id = randomBytes(ID_BYTES).toString("hex");
    const peer = this.#peer(machine, instance);
    const onEndThere = (end: TunnelEnd): void => onEnd({ ...end, message: `${machine}: ${end.message}` });
    const { stream } = this.#tunnel(wire, { peer, id, backend, isServed: false, onEnd: onEndThere });
    const payload = openingBytes({ instance: this.#options.instance, backend });
    this.#send(machine, { kind: "open", fromOpener: true, to: instance, tunnel: id, payload });
    return stream;
  }

  /** Handles a received frame, which has not been checked yet. */
  take(sender: string, bytes: Uint8Array): void {
    const { instance, name, clock } = this.#options;
    const frame = readFrame(bytes);
    const wire = this.#wire;
    if (frame === null || wire === null || !isMachineName(sender) || sender === name) return;
    if (frame.to !== instance) return;
    const { kind, fromOpener, tunnel: id, number, payload } = frame;
    if (kind === "probe") {
      this.#send(sender, { kind: "alive", fromOpener: false, to: id, tunnel: instance });
    } else if (kind === "alive") {
      const peer = this.#peers.get(peerKey(sender, id));
      if (peer !== undefined) recordHeard(peer, clock.monotonicMs());
    } else if (kind === "open") {
      if (fromOpener) this.#accept(wire, sender, id, readOpening(payload));
    } else {
      const found = this.#tunnels.get(tunnelKey(sender, id, fromOpener));
      if (found === undefined) return;
      const nowMs = clock.monotonicMs();
      recordHeard(found.peer, nowMs);
      if (kind === "data" && !fromOpener) found.peer.answeredAtMs = nowMs;
      found.tunnel.take(kind, number, payload);
    }
  }

  /** Handles the report that frames for `machine` have no subscriber. */
  nobodyThere(machine: string): void {
    for (const peer of [...this.#peers.values()]) {
      if (peer.machine === machine) this.#lose(peer, "it is gone");
    }
  }

  #accept(wire: Wire, machine: string, id: string, opening: Opening | null): void {
    if (opening === null || this.#tunnels.has(tunnelKey(machine, id, true))) return;
    const { instance, backend } = opening;
    const why = this.#refusal(machine, backend);
    if (why !== null) {
      const payload = Buffer.from(why);
      this.#send(machine, { kind: "abort", fromOpener: false, to: instance, tunnel: id, payload });
      return;
    }
    const peer = this.#peer(machine, instance);
    const tunnel = this.#tunnel(wire, { peer, id, backend, isServed: true, onEnd: () => {} });
    tunnel.accept();
    this.#options.serve(machine, backend, tunnel.stream);
  }

  #refusal(machine: string, backend: string): string | null {
    const isTooOften = this.#countOpening(machine) > OPENINGS.most;
    return isTooOften || this.#hasTooMany(machine) ? TOO_MANY : this.#options.refusal(backend);
  }

  #hasTooMany(machine: string): boolean {
    const served = [...this.#tunnels.values()].filter(({ isServed }) => isServed);
    const ofOne = served.filter(({ peer }) => peer.machine === machine);
    return ofOne.length >= MOST_SERVED.ofOne || served.length >= MOST_SERVED.ofAll;
  }

  #countOpening(machine: string): number {
    const nowMs = this.#options.clock.monotonicMs();
    const before = this.#openings.get(machine);
    const isRecent = before !== undefined && nowMs - before.sinceMs < OPENINGS.withinMs;
    const openings = isRecent ? before : { count: 0, sinceMs: nowMs };
    openings.count += 1;
    if (!isRecent && this.#openings.size >= MOST_TUNNELS) this.#openings.clear();
    this.#openings.set(machine, openings);
    return openings.count;
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
      unansweredSinceMs: null,
    };
    this.#peers.set(key, peer);
    this.#checkTimer ??= this.#checkLater();
    return peer;
  }

  #tunnel({ chunkBytes }: Wire, { id, onEnd, ...entry }: TunnelEntry): Tunnel {
    const { peer, isServed } = entry;
    const { machine, instance } = peer;
    const key = tunnelKey(machine, id, isServed);
    const tunnel = new Tunnel({
      chunkBytes,
      send: (kind, number, payload) => {
        if (kind === "data" && !isServed) peer.sentAtMs = this.#options.clock.monotonicMs();
        this.#send(machine, { kind, fromOpener: !isServed, to: instance, tunnel: id, number, payload });
      },
      onBuffered: (bytes) => {
        this.#buffered.record(tunnel, machine, bytes)?.fail("too much of it has arrived without its end");
      },
      onOver: () => {
        this.#buffered.record(tunnel, machine, 0);
        this.#tunnels.delete(key);
        peer.tunnels.delete(tunnel);
        if (peer.tunnels.size > 0) return;
        this.#peers.delete(peerKey(machine, instance));
        if (this.#peers.size === 0) this.#idle?.resolve();
      },
      onEnd,
    });
    peer.tunnels.add(tunnel);
    this.#tunnels.set(key, { tunnel, ...entry });
    return tunnel;
  }

  #send(machine: string, frame: SentFrame): void {
    this.#wire?.frame(machine, frameBytes(frame));
  }

  #probe(machine: string, to: string): void {
    this.#send(machine, { kind: "probe", fromOpener: false, to, tunnel: this.#options.instance });
  }

  #checkLater(): Timer {
    return this.#options.clock.setTimer(CHECK_MS, () => {
      this.#checkTimer = null;
      for (const peer of [...this.#peers.values()]) this.#check(peer);
      if (this.#peers.size > 0) this.#checkTimer ??= this.#checkLater();
    });
  }

  #check(peer: Peer): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (peer.unansweredSinceMs !== null && nowMs - peer.unansweredSinceMs > LOST_MS) {
      this.#lose(peer, "it no longer answers");
      return;
    }
    const mayWait = peer.sentAtMs > peer.answeredAtMs && nowMs - peer.sentAtMs < LONGEST_WAIT_MS;
    const afterMs = mayWait ? PROBE_AFTER_MS.waiting : PROBE_AFTER_MS.quiet;
    if (nowMs - Math.max(peer.heardAtMs, peer.probedAtMs) < afterMs) return;
    peer.probedAtMs = nowMs;
    peer.unansweredSinceMs ??= nowMs;
    this.#probe(peer.machine, peer.instance);
  }

  #lose(peer: Peer, why: string): void {
    this.#options.onLost(peer.machine, peer.instance);
    for (const tunnel of [...peer.tunnels]) tunnel.fail(why, HINT, false);
  }
}

const TOO_MANY = "there are too many connections; try again in 10 s";
const HINT = "mountaineer fleet status shows which machines are there";

interface TunnelEntry extends Omit<Entry, "tunnel"> {
  readonly id: string;
  readonly onEnd: (end: TunnelEnd) => void;
}

function peerKey(machine: string, instance: string): string {
  return `${machine} ${instance}`;
}

/**
 * `isServed`: the other machine opened the tunnel. Its id may equal that of a tunnel opened here, because
 * each side chooses its own ids.
 */
function tunnelKey(machine: string, id: string, isServed: boolean): string {
  return `${machine} ${id} ${isServed}`;
}

function recordHeard(peer: Peer, nowMs: number): void {
  peer.heardAtMs = nowMs;
  peer.unansweredSinceMs = null;
}

function closedStream(message: string, onEnd: (end: TunnelEnd) => void): Duplex {
  const [inner, outer] = duplexPair();
  setImmediate(() => {
    onEnd({ message, hint: HINT, wasReached: false });
    inner.destroy();
    outer.destroy();
  });
  return outer;
}

/**
 * Received bytes that one machine's tunnels may hold in memory: enough for the longest allowed message and
 * others beside it.
 */
export const MOST_OF_MACHINE = 128 * 1024 * 1024;
const MOST_IN_ALL = 2 * MOST_OF_MACHINE;

/**
 * Received bytes that tunnels hold in memory: unread ones, and incomplete lines. Tunnels with few bytes are
 * left out, so that summing up at each change is cheap.
 */
class BufferedBytes {
  readonly #tunnels = new Map<Tunnel, { readonly machine: string; readonly bytes: number }>();

  /**
   * Records how many bytes the tunnel holds now. If a limit is exceeded, returns the tunnel to end: the largest
   * tunnel of the machine that exceeds its own limit, or else of the machine that holds the most bytes.
   */
  record(tunnel: Tunnel, machine: string, bytes: number): Tunnel | null {
    this.#tunnels.delete(tunnel);
    if (bytes === 0) return null;
    this.#tunnels.set(tunnel, { machine, bytes });
    const machines = new Map<string, number>();
    let inAll = 0;
    for (const buffered of this.#tunnels.values()) {
      inAll += buffered.bytes;
      machines.set(buffered.machine, (machines.get(buffered.machine) ?? 0) + buffered.bytes);
    }
    const isOver = (machines.get(machine) ?? 0) > MOST_OF_MACHINE;
    if (!isOver && inAll <= MOST_IN_ALL) return null;
    const heaviest = isOver ? machine : largest(machines);
    const ofMachine = [...this.#tunnels].filter(([, buffered]) => buffered.machine === heaviest);
    return largest(ofMachine.map(([key, buffered]) => [key, buffered.bytes]));
  }
}

function largest<T>(sizes: Iterable<readonly [T, number]>): T | null {
  return [...sizes].toSorted(([, one], [, other]) => other - one)[0]?.[0] ?? null;
}
