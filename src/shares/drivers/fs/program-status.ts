// Reads what mountaineer-fs says of its mount: the status of its control protocol, version 1 (mount/fs/README.md).
import { flag, list, nullable, number, object, optional, reader, text } from "../../../runtime/shape.ts";
import { objectOf } from "../../../runtime/text/json-object.ts";
import { ROUTE_NAMES, type RouteName } from "../../share-spec.ts";
import type { MountReport, PhaseName } from "../moving-mounts.ts";

const PHASES: readonly PhaseName[] = ["serving", "waiting", "over", "refused", "away"];

const statusOf = reader(
  object({
    route: nullable(text),
    allowed: list(text),
    awaits_allow: optional(flag),
    endpoint: optional(nullable(object({ address: text, rerouted: flag, uncertain: optional(text) }))),
    phase: object({
      is: text,
      why: optional(nullable(text)),
      text: optional(nullable(text)),
    }),
    heard_ms: nullable(number),
    oldest_wait_ms: nullable(number),
    longest_wait_ms: number,
    asked_ms: optional(nullable(number)),
    moves: object({
      count: number,
      last: nullable(
        object({
          at: number,
          from: nullable(text),
          to: text,
          reason: text,
          asked: flag,
          quiet: flag,
          took_ms: number,
        }),
      ),
    }),
    pauses: object({ count: number }),
    bytes: object({ to_server: number, from_server: number }),
    connections: object({ open: number, in_all: number }),
    open_files: number,
    limit: nullable(object({ most: number })),
    refused: nullable(object({ text: text, at: number })),
    other: nullable(object({ route: text, address: text, guid: text, text: text })),
    unheard: optional(nullable(object({ folders: list(text), missing: text }))),
    lost_locks: optional(list(object({ path: text, program: text }))),
    server: optional(nullable(object({ empty: optional(flag) }))),
  }),
);

/** null: it is not a status of this protocol. `nowMs`: monotonic. */
export function readStatus(value: unknown, nowMs: number): MountReport | null {
  const found = statusOf(objectOf(value));
  if (found === null) return null;
  const { phase, endpoint = null, moves, pauses, bytes, connections, refused, other } = found;
  const ago = (ms: number | null | undefined): number | null => (ms == null ? null : nowMs - ms);
  const is = PHASES.find((one) => one === phase.is);
  const otherRoute = other && routeNamed(other.route);
  const last = moves.last && {
    ...moves.last,
    to: routeNamed(moves.last.to),
    from: routeNamed(moves.last.from),
  };
  if (is === undefined) return null;
  return {
    phase: { is, why: phase.why ?? null, text: phase.text ?? null },
    route: routeNamed(found.route),
    endpoint: endpoint && {
      address: endpoint.address,
      isFormer: endpoint.rerouted,
      uncertain: endpoint.uncertain ?? "",
    },
    allowed: ROUTE_NAMES.filter((route) => found.allowed.includes(route)),
    awaitsAllow: found.awaits_allow === true,
    heardAtMs: ago(found.heard_ms),
    waitingSinceMs: ago(found.oldest_wait_ms),
    longestWaitMs: found.longest_wait_ms,
    requestedAtMs: ago(found.asked_ms),
    moves: {
      count: moves.count,
      last:
        last === null || last.to === null
          ? null
          : { ...last, to: last.to, isRequested: last.asked, tookMs: last.took_ms },
    },
    pauses: pauses.count,
    bytesUp: bytes.to_server,
    bytesDown: bytes.from_server,
    connections: connections.open,
    connectionsInAll: connections.in_all,
    openFiles: found.open_files,
    mostConnections: found.limit?.most ?? null,
    refused: refused && { text: refused.text, atMs: refused.at },
    other: other === null || otherRoute === null ? null : { ...other, route: otherRoute },
    isEmpty: found.server?.empty === true,
    unheard: found.unheard ?? null,
    lostLocks: found.lost_locks ?? [],
    silentSinceMs: null,
  };
}

function routeNamed(name: string | null): RouteName | null {
  return ROUTE_NAMES.find((route) => route === name) ?? null;
}
