// The network of a machine in simulated time: who is at each address, and which cables are cut.
import type { HostProber, ProbeResult } from "../../../src/network/probe/probe-result.ts";
import type { Clock } from "../../../src/runtime/time/clock.ts";
import type { CompareServers } from "../../../src/shares/engine/server-check.ts";
import type { HostState } from "../world.ts";

export interface SimServer {
  readonly name: string;
}

const TOOK_MS = 20;

interface Place {
  server: SimServer | null;
  isCut: boolean;
}

export class SimNetwork {
  readonly #places = new Map<string, Place>();
  /** How often servers were compared. */
  compared = 0;

  put(address: string, server: SimServer | null): void {
    this.#place(address).server = server;
  }

  at(address: string): SimServer | null {
    return this.#place(address).server;
  }

  cut(address: string, isCut: boolean): void {
    this.#place(address).isCut = isCut;
  }

  stateOf(address: string | null): HostState {
    const { server, isCut } = this.#place(address ?? "");
    return isCut ? "silent" : server === null ? "refused" : "answers";
  }

  #place(address: string): Place {
    const known = this.#places.get(address) ?? { server: null, isCut: false };
    this.#places.set(address, known);
    return known;
  }

  hostProber(clock: Clock): HostProber {
    const told = { interfaceName: null, serverGuid: null };
    return {
      networkChanged() {},
      probe: async ({ host: address }, { timeoutMs }): Promise<ProbeResult> => {
        const text = this.stateOf(address);
        if (text === "silent") {
          await clock.sleep(timeoutMs);
          const silent = { verdict: "silent", reason: "connect_timeout", tcpAnswered: false } as const;
          return { ...told, ...silent, address, text, tookMs: timeoutMs };
        }
        if (text === "refused") {
          const gone = { verdict: "gone", reason: "refused", tcpAnswered: false } as const;
          return { ...told, ...gone, address, text, tookMs: TOOK_MS };
        }
        const up = { verdict: "answers", reason: "negotiated", tcpAnswered: true } as const;
        return { ...told, ...up, address, text: "it answers", tookMs: TOOK_MS };
      },
    };
  }

  /** As `mountaineer-fs check` does. */
  readonly compareServers: CompareServers = async (_spec, { endpoints }) => {
    this.compared += 1;
    const names = Object.values(endpoints).map((endpoint) => this.at(endpoint?.address ?? "")?.name);
    const isSame = new Set(names).size === 1;
    return {
      ok: true,
      verdict: isSame ? "same" : "different",
      text: isSame ? null : "other files",
      failures: {},
    };
  };
}
