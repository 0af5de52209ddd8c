// Stores a person's override of a backend's route in a small file in the home, which is read at the start and written at
// each change. Overrides of shares are in state.json (`src/reconcile/state-store.ts`).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { RouteOverrides } from "../../gateway/backends/pool/backend-contract.ts";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { moveAside, removeLeftovers, writeDurably } from "../../runtime/files/durable-file.ts";
import { shareWrites } from "../../runtime/files/durable-value.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import type { Clock } from "../../runtime/time/clock.ts";

interface RouteOverridesOptions {
  readonly home: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** False for a command that runs once, and while another daemon is in charge of the home. */
  readonly mayWrite: () => boolean;
  /** Once aborted, no write replaces the file, not even one under way. */
  readonly signal?: AbortSignal;
}

/**
 * Opens the file of pinned routes. A file that cannot be used never prevents a start: it is renamed as soon as
 * `mayWrite` allows. `whenWritten` writes pending changes if `mayWrite` allows, and resolves when no write is
 * under way.
 */
export function openRouteOverrides({
  home,
  clock,
  logger,
  mayWrite,
  signal,
}: RouteOverridesOptions): RouteOverrides {
  const path = join(home, "route-overrides.json");
  const { overrides, corrupt } = readOverrides(path);
  let mustSetAside = corrupt !== null;
  let isStale = false;
  if (corrupt !== null) {
    const known = [...overrides.keys()];
    logger.warn("the route overrides of servers are not all known", { path, reason: corrupt, known });
  }
  const setAside = async (): Promise<void> => {
    logger.warn("the file of route overrides was set aside", {
      set_aside: await moveAside(path, clock.wallMs()),
    });
    mustSetAside = false;
  };
  const writes = shareWrites(async () => {
    try {
      signal?.throwIfAborted();
      if (mustSetAside) await setAside();
      if (!isStale) return;
      isStale = false;
      await removeLeftovers(path);
      await writeDurably(path, `${JSON.stringify(Object.fromEntries(overrides), null, 2)}\n`, { signal });
    } catch (error) {
      isStale = true;
      logger.warn("the route overrides of servers cannot be saved", {
        reason: errorText(error),
      });
    }
  });
  const whenWritten = async () => void (await (mayWrite() ? writes.write() : writes.whenIdle));
  return {
    get: (backend) => overrides.get(backend) ?? null,
    keep(backend, route) {
      if (route === null) overrides.delete(backend);
      else overrides.set(backend, route);
      isStale = true;
      void whenWritten();
    },
    whenWritten,
  };
}

/**
 * Reads the file. `corrupt`: why some or all of its content cannot be used; null if all can, or if there is
 * no file.
 */
function readOverrides(path: string): {
  readonly overrides: Map<string, string>;
  readonly corrupt: string | null;
} {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    return { overrides: new Map(), corrupt: systemErrorCode(error) === "ENOENT" ? null : errorText(error) };
  }
  const value = jsonObject(text);
  if (value === null) return { overrides: new Map(), corrupt: "it is not a JSON object" };
  const entries = Object.entries(value);
  const overrides = entries.flatMap(([name, route]) =>
    typeof route === "string" ? [[name, route] as const] : [],
  );
  const corrupt = overrides.length === entries.length ? null : "it has values that are not names of routes";
  return { overrides: new Map(overrides), corrupt };
}
