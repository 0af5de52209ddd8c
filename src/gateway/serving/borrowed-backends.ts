// Backends of other machines: the gateway runs them like its own, under a name that includes the machine's.
import type { Duplex } from "node:stream";
import type { FleetConnection, ServedBackend } from "../../config/snapshot.ts";
import { borrowedName } from "../../config/values/backend-names.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";
import type { StreamEnd } from "../backends/links/stream/stream-link.ts";

export type BorrowedBackend = Omit<FleetConnection, "type">;

/** Opens a stream of lines to the gateway of the backend's machine. */
export type OpenMachine = (backend: BorrowedBackend, onEnd: (end: StreamEnd) => void) => Duplex;

/** Longest wait for the fleet's first answer after a start, ms. */
const FIRST_MS = 2_000;
/** Wait for further machines after the first answer, ms. */
const APART_MS = 400;

interface Starting {
  /** Resolves when no backend is in its first attempt any more, or the signal aborts. */
  settled(signal: AbortSignal): Promise<void>;
}

/**
 * Used after a start: waits until backends of other machines are known, because resumed clients may know
 * their tools.
 */
export class FirstBorrowed {
  readonly #known = Promise.withResolvers<void>();

  note(backends: readonly BorrowedBackend[]): void {
    if (backends.length > 0) this.#known.resolve();
  }

  /** Resolves like the pool's `settled`, but also waits for backends of other machines. */
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

const ALL = { allow: null, deny: [] };
const DEFAULTS: Omit<ServedBackend, "name" | "connection"> = {
  enabled: true,
  group: null,
  timeouts: { initMs: 15_000, listMs: 10_000, callMs: 60_000 },
  filters: { tools: ALL, resources: ALL, prompts: ALL },
  toolOverrides: {},
  instances: "shared",
  replace: "overlap",
  pin: null,
  requires: [],
  unavailableAfterMs: 0,
  whenUnavailable: "hide",
};

/** A backend with the configuration's defaults. */
export function defaultBackend(name: string, connection: ServedBackend["connection"]): ServedBackend {
  return { ...DEFAULTS, name, connection };
}

/**
 * Adds the backends of other machines after this machine's own: in a conflict, the first backend keeps its
 * name.
 */
export function withBorrowed<Config extends { readonly backends: readonly ServedBackend[] }>(
  config: Config,
  borrowed: readonly BorrowedBackend[],
): Config {
  const own = config.backends.filter(({ connection }) => connection.type !== "fleet");
  if (borrowed.length === 0 && own.length === config.backends.length) return config;
  const nameOf = ({ backend, machine }: BorrowedBackend): string => borrowedName(backend, machine);
  const others = borrowed.map((one) => defaultBackend(nameOf(one), { type: "fleet", ...one }));
  return { ...config, backends: [...own, ...others] };
}
