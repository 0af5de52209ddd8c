// Opens a home: finds its files, and loads and checks its configuration.

import { FROM_BACKUP, openHistory } from "../../config/history/history.ts";
import { suspectError } from "../../config/history/suspect-file.ts";
import {
  configFormat,
  findHomeContext,
  type HomeContext,
  locateConfig,
  noFileAt,
} from "../../config/home-context.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { type ConfigMistake, mistakesError } from "../../config/values/mistakes.ts";
import { loadConfigInChild } from "../../config/worker/load-in-child.ts";
import type { StartReader } from "../../config/worker/reader-process.ts";
import type { LoadedByWorker } from "../../config/worker/worker-messages.ts";
import { errorText, isOwnError, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { exposureOf, ownIdentity } from "../../runtime/files/exposure.ts";
import { requireResponsiveDisk } from "../../runtime/process/responsive-disk.ts";
import { type Clock, resultWithin, systemClock } from "../../runtime/time/clock.ts";
import type { CheckedConfig } from "./checked-config.ts";

/** A configuration file that has errors or cannot be read; the newest accepted content runs instead. */
export interface RejectedFile {
  /** The hash of the file, hexadecimal; "" if the file cannot be read. */
  readonly sha256: string;
  readonly mistakes: readonly ConfigMistake[];
  /** Why the file cannot be read, or is suspect; null if it has errors instead. */
  readonly reason: string | null;
  /** True: the file was written in place, and waits for a person (`config_cut_short`). */
  readonly isSuspect: boolean;
  /** The time when the running content was accepted, ISO 8601 UTC. */
  readonly acceptedAt: string;
}

interface OpenedHome extends Pick<LoadedByWorker, "starterWritten"> {
  readonly homeContext: HomeContext;
  readonly snapshot: ConfigSnapshot;
  /** The configuration file if it was rejected; null: the snapshot is the content of the file. */
  readonly rejected: RejectedFile | null;
}

interface OpenOptions {
  readonly home: string;
  readonly configPath: string | null;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /**
   * True: if there is no configuration file, a commented starter is written. False: an empty configuration is
   * loaded then.
   */
  readonly writesStarter?: boolean;
  /** Loads the newest accepted content instead of a file that has errors or cannot be read. */
  readonly fallsBack?: boolean;
  readonly clock?: Clock;
  /** Default: the file is read and checked. */
  readonly checked?: CheckedConfig | undefined;
  /** Default: each read starts its own process. */
  readonly startReader?: StartReader;
}

/**
 * Loads the home's configuration, or the file that `configPath` names. Rejects with `config_invalid` (every error in it),
 * `config_unreadable`, `config_cut_short`, `config_ambiguous`, and with `home_unwritable` if a starter cannot be written.
 */
export async function openHome(options: OpenOptions): Promise<OpenedHome> {
  const { home, configPath, environment = process.env, writesStarter = false, fallsBack = false } = options;
  const homeContext = findHomeContext({ ...environment, MOUNTAINEER_HOME: home });
  const { path, exists } = await locateConfig(homeContext, configPath);
  if (configPath !== null && !exists) throw noFileAt(path);
  const content = exists || writesStarter ? null : "";
  const inode = exists ? null : undefined;
  const request = { path, homeContext, content, writeStarter: writesStarter && !exists, inode };
  const answer = exists ? requireResponsiveDisk(path) : Promise.resolve();
  const { checked } = options;
  const known = answer.then(() =>
    // A disk that hangs from now on is the reader process's to wait for.
    exists && checked
      ? resultWithin(options.clock ?? systemClock, FOUND_WITHIN_MS, checked.find(path, homeContext))
      : null,
  );
  const snapshot = await known.catch(recoverFrom(isOwnError, null));
  if (snapshot) return { homeContext, snapshot, rejected: null, starterWritten: false };
  const read = await answer.then(() => load(request, options)).catch(unreadableFile);
  const isUnreadable = read instanceof MountaineerError;
  if (!isUnreadable && read.loaded.ok && read.held === null) {
    const { loaded, starterWritten } = read;
    return { homeContext, snapshot: loaded.snapshot, rejected: null, starterWritten };
  }
  const mistakes = isUnreadable || read.loaded.ok ? [] : read.loaded.mistakes;
  const suspect = isUnreadable ? null : read.held;
  const fallback = fallsBack ? await lastAccepted({ homeContext, path }, options).catch(errorText) : null;
  if (fallback === null || typeof fallback === "string") {
    if (suspect !== null) throw suspectError(suspect);
    const why = fallback && `the last accepted configuration cannot be used: ${fallback}`;
    throw isUnreadable ? read : mistakesError(mistakes, why);
  }
  const { acceptedAt, ...loaded } = fallback;
  const found = {
    sha256: isUnreadable ? "" : read.sha256,
    reason: isUnreadable ? read.message : suspect,
    isSuspect: suspect !== null,
  };
  return { ...loaded, homeContext, rejected: { ...found, mistakes, acceptedAt }, starterWritten: false };
}

function unreadableFile(error: unknown): MountaineerError {
  if (error instanceof MountaineerError && error.code === "config_unreadable") return error;
  throw error;
}

type StoredEntry = Awaited<ReturnType<ReturnType<typeof openHistory>["newest"]>>[number];

/** How long a start waits for the stored configuration before it reads the file. */
const FOUND_WITHIN_MS = 5_000;
/** Maximum number of history entries that are tried: each starts a process, and the start waits for it. */
const MOST_TRIED = 10;

type Accepted = Pick<OpenedHome, "snapshot"> & Pick<RejectedFile, "acceptedAt">;

/**
 * Resolves with the newest usable content in the file's history. If no content is usable: with the reason why the
 * newest one is not; with null if nothing was ever accepted.
 */
async function lastAccepted(
  at: { readonly homeContext: HomeContext; readonly path: string },
  options: OpenOptions,
): Promise<Accepted | string | null> {
  let reason: string | null = null;
  const newest = await openHistory(at.homeContext.home, at.path).newest();
  const accepted = newest.filter(({ entry }) => !entry.source.startsWith(FROM_BACKUP));
  for (const entry of accepted.slice(0, MOST_TRIED)) {
    const tried = await loadEntry(entry, at, options);
    if (typeof tried !== "string") return tried;
    reason ??= tried;
  }
  return reason;
}

async function loadEntry(
  { file, entry, bytes }: StoredEntry,
  { homeContext, path }: Parameters<typeof lastAccepted>[0],
  options: OpenOptions,
): Promise<Accepted | string> {
  // A start checks who may write the configuration file; its history needs the same check.
  const { writable, failure } = await exposureOf(file, await ownIdentity());
  if (writable !== null) return `${writable.path} can be written by others (mode ${writable.mode})`;
  if (failure !== null) return failure;
  if (entry.format !== configFormat(path)) return `it is ${entry.format.toUpperCase()}`;
  const content = Buffer.from(bytes).toString("base64");
  const request = { path, homeContext, content, writeStarter: false };
  const { loaded } = await load(request, options);
  if (!loaded.ok) return "this version does not accept it";
  return { snapshot: loaded.snapshot, acceptedAt: entry.time };
}

function load(
  request: Parameters<typeof loadConfigInChild>[0],
  { clock = systemClock, startReader }: OpenOptions,
): Promise<LoadedByWorker> {
  return loadConfigInChild(request, { clock, startReader });
}
