// Backends of other machines, as the gateway runs them: like its own, under a name that says where they are.
import type { Duplex } from "node:stream";
import type { FleetConnection, ServedBackend } from "../../config/snapshot.ts";
import { borrowedName } from "../../config/values/backend-names.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";
import type { StreamEnd } from "../backends/links/stream/stream-link.ts";

/** One of another machine. */
export type BorrowedBackend = Omit<FleetConnection, "type">;

/** A stream of lines to the gateway of that machine. */
export type OpenMachine = (backend: BorrowedBackend, onEnd: (end: StreamEnd) => void) => Duplex;

/** The link to the fleet, and its first answers, take so long at most, ms. */
const FIRST_MS = 2_000;
/** Machines that answer together are told of one after the other, ms. */
const APART_MS = 400;

interface Starting {
  /** Resolves when no backend is in its first attempt any more, or the signal aborts. */
  settled(signal: AbortSignal): Promise<void>;
}

/** After a start nobody has heard the other machines yet: clients that were here before may know their tools. */
export class FirstBorrowed {
  readonly #known = Promise.withResolvers<void>();

  note(backends: readonly BorrowedBackend[]): void {
    if (backends.length > 0) this.#known.resolve();
  }

  /** As the pool's, with what other machines lend. */
  async settled(
    pool: Starting,
    { config: { borrows = false } }: { readonly config: { readonly borrows?: boolean } },
    clock: Clock,
    signal: AbortSignal,
  ): Promise<void> {
    await pool.settled(signal);
    const known = unlessAborted(this.#known.promise, signal).catch(() => {});
    if (!borrows || !(await settledWithin(clock, FIRST_MS, known))) return;
    await clock.sleep(APART_MS, signal).catch(() => {});
    await pool.settled(signal);
  }
}

/** As for a backend of the file that says nothing of it. */
const TIMEOUTS: ServedBackend["timeouts"] = { initMs: 15_000, listMs: 10_000, callMs: 60_000 };
const ALL = { allow: null, deny: [] };
const FILTERS: ServedBackend["filters"] = { tools: ALL, resources: ALL, prompts: ALL };
const NO_OVERRIDES: ServedBackend["toolOverrides"] = {};

function borrowedBackend(backend: BorrowedBackend): ServedBackend {
  return {
    name: borrowedName(backend.backend, backend.machine),
    enabled: true,
    group: null,
    connection: { type: "fleet", ...backend },
    timeouts: TIMEOUTS,
    filters: FILTERS,
    toolOverrides: NO_OVERRIDES,
    instances: "shared",
    replace: "overlap",
    pin: null,
    requires: [],
    unavailableAfterMs: 0,
    whenUnavailable: "hide",
  };
}

/** After its own, so that these keep their names. */
export function withBorrowed<Config extends { readonly backends: readonly ServedBackend[] }>(
  config: Config,
  borrowed: readonly BorrowedBackend[],
): Config {
  const own = config.backends.filter(({ connection }) => connection.type !== "fleet");
  if (borrowed.length === 0 && own.length === config.backends.length) return config;
  return { ...config, backends: [...own, ...borrowed.map(borrowedBackend)] };
}
