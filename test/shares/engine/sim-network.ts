// Servers at addresses in simulated time: they come, go and are swapped, and connections to them end as TCP has it.

import type { HostProber, ProbeResult } from "../../../src/network/probe/probe-result.ts";
import type { NegotiateServer } from "../../../src/relay/smb/negotiate-proof.ts";
import type { Clock } from "../../../src/runtime/time/clock.ts";
import type { Logins } from "../../../src/shares/logins/logins.ts";
import type { ListedEntry } from "../../../src/shares/server-proof/root-listing.ts";
import type { ReadFailure, ReadRequest, RootReader } from "../../../src/shares/server-proof/root-reader.ts";

/** A NAS, as its root shows it. */
export interface SimServer {
  readonly name: string;
  readonly guid: string;
  readonly rootCreatedMs: number;
  readonly entries: Map<string, ListedEntry & { readonly createdMs: number }>;
}

/** `silent`: nothing gets through. `ended`: whoever is there now does not know it. */
type Answer = "answered" | "silent" | "ended";

export interface SimConnection {
  readonly server: SimServer;
  /** Sends something, and hears what comes of it. */
  ask(): Answer;
  close(): void;
}

interface Place {
  server: SimServer | null;
  /** Another one for each server that came. */
  life: number;
  isCut: boolean;
  readonly open: Set<() => void>;
}

const TOOK_MS = 2;

export class SimNetwork {
  readonly #clock: Clock;
  readonly #places = new Map<string, Place>();
  /** All that were ever at an address. */
  readonly met = new Map<string, Set<string>>();
  /** Programs that read a root have an error. */
  isUnreadable = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  at(address: string): SimServer | null {
    return this.#place(address).server;
  }

  /** Whether connections to it are open, whose end is noticed. */
  isWatched(address: string): boolean {
    return this.#place(address).open.size > 0;
  }

  /** What was there is gone with its connections. Behind a cut, they end when they are used next. */
  put(address: string, server: SimServer | null): void {
    const place = this.#place(address);
    place.server = server;
    place.life++;
    if (server !== null) this.met.set(address, (this.met.get(address) ?? new Set()).add(server.name));
    if (!place.isCut) for (const end of [...place.open]) end();
  }

  cut(address: string, isCut: boolean): void {
    this.#place(address).isCut = isCut;
  }

  /** `onEnd`: its server ended it. */
  connect(address: string, onEnd: () => void = () => {}): SimConnection | "silent" | "refused" {
    const place = this.#place(address);
    if (place.isCut) return "silent";
    const { server, life } = place;
    if (server === null) return "refused";
    let isOpen = true;
    const close = (): void => {
      isOpen = false;
      place.open.delete(end);
    };
    const end = (): void => {
      close();
      onEnd();
    };
    place.open.add(end);
    return {
      server,
      close,
      ask() {
        if (!isOpen) return "ended";
        if (place.isCut) return "silent";
        if (place.life !== life) end();
        return isOpen ? "answered" : "ended";
      },
    };
  }

  /** As the carrier asks who is there. */
  readonly prove: NegotiateServer = async ({ address }, timeoutMs, onGone) => {
    const there = this.connect(address, onGone);
    await this.#clock.sleep(there === "silent" ? timeoutMs : TOOK_MS);
    if (typeof there === "string" || there.ask() !== "answered")
      return { ok: false, reason: there === "refused" ? "refused" : "silent", text: `${there}` };
    const { guid } = there.server;
    if (onGone !== undefined) return { ok: true, guid, connection: this.#kept(there) };
    there.close();
    return { ok: true, guid };
  };

  #kept(connection: SimConnection) {
    return {
      stillThere: async (timeoutMs: number): Promise<boolean> => {
        const answer = connection.ask();
        if (answer === "silent") await this.#clock.sleep(timeoutMs);
        return answer === "answered";
      },
      [Symbol.dispose]: () => connection.close(),
    };
  }

