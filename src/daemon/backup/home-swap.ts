// Puts a restored home in the place of the present one, in two renames. A record beside the home says what to undo if the
// command is killed: the next command does.
import { rename, rm, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { recoverFrom } from "../../runtime/errors.ts";
import { entryExists, keepPrivateFile, readIfPresent, syncFolder } from "../../runtime/files/durable-file.ts";
import { restoreRecordPath } from "../../runtime/files/home-marker.ts";
import { isRunning, processIdentity } from "../../runtime/process/process-identity.ts";
import { list, number, object, reader, text } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { sessionKeyring } from "../../secrets/sealed-file.ts";
import { sealingKeyName } from "../../secrets/sealing-key.ts";
import { KEYRING_WITHIN_MS } from "./home-parts.ts";

/**
 * `staging`, `aside`: names of folders beside the home, of the restored one and of the one before. `forgets`: the sealed
 * files whose keys in the keyring are of the home before.
 */
const recordOf = reader(
  object({ pid: number, startTime: text, staging: text, aside: text, forgets: list(text) }),
);

/** Records the swap. `staging` and `aside` are absolute, and beside the home. */
export async function recordSwap(
  home: string,
  { staging, aside }: { readonly staging: string; readonly aside: string },
  forgets: readonly string[],
): Promise<void> {
  const names = { staging: basename(staging), aside: basename(aside), forgets };
  const record = JSON.stringify({ ...(await processIdentity(process.pid)), ...names });
  await keepPrivateFile(restoreRecordPath(home), `${record}\n`, { mode: 0o600 });
}

/**
 * Undoes a restore that ended before the restored home was in place, or else completes it. Does nothing while a restore
 * runs, unless `isOwn`. Resolves true if the home before is back.
 */
export async function endSwap(home: string, isOwn = false): Promise<boolean> {
  const path = restoreRecordPath(home);
  const record = recordOf(jsonObject((await readIfPresent(path)) ?? ""));
  if (record !== null && !isOwn && (await isRunning(record))) return false;
  const isBack = record !== null && (await undoOrComplete(home, record));
  await unlink(path).catch(recoverFrom("ENOENT", undefined));
  await syncFolder(dirname(home));
  return isBack;
}

async function undoOrComplete(
  home: string,
  record: NonNullable<ReturnType<typeof recordOf>>,
): Promise<boolean> {
  const isOwn = (name: string, begin: string): boolean =>
    name === basename(name) && name.startsWith(`${basename(home)}.${begin}-`);
  // Where others may write beside the home, a record must not name other folders.
  if (!isOwn(record.staging, "restore") || !isOwn(record.aside, "before")) return false;
  const [staging, aside] = [join(dirname(home), record.staging), join(dirname(home), record.aside)];
  const isMoved = await entryExists(aside);
  if (!(await entryExists(staging))) {
    if (isMoved) await forgetKeys(home, aside, record.forgets);
    return false;
  }
  // Another program may have made an empty folder there. One that is not empty stays.
  if (isMoved) await rename(aside, home).catch(recoverFrom(["ENOTEMPTY", "EEXIST"], undefined));
  await rm(staging, { recursive: true, force: true });
  return isMoved;
}

/** The keys go from the keyring to the home before, which can be put back with them. */
async function forgetKeys(home: string, aside: string, names: readonly string[]): Promise<void> {
  const keyring = sessionKeyring({ home, clock: systemClock, environment: process.env });
  const limits = { deadlineMs: KEYRING_WITHIN_MS };
  if (keyring === null || (await keyring.unusableBecause(limits)) !== null) return;
  for (const name of names) {
    const key = await keyring.get(sealingKeyName(name), limits);
    if (key === null) continue;
    await keepPrivateFile(join(aside, `${name}.key`), `${key}\n`, { mode: 0o600 });
    await keyring.remove(sealingKeyName(name), limits);
  }
}
