// On which routes people hold backends: a small file in the home, read at the start and written at each change.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { HeldRoutes } from "../../gateway/backends/pool/backend-lane-contract.ts";
import { errorText } from "../../runtime/errors.ts";
import { removeLeftovers, writeDurably } from "../../runtime/files/durable-file.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { objectOf } from "../../runtime/text/json-object.ts";

interface KeptRoutes extends HeldRoutes {
  /** Writes what is not written yet, if it may; resolves when no write is under way. Never rejects. */
  flush(): Promise<void>;
}

/** `mayWrite`: false for a command that runs once, and for a daemon while the home is another one's. */
export function openHeldRoutes(home: string, logger: Logger, mayWrite: () => boolean): KeptRoutes {
  const path = join(home, "held-routes.json");
  const held = readHeld(path, logger);
  let writing: Promise<void> | null = null;
  let isStale = false;
  const write = async (): Promise<void> => {
    while (isStale) {
      isStale = false;
      try {
        await removeLeftovers(path);
        await writeDurably(path, `${JSON.stringify(Object.fromEntries(held), null, 2)}\n`);
      } catch (error) {
        logger.warn("the route that a backend is held on is not kept over a restart", {
          reason: errorText(error),
        });
      }
    }
    writing = null;
  };
  const flush = async (): Promise<void> => {
    if (isStale && mayWrite()) writing ??= write();
    await writing;
  };
  return {
    get: (backend) => held.get(backend) ?? null,
    keep(backend, route) {
      if (route === null) held.delete(backend);
      else held.set(backend, route);
      isStale = true;
      void flush();
    },
    flush,
  };
}

function readHeld(path: string, logger: Logger): Map<string, string> {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    const entries = Object.entries(objectOf(value));
    return new Map(entries.flatMap(([name, route]) => (typeof route === "string" ? [[name, route]] : [])));
  } catch (error) {
    const isThere = !(error instanceof Error && "code" in error && error.code === "ENOENT");
    if (isThere) logger.warn("which routes backends are held on is not known", { reason: errorText(error) });
    return new Map();
  }
}
