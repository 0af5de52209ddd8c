// Other machines' backends, which the gateway runs like its own. Each backend's name contains the name of its
// machine.
import type { Duplex } from "node:stream";
import type { FleetConnection, ServedBackend } from "../../config/snapshot.ts";
import { importedName } from "../../config/values/backend-names.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { type Clock, settlesWithin } from "../../runtime/time/clock.ts";
import type { StreamEnd } from "../backends/transports/stream/stream-transport.ts";

export type ImportedBackend = Omit<FleetConnection, "type">;

export type OpenMachine = (backend: ImportedBackend, onEnd: (end: StreamEnd) => void) => Duplex;

/** Longest wait for the fleet's first answer after a start, ms. */
const FIRST_MS = 2_000;
/** How long to wait for further machines after the first answer, ms. */
const APART_MS = 400;

interface Starting {
  /** Resolves when each backend has started or failed once, or when the signal aborts. */
  whenStarted(signal: AbortSignal): Promise<void>;
}

/**
 * After a start, waits until the backends of other machines are known, because resumed clients may know tools of
 * these backends.
 */
export class FirstImport {
  readonly #known = Promise.withResolvers<void>();

  record(backends: readonly ImportedBackend[]): void {
    if (backends.length > 0) this.#known.resolve();
  }

  /** Like the pool's `whenStarted`, and waits for other machines' backends. */
  async whenStarted(
    pool: Starting,
    { config: { importsBackends = false } }: { readonly config: { readonly importsBackends?: boolean } },
    clock: Clock,
    signal: AbortSignal,
  ): Promise<void> {
    await pool.whenStarted(signal);
    const known = unlessAborted(this.#known.promise, signal).catch(() => {});
    if (!importsBackends || !(await settlesWithin(clock, FIRST_MS, known))) return;
    await clock.sleep(APART_MS, signal).catch(() => {});
    await pool.whenStarted(signal);
  }
}

const ALL = { allow: null, deny: [] };
const DEFAULTS: Omit<ServedBackend, "name" | "connection"> = {
  enabled: true,
  group: null,
  timeouts: { initMs: 15_000, listMs: 10_000, callMs: 300_000, otherMs: 60_000 },
  filters: { tools: ALL, resources: ALL, prompts: ALL },
  toolOverrides: {},
  instances: "shared",
  start: "always",
  stopWhenIdleMs: false,
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

/** This machine's own backends stay first: in a conflict, the first backend keeps its name. */
export function withImported<Config extends { readonly backends: readonly ServedBackend[] }>(
  config: Config,
  imported: readonly ImportedBackend[],
): Config {
  const own = config.backends.filter(({ connection }) => connection.type !== "fleet");
  if (imported.length === 0 && own.length === config.backends.length) return config;
  const nameOf = ({ backend, machine }: ImportedBackend): string => importedName(backend, machine);
  const others = imported.map((one) => defaultBackend(nameOf(one), { type: "fleet", ...one }));
  return { ...config, backends: [...own, ...others] };
}