  #place(address: string): Place {
    const known = this.#places.get(address);
    if (known !== undefined) return known;
    const place: Place = { server: null, life: 0, isCut: false, open: new Set() };
    this.#places.set(address, place);
    return place;
  }

  /** As the daemon asks who is there. */
  hostProber(clock: Clock): HostProber {
    const told = { interfaceName: null, localAddress: null };
    return {
      networkChanged() {},
      probe: async ({ host: address }, { timeoutMs }): Promise<ProbeResult> => {
        const there = this.connect(address);
        if (there === "silent") {
          await clock.sleep(timeoutMs);
          const silent = { verdict: "silent", reason: "connect_timeout", tcpAnswered: false } as const;
          return { ...told, ...silent, address, serverGuid: null, text: there, tookMs: timeoutMs };
        }
        if (there === "refused") {
          const gone = { verdict: "gone", reason: "refused", tcpAnswered: false } as const;
          return { ...told, ...gone, address, serverGuid: null, text: there, tookMs: TOOK_MS };
        }
        there.close();
        const { guid: serverGuid } = there.server;
        const up = { verdict: "answers", reason: "negotiated", tcpAnswered: true } as const;
        return { ...told, ...up, address, serverGuid, text: "it answers", tookMs: TOOK_MS };
      },
    };
  }

  /** As programs read the root. */
  rootReader(clock: Clock, logons: Logins): RootReader {
    const readNow = async ({
      endpoint,
      deadlineAtMs,
      signal,
    }: ReadRequest): Promise<SimServer | ReadFailure> => {
      const failure = (text: string): ReadFailure => ({ kind: "failed", text, isRefusedLogin: false });
      signal.throwIfAborted();
      if (this.isUnreadable) return failure("the machine is too busy");
      const there = this.connect(endpoint.address);
      if (there === "refused") return failure(there);
      if (there !== "silent") await clock.sleep(READ_MS, signal);
      const answer = there === "silent" ? there : there.ask();
      if (there === "silent" || answer === "silent") {
        await clock.sleep(Math.max(0, deadlineAtMs - clock.monotonicMs()), signal);
        return failure("it took too long");
      }
      there.close();
      return answer === "answered" ? there.server : failure("the connection was reset");
    };
    const read = (request: ReadRequest): Promise<SimServer | ReadFailure> =>
      logons.attempt(request.share, () => readNow(request), {
        judge: (found) => ("guid" in found ? "accepted" : "unknown"),
        otherwise: (text) => ({ kind: "failed", text, isRefusedLogin: true }),
        signal: request.signal,
      });
    const listing = ({ entries }: SimServer, precisionMs: number) => ({
      precisionMs,
      count: entries.size,
      entries: [...entries.values()]
        .map(({ name, isFolder, size, modifiedMs }) => ({
          ...{ name, isFolder, size },
          modifiedMs: modifiedMs - (modifiedMs % precisionMs),
        }))
        .toSorted((one, other) => (one.name < other.name ? -1 : 1)),
      rest: null,
    });
    return {
      programs: async () => ["rclone", "smbclient"],
      async list(program, request) {
        const server = await read(request);
        if (!("guid" in server)) return server;
        return { kind: "read", listing: listing(server, program === "rclone" ? 1 : 1_000) };
      },
      async creationTimes(request, names) {
        const server = await read(request);
        if (!("guid" in server)) return server;
        const { rootCreatedMs, entries } = server;
        const created = names.flatMap((name) => {
          const entry = entries.get(name);
          return entry === undefined ? [] : [[name, { createdMs: entry.createdMs, isOwn: true }] as const];
        });
        const creationTimes = new Map([["", { createdMs: rootCreatedMs, isOwn: true }] as const, ...created]);
        return { kind: "read", listing: listing(server, 1_000), creationTimes };
      },
      findsAs: async () => null,
      async removeLeftovers() {},
    };
  }
}

const READ_MS = 30;
