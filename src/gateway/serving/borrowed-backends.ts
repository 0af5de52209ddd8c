// Backends of other machines, as the gateway runs them: like its own, under a name that says where they are.
import type { Duplex } from "node:stream";
import { borrowedName } from "../../config/backend-names.ts";
import type { FleetConnection, ServedBackend } from "../../config/snapshot.ts";
import type { StreamEnd } from "../backends/links/stream/stream-link.ts";

/** One of another machine. */
export type BorrowedBackend = Omit<FleetConnection, "type">;

/** A stream of lines to the gateway of that machine. */
export type OpenMachine = (backend: BorrowedBackend, onEnd: (end: StreamEnd) => void) => Duplex;

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
