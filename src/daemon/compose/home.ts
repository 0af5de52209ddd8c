// Everything a start needs of a home: its place, its configuration file and a checked snapshot.

import { type ConfigPlace, findPlace, locateConfig, noFileAt } from "../../config/locate.ts";
import { type ConfigMistake, mistakesError } from "../../config/mistakes.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { loadConfigApart } from "../../config/worker/load-apart.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { lastAccepted } from "./last-accepted.ts";

/** A configuration file with mistakes, in whose stead the newest content that was accepted is loaded. */
export interface RejectedFile {
  /** Of the file, hexadecimal. */
  readonly sha256: string;
  readonly mistakes: readonly ConfigMistake[];
  /** ISO 8601 UTC: when the content that stands in for it was accepted. */
  readonly acceptedAt: string;
}

interface OpenedHome {
  readonly place: ConfigPlace;
  readonly snapshot: ConfigSnapshot;
  /** null: the snapshot is the file's. */
  readonly rejected: RejectedFile | null;
  /** A commented starter was written, because there was no configuration; without one an empty one holds. */
  readonly starterWritten: boolean;
}

/**
 * Loads the home's configuration, or the file that `configPath` names; where that has mistakes and `fallsBack` is true,
 * the newest content of it that was accepted, if there is one. Rejects with `config_invalid` (every mistake in it),
 * `config_unreadable`, `config_ambiguous`, and with `home_unwritable` where a starter is to be written.
 */
export async function openHome(options: {
  readonly home: string;
  readonly configPath: string | null;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly writesStarter: boolean;
  readonly fallsBack?: boolean;
  readonly clock: Clock;
}): Promise<OpenedHome> {
  const { home, configPath, environment, writesStarter, fallsBack = false, clock } = options;
  const place = findPlace({ ...environment, MOUNTAINEER_HOME: home });
  const { path, exists } = await locateConfig(place, configPath);
  if (configPath !== null && !exists) throw noFileAt(path);
  const content = exists || writesStarter ? null : "";
  const request = { path, place, content, writeStarter: writesStarter && !exists };
  const { loaded, sha256, starterWritten } = await loadConfigApart(request, { clock });
  if (loaded.ok) return { place, snapshot: loaded.snapshot, rejected: null, starterWritten };
  const { mistakes } = loaded;
  if (!fallsBack) throw mistakesError(mistakes);
  const accepted = await lastAccepted({ place, path, clock });
  if (!accepted.ok) throw mistakesError(mistakes, accepted.reason);
  const { snapshot, acceptedAt } = accepted;
  return { place, snapshot, rejected: { sha256, mistakes, acceptedAt }, starterWritten };
}
