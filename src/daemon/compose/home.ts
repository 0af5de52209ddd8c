// Everything a start needs of a home: its place, its configuration file and a checked snapshot.

import { type ConfigPlace, findPlace, locateConfig, noFileAt } from "../../config/locate.ts";
import { mistakesError } from "../../config/mistakes.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { loadConfigApart } from "../../config/worker/load-apart.ts";
import type { Clock } from "../../runtime/time/clock.ts";

interface OpenedHome {
  readonly place: ConfigPlace;
  readonly snapshot: ConfigSnapshot;
  /** A commented starter was written, because there was no configuration; without one an empty one holds. */
  readonly starterWritten: boolean;
}

/**
 * Loads the home's configuration, or the file that `configPath` names. Rejects with `config_invalid` (every mistake
 * in it), `config_unreadable`, `config_ambiguous`, and with `home_unwritable` where a starter is to be written.
 */
export async function openHome(options: {
  readonly home: string;
  readonly configPath: string | null;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly writesStarter: boolean;
  readonly clock: Clock;
}): Promise<OpenedHome> {
  const { home, configPath, environment, writesStarter, clock } = options;
  const place = findPlace({ ...environment, MOUNTAINEER_HOME: home });
  const { path, exists } = await locateConfig(place, configPath);
  if (configPath !== null && !exists) throw noFileAt(path);
  const content = exists || writesStarter ? null : "";
  const request = { path, place, content, writeStarter: writesStarter && !exists };
  const { loaded, starterWritten } = await loadConfigApart(request, { clock });
  if (!loaded.ok) throw mistakesError(loaded.mistakes);
  return { place, snapshot: loaded.snapshot, starterWritten };
}
