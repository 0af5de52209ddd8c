// The folder of the fleet's server in a home (0700): its record, its configuration, its certificates and its store.
import { mkdir, open, readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { MountaineerError } from "../../runtime/errors.ts";
import {
  ensurePrivateFolder,
  readIfPresent,
  removeLeftovers,
  writeDurably,
} from "../../runtime/files/durable-file.ts";
import { waitExclusive } from "../../runtime/files/sqlite-file-lock.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { fingerprintOf } from "../keys/nkey.ts";
import { makeCertificates } from "./certificate.ts";
import { type FleetRecord, parseRecord, recordText } from "./fleet-record.ts";
import { splitAddress } from "./join-code.ts";
import { serverConfig } from "./server-config.ts";

const KEPT_LOGS = 1;
const LOCK_WAIT_MS = 20_000;

export interface FleetPlace {
  /** Mountaineer's own folder, absolute. */
  readonly home: string;
  readonly clock: Clock;
}

export function folderPaths(home: string) {
  const folder = join(home, "fleet-server");
  const at = (name: string): string => join(folder, name);
  return {
    folder,
    record: at("fleet.json"),
    config: at("nats-server.conf"),
    store: at("store"),
    log: at("nats-server.log"),
    /** Which process serves. */
    process: at("process.json"),
  };
}

/** Of those that were made as the `count`-th. */
export function certificatePaths(home: string, count: number) {
  const which = count === 1 ? "" : `-${count}`;
  const at = (name: string): string => join(folderPaths(home).folder, `${name}${which}.pem`);
  return { authority: at("ca"), certificate: at("server"), key: at("server-key") };
}

/** Null: this home has no server of a fleet. Rejects with `fleet_server_failed`. */
export async function readFleet(home: string): Promise<FleetRecord | null> {
  const { record } = folderPaths(home);
  const text = await readIfPresent(record);
  return text === null ? null : parseRecord(text, record);
}

/** The same where there must be one; rejects with `usage` too. */
export async function requireFleet(home: string): Promise<FleetRecord> {
  const record = await readFleet(home);
  if (record !== null) return record;
  throw new MountaineerError("usage", "this machine does not have the fleet's server", {
    hint: "do it on the machine where `mountaineer fleet init` was typed",
  });
}

/**
 * Makes the folder. The record comes last: a folder without one is a leftover of a making that was cut off, and is made
 * anew. The authority's key is dropped, as it has signed all that it ever signs. The folder's lock must be held.
 */
export async function makeFleet(
  { home, clock }: FleetPlace,
  parts: Pick<FleetRecord, "address" | "operator" | "home" | "members">,
): Promise<FleetRecord> {
  const paths = { ...folderPaths(home), ...certificatePaths(home, 1) };
  await rm(paths.folder, { recursive: true, force: true });
  await mkdir(paths.folder, { mode: 0o700 });
  const { host } = splitAddress(parts.address);
  const { authority, server } = makeCertificates([host, "127.0.0.1", "localhost"], clock.wallMs());
  await mkdir(paths.store, { mode: 0o700 });
  await writeDurably(paths.authority, authority.certificate);
  await writeDurably(paths.key, server.key);
  // The authority too, so that whoever has but its fingerprint can find it.
  await writeDurably(paths.certificate, server.certificate + authority.certificate);
  const fingerprint = fingerprintOf(authority.der).toString("hex");
  const record = { ...parts, authority: fingerprint, certificates: 1, invitations: [] };
  await writeConfig(home, record);
  await writeDurably(paths.record, recordText(record));
  return record;
}

/**
 * Changes the record, and the server's configuration after it: what was cut off in between is caught up by the next
 * change, and by the server's next start. Invitations whose time is over go by the way. `change` may throw.
 */
export function changeFleet(
  place: FleetPlace,
  signal: AbortSignal,
  change: (record: FleetRecord) => FleetRecord,
): Promise<FleetRecord> {
  return withFolder(place, signal, async () => {
    const { home, clock } = place;
    const { record: path } = folderPaths(home);
    await removeLeftovers(path);
    const now = await requireFleet(home);
    const open = now.invitations.filter(({ expiresAtMs }) => expiresAtMs > clock.wallMs());
    const next = change({ ...now, invitations: open });
    await writeDurably(path, recordText(next));
    await writeConfig(home, next);
    return next;
  });
}

/** The server sets its log aside when that is full, and keeps all of them: whoever may sign in could fill the disk. */
export async function removeOldLogs(home: string): Promise<void> {
  const { folder, log } = folderPaths(home);
  const names = (await readdir(folder)).filter((name) => name.startsWith(`${basename(log)}.`)).toSorted();
  // Their names end with when they were set aside.
  for (const name of names.slice(0, -KEPT_LOGS)) await rm(join(folder, name), { force: true });
}

/** Brings the configuration up to the record; resolves with whether it was another. The folder's lock must be held. */
export async function writeConfig(home: string, record: FleetRecord): Promise<boolean> {
  const paths = folderPaths(home);
  const text = serverConfig(record, { ...paths, ...certificatePaths(home, record.certificates) });
  await removeLeftovers(paths.config);
  if ((await readIfPresent(paths.config)) === text) return false;
  await writeDurably(paths.config, text, { mode: 0o600 });
  return true;
}

/** One after the other, of whatever process. Rejects with `lock_held`. */
export function withFolder<T>(place: FleetPlace, signal: AbortSignal, use: () => Promise<T>): Promise<T> {
  return inTurn("fleet.lock.db", place, signal, use);
}

/** The same for exchanges of keys and certificates as a whole: of two at once, one would go on with what the other made. */
export function withKeys<T>(place: FleetPlace, signal: AbortSignal, use: () => Promise<T>): Promise<T> {
  return inTurn("fleet-keys.lock.db", place, signal, use);
}

async function inTurn<T>(
  file: string,
  { home, clock }: FleetPlace,
  signal: AbortSignal,
  use: () => Promise<T>,
): Promise<T> {
  await ensurePrivateFolder(home);
  const path = join(home, file);
  // Nobody else may hold it up.
  await (await open(path, "a", 0o600)).close();
  const lock = await waitExclusive(path, { clock, withinMs: LOCK_WAIT_MS, signal });
  if (lock === null) {
    throw new MountaineerError("lock_held", "another command is changing this fleet", { retry: "later" });
  }
  try {
    return await use();
  } finally {
    lock.release();
  }
}
