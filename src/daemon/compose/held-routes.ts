// On which routes people hold backends: a small file in the home, read at the start and written at each change.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { HeldRoutes } from "../../gateway/backends/pool/backend-lane-contract.ts";
import { errorText } from "../../runtime/errors.ts";
import { writeDurably } from "../../runtime/files/durable-file.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { objectOf } from "../../runtime/text/json-object.ts";

/** `writes` false: for a command that runs once. */
export function openHeldRoutes(home: string, logger: Logger, writes: boolean): HeldRoutes {
  const path = join(home, "held-routes.json");
  const held = readHeld(path, logger);
  let isWriting = false;
  let isStale = false;
  const write = async (): Promise<void> => {
    while (isStale) {
      isStale = false;
      try {
        await writeDurably(path, `${JSON.stringify(Object.fromEntries(held), null, 2)}\n`);
      } catch (error) {
        logger.warn("the route that a backend is held on is not kept over a restart", {
          reason: errorText(error),
        });
      }
    }
    isWriting = false;
  };
  return {
    get: (backend) => held.get(backend) ?? null,
    keep(backend, route) {
      if (route === null) held.delete(backend);
      else held.set(backend, route);
      if (!writes) return;
      isStale = true;
      if (isWriting) return;
      isWriting = true;
      void write();
    },
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
