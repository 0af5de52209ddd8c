// The folder of the fleet's server in a home (mode 0700): record, configuration, certificates and store.
import { mkdir, readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { MountaineerError } from "../../runtime/errors.ts";
import {
  ensurePrivateFolder,
  readIfPresent,
  removeLeftovers,
  writeDurably,
} from "../../runtime/files/durable-file.ts";
import { withExclusive } from "../../runtime/files/sqlite-file-lock.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { issueCertificates } from "./certificate.ts";
import { type FleetRecord, parseRecord, recordText } from "./fleet-record.ts";
import { splitAddress } from "./join-code.ts";
import { serverConfig } from "./server-config.ts";

const RETAINED_LOGS = 1;
const LOCK_WAIT_MS = 20_000;

export interface FleetContext {
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
    authority: at("ca.pem"),
    certificate: at("server.pem"),
    key: at("server-key.pem"),
    /** The identity of the server's process. */
    process: at("process.json"),
  };
}

/** null: this home has no fleet server. Rejects with `fleet_server_failed`. */
export async function readFleet(home: string): Promise<FleetRecord | null> {
  const { record } = folderPaths(home);
  const text = await readIfPresent(record);
  return text === null ? null : parseRecord(text, record);
}

/** Rejects with `usage` if this home has no fleet server. */
export async function requireFleet(home: string): Promise<FleetRecord> {
  const record = await readFleet(home);
  if (record !== null) return record;
  throw new MountaineerError("usage", "this machine does not have the fleet's server", {
    hint: "do it on the machine where `mountaineer fleet init` was typed",
  });
}

/**
 * Makes the folder. The record is written last, so a folder without one is known to be incomplete and is made
 * again. The caller holds the folder's lock.
 */
export async function makeFleet(
  { home, clock }: FleetContext,
  parts: Pick<FleetRecord, "address" | "home" | "members">,
): Promise<FleetRecord> {
  const paths = folderPaths(home);
  await rm(paths.folder, { recursive: true, force: true });
  await mkdir(paths.folder, { mode: 0o700 });
  await mkdir(paths.store, { mode: 0o700 });
  const { host } = splitAddress(parts.address);
  const { authority, server } = issueCertificates([host, "127.0.0.1", "localhost"], clock.wallMs());
  await writeDurably(paths.key, server.key);
  // Both in one file: a joining machine knows only the authority's fingerprint, and gets the authority from the server.
  await writeDurably(paths.certificate, server.certificate + authority.certificate);
  await writeDurably(paths.authority, authority.certificate);
  const record = { ...parts, authority: authority.fingerprint, invitations: [] };
  await writeConfig(home, record);
  await writeDurably(paths.record, recordText(record));
  return record;
}

/**
 * Changes the record and then the server's configuration. After an interruption in between, the next change or the
 * server's next start brings the configuration up to date. Expired invitations are dropped. `change` may throw.
 */
export function changeFleet(
  context: FleetContext,
  signal: AbortSignal,
  change: (record: FleetRecord) => FleetRecord,
): Promise<FleetRecord> {
  return withFolder(context, signal, async () => {
    const { home, clock } = context;
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

/**
 * Removes all but the newest logs: the server rotates its log and keeps every old one, so members could fill
 * the disk.
 */
export async function removeOldLogs(home: string): Promise<void> {
  const { folder, log } = folderPaths(home);
  const names = (await readdir(folder)).filter((name) => name.startsWith(`${basename(log)}.`)).toSorted();
  // The names end with the time of the rotation, so the oldest logs come first.
  for (const name of names.slice(0, -RETAINED_LOGS)) await rm(join(folder, name), { force: true });
}

/**
 * Writes the server's configuration as `record` requires. Resolves with whether the file changed. The caller holds
 * the folder's lock.
 */
export async function writeConfig(home: string, record: FleetRecord): Promise<boolean> {
  const paths = folderPaths(home);
  const text = serverConfig(record, paths);
  await removeLeftovers(paths.config);
  if ((await readIfPresent(paths.config)) === text) return false;
  await writeDurably(paths.config, text, { mode: 0o600 });
  return true;
}

/** Runs one `use` at a time across all processes. Rejects with `lock_held`. */
export async function withFolder<T>(
  { home, clock }: FleetContext,
  signal: AbortSignal,
  use: () => Promise<T>,
): Promise<T> {
  await ensurePrivateFolder(home);
  const wait = { clock, withinMs: LOCK_WAIT_MS, signal };
  return withExclusive(join(home, "fleet.lock.db"), wait, "another command is changing this fleet", use);
}
