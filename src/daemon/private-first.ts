// Looks whether others may change what is about to run, where nobody looks after the home yet.
import type { ConfigSnapshot } from "../config/snapshot.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { createMountTable } from "../shares/mounts/mount-table.ts";
import { startProber } from "../shares/prober/prober-process.ts";
import { createPrivatePlaces } from "./compose/private-places.ts";
import { localExposures } from "./reload/config-file.ts";

interface FirstOptions {
  /** Mountaineer's own folder, absolute. */
  readonly home: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A daemon that takes over starts programs before it has the home, and with it the prober that looks later. */
export async function requirePrivateFirst(
  { home, clock, logger }: FirstOptions,
  snapshot: ConfigSnapshot,
): Promise<void> {
  await using prober = startProber({ clock, logger });
  const look = localExposures({ prober, mountTable: createMountTable({ clock }) }, clock);
  await createPrivatePlaces({ home, look, clock, logger }).require(snapshot);
}
