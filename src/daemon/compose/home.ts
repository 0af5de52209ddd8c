// Everything a start needs of a home: its place, its configuration file and a checked snapshot.

import { openHistory } from "../../config/history/history.ts";
import type { ConfigLayer } from "../../config/layer/layer.ts";
import { type ConfigPlace, configFormat, findPlace, locateConfig, noFileAt } from "../../config/locate.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { type ConfigMistake, mistakesError } from "../../config/values/mistakes.ts";
import { type ApartOptions, type LoadedApart, loadConfigApart } from "../../config/worker/load-apart.ts";
import type { StartReader } from "../../config/worker/reader-process.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { exposureOf, ownIdentity } from "../../runtime/files/exposure.ts";
import type { Clock } from "../../runtime/time/clock.ts";

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
  /** Of the fleet, under the snapshot's text; null: none is. */
  readonly layer: ConfigLayer | null;
  /** What is wrong with the one that was kept, and is left out. */
  readonly layerMistakes: readonly ConfigMistake[];
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
  /** Default: no layer of a fleet lies under it. */
  readonly keptLayer?: KeptLayer;
  readonly clock: Clock;
  /** Default: reads in processes of their own. */
  readonly startReader?: StartReader;
}): Promise<OpenedHome> {
  const { home, configPath, environment, writesStarter, fallsBack = false, clock } = options;
  const { keptLayer = async () => null, startReader } = options;
  const place = findPlace({ ...environment, MOUNTAINEER_HOME: home });
  const { path, exists } = await locateConfig(place, configPath);
  if (configPath !== null && !exists) throw noFileAt(path);
  const content = exists || writesStarter ? null : "";
  const request = { path, place, content, writeStarter: writesStarter && !exists };
  const read = await loadLayered(request, keptLayer, { clock, startReader }).catch(unreadableFile);
  const isUnreadable = read instanceof MountaineerError;
  if (!isUnreadable && read.loaded.ok) {
    const { loaded, starterWritten, layer, layerMistakes } = read;
    return { place, snapshot: loaded.snapshot, rejected: null, starterWritten, layer, layerMistakes };
  }
  const mistakes = isUnreadable || read.loaded.ok ? [] : read.loaded.mistakes;
  const accepted = fallsBack ? await lastAccepted({ place, path, clock, keptLayer, startReader }) : null;
  if (accepted?.ok !== true) throw isUnreadable ? read : mistakesError(mistakes, accepted?.reason ?? null);
  const { snapshot, acceptedAt, layer, layerMistakes } = accepted;
  const found = isUnreadable
    ? { sha256: "", unreadable: read.message }
    : { sha256: read.sha256, unreadable: null };
  const rejected = { ...found, mistakes, acceptedAt };
  return { place, snapshot, rejected, starterWritten: false, layer, layerMistakes };
}

/** What fails beside reading the file is thrown. */
function unreadableFile(error: unknown): MountaineerError {
  if (error instanceof MountaineerError && error.code === "config_unreadable") return error;
  throw error;
}

/** Somebody waits for the start, and each is read by a process of its own. */
const MOST_TRIED = 10;

type LastAccepted =
  | (Pick<LayeredLoad, "layer" | "layerMistakes"> & {
      readonly ok: true;
      readonly snapshot: ConfigSnapshot;
      /** ISO 8601 UTC. */
      readonly acceptedAt: string;
    })
  /** `reason`: why it cannot be used; null: nothing was ever accepted. */
  | { readonly ok: false; readonly reason: string | null };

/** What was accepted last for the file at `path`, from the home's history. Never rejects: `reason` says what failed. */
async function lastAccepted(options: {
  readonly place: ConfigPlace;
  /** Absolute. */
  readonly path: string;
  readonly clock: Clock;
  /** Default: no layer of a fleet lies under it. */
  readonly keptLayer?: KeptLayer;
  readonly startReader?: StartReader | undefined;
}): Promise<LastAccepted> {
  try {
    return await load(options);
  } catch (error) {
    return unusable(errorText(error));
  }
}

async function load(options: Parameters<typeof lastAccepted>[0]): Promise<LastAccepted> {
  const { place, path } = options;
  let found: LastAccepted = { ok: false, reason: null };
  for (const entry of (await openHistory(place.home, path).newest()).slice(0, MOST_TRIED)) {
    const tried = await loadEntry(entry, options);
    if (tried.ok) return tried;
    // Should all fail, the newest one's reason is told.
    if (!found.ok && found.reason === null) found = tried;
  }
  return found;
}

type StoredEntry = Awaited<ReturnType<ReturnType<typeof openHistory>["newest"]>>[number];

async function loadEntry(
  { file, entry, bytes }: StoredEntry,
  { place, path, clock, keptLayer = async () => null, startReader }: Parameters<typeof lastAccepted>[0],
): Promise<LastAccepted> {
  // The home and the file are looked at before anything runs, as at every start; the history is not.
  const { writable, failure } = await exposureOf(file, await ownIdentity());
  if (writable !== null) return unusable(`${writable.path} can be written by others (mode ${writable.mode})`);
  if (failure !== null) return unusable(failure);
  if (entry.format !== configFormat(path)) return unusable(`it is ${entry.format.toUpperCase()}`);
  const content = Buffer.from(bytes).toString("base64");
  const request = { path, place, content, writeStarter: false };
  const { loaded, layer, layerMistakes } = await loadLayered(request, keptLayer, { clock, startReader });
  if (!loaded.ok) return unusable("this version does not accept it");
  return { ok: true, snapshot: loaded.snapshot, acceptedAt: entry.time, layer, layerMistakes };
}

function unusable(reason: string): LastAccepted {
  return { ok: false, reason: `the content that was accepted last cannot be used: ${reason}` };
}

/** The layer that was accepted last of this operator, its signature proved again; null: none. Never rejects. */
type KeptLayer = (operator: string) => Promise<ConfigLayer | null>;

interface LayeredLoad extends LoadedApart {
  /** What lies under the file; null: nothing. */
  readonly layer: ConfigLayer | null;
  /** What is wrong with a layer that was kept, and is left out: the file alone is right. */
  readonly layerMistakes: readonly ConfigMistake[];
}

/** As `loadConfigApart`. A layer that does not fit any more keeps nothing from starting. */
async function loadLayered(
  request: Parameters<typeof loadConfigApart>[0],
  keptLayer: KeptLayer,
  options: ApartOptions,
): Promise<LayeredLoad> {
  const own = await loadConfigApart(request, options);
  const operator = own.loaded.ok ? (own.loaded.snapshot.config.fleet?.operator ?? null) : null;
  const layer = operator === null ? null : await keptLayer(operator);
  if (layer === null) return { ...own, layer: null, layerMistakes: [] };
  const { starterWritten } = own;
  const both = await loadConfigApart({ ...request, writeStarter: false, layer }, options);
  // The file may have been changed in between: the watcher finds out.
  if (both.loaded.ok) return { ...both, starterWritten, layer, layerMistakes: [] };
  return { ...own, layer: null, layerMistakes: both.loaded.mistakes };
}
