// Everything a start needs of a home: its place, its configuration file and a checked snapshot.

import { type ConfigPlace, findPlace, locateConfig, noFileAt } from "../../config/locate.ts";
import { type ConfigMistake, mistakesError } from "../../config/mistakes.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { loadConfigApart } from "../../config/worker/load-apart.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { lastAccepted } from "./last-accepted.ts";

/** A file that has mistakes, or cannot be read, in whose stead the newest content that was accepted is loaded. */
export interface RejectedFile {
  /** Of the file, hexadecimal; "": it cannot be read. */
  readonly sha256: string;
  readonly mistakes: readonly ConfigMistake[];
  /** Why it cannot be read; null: it has mistakes. */
  readonly unreadable: string | null;
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
 * Loads the home's configuration, or the file that `configPath` names; where that has mistakes or cannot be read, and
 * `fallsBack` is true, the newest content of it that was accepted, if there is one. Rejects with `config_invalid` (every
 * mistake in it), `config_unreadable`, `config_ambiguous`, and with `home_unwritable` where a starter is to be written.
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
  const read = await loadConfigApart(request, { clock }).catch(unreadableFile);
  const isUnreadable = read instanceof MountaineerError;
  if (!isUnreadable && read.loaded.ok) {
    const { loaded, starterWritten } = read;
    return { place, snapshot: loaded.snapshot, rejected: null, starterWritten };
  }
  const mistakes = isUnreadable || read.loaded.ok ? [] : read.loaded.mistakes;
  const accepted = fallsBack ? await lastAccepted({ place, path, clock }) : null;
  if (accepted?.ok !== true) throw isUnreadable ? read : mistakesError(mistakes, accepted?.reason ?? null);
  const { snapshot, acceptedAt } = accepted;
  const found = isUnreadable
    ? { sha256: "", unreadable: read.message }
    : { sha256: read.sha256, unreadable: null };
  return { place, snapshot, rejected: { ...found, mistakes, acceptedAt }, starterWritten: false };
}

/** What fails beside reading the file is thrown. */
function unreadableFile(error: unknown): MountaineerError {
  if (error instanceof MountaineerError && error.code === "config_unreadable") return error;
  throw error;
}
