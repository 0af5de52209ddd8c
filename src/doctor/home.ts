// Checks the home: access, permissions of its files, the secrets file, and free disk space.

import { access, constants, lstat, readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { DoctorFinding } from "../api/doctor-report.ts";
import { exposuresHere, pathFaults } from "../daemon/compose/private-paths.ts";
import {
  errorText,
  isSystemError,
  MountaineerError,
  recoverFrom,
  systemErrorCode,
} from "../runtime/errors.ts";
import { readIfPresent } from "../runtime/files/durable-file.ts";
import { bytesText, shellCommand } from "../runtime/text/plain-text.ts";
import { parseSecretFile } from "../secrets/secret-store.ts";
import { type DoctorContext, findingsOf } from "./context.ts";

/** With less free space neither state nor log can be written. */
const FULL_BYTES = 1024 * 1024;
const LOW_BYTES = 64 * 1024 * 1024;
const OTHERS = 0o077;
/** Files that only their owner may read. */
const PRIVATE = [
  "secrets.json",
  "approvals.sealed",
  "approvals.key",
  "mountaineer.sock",
  "mcp.sock",
  "daemon.json",
  "numbers.log",
];
/** What the daemon also opens, and cannot start without. */
const OPENED = ["lock.db", "lock.json", "state.json", "history"];

const finding = findingsOf("home");

export async function examineHome(home: string): Promise<DoctorFinding[]> {
  const found: DoctorFinding[] = [];
  try {
    const { mode, uid } = await stat(home);
    const us = process.getuid?.() ?? uid;
    if (uid !== us) {
      found.push(
        finding("warning", "home_of_another", `${home} belongs to user ${uid}, and this is user ${us}`, {
          hint: "run this as its owner, or set MOUNTAINEER_HOME to a folder of yours",
        }),
      );
    }
    if ((mode & OTHERS) !== 0) {
      found.push(
        finding("warning", "home_open", `${home} can be entered by others (mode ${octal(mode)})`, {
          hint: shellCommand`chmod 700 ${home}`,
        }),
      );
    }
    await access(home, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === null) throw error;
    if (code === "ENOENT")
      return [finding("info", "home_absent", `${home} does not exist yet`, { hint: "mountaineer init" })];
    return [
      ...found,
      finding("error", "home_denied", `${home} cannot be used: ${errorText(error)}`, {
        hint: deniedHint(code),
      }),
    ];
  }
  const history = await readdir(join(home, "history")).catch(recoverFrom(isSystemError, []));
  const opened = [...PRIVATE, ...OPENED, ...history.map((name) => join("history", name))];
  for (const name of opened) found.push(...(await examineAccess(join(home, name))));
  for (const name of PRIVATE) found.push(...(await examinePrivate(join(home, name))));
  found.push(...(await examineSecrets(join(home, "secrets.json"))));
  found.push(await examineDisk(home));
  if (found.every(({ severity }) => severity === "ok")) {
    found.unshift(finding("ok", "home", `${home} is private and can be written`));
  }
  return found;
}

function deniedHint(code: string): string {
  if (code === "EROFS") return "its disk is mounted read-only: set MOUNTAINEER_HOME to a folder elsewhere";
  if (code === "ENOTDIR") return "a part of its path is not a folder: move that away";
  return "run this as its owner, or make it yours: chown, chmod u+rwx";
}

async function examineAccess(path: string): Promise<DoctorFinding[]> {
  const denied = access(path, constants.R_OK | constants.W_OK).then(() => null, errorText);
  const [why, found] = await Promise.all([denied, lstat(path).catch(recoverFrom(isSystemError, null))]);
  if (why === null || found === null) return [];
  const us = process.getuid?.() ?? 0;
  const isOurs = found.uid === us;
  const text = `the daemon cannot open ${path}: ${isOurs ? why : `it belongs to user ${found.uid}`}`;
  const hint = isOurs ? shellCommand`chmod u+rw ${path}` : shellCommand`sudo chown -R ${us} ${path}`;
  return [finding("error", "home_denied", text, { subject: path, hint })];
}

async function examinePrivate(path: string): Promise<DoctorFinding[]> {
  try {
    const { mode } = await lstat(path);
    if ((mode & OTHERS) === 0) return [];
    const text = `${path} is open to others (mode ${octal(mode)})`;
    return [finding("warning", "file_open", text, { hint: shellCommand`chmod 600 ${path}` })];
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return [];
    if (systemErrorCode(error) === null) throw error;
    return [finding("error", "home_denied", `${path} cannot be checked: ${errorText(error)}`)];
  }
}

/** Checks only that the secrets file can be read and parsed; no secret appears in a finding. */
async function examineSecrets(path: string): Promise<DoctorFinding[]> {
  try {
    const text = await readIfPresent(path);
    if (text !== null) parseSecretFile(text, path);
    return [];
  } catch (error) {
    if (error instanceof MountaineerError) {
      return [finding("error", "secrets_unreadable", error.message, { hint: error.hint ?? "move it away" })];
    }
    if (systemErrorCode(error) === "EACCES") return [];
    if (systemErrorCode(error) === null) throw error;
    const text = `${path} cannot be read: ${errorText(error)}`;
    return [
      finding("error", "secrets_unreadable", text, {
        hint: `see who may read it: ${shellCommand`ls -l ${path}`}`,
      }),
    ];
  }
}

async function examineDisk(home: string): Promise<DoctorFinding> {
  const { bavail, bsize, files, ffree } = await statfs(home);
  const free = bavail * bsize;
  // Some file systems report no inode counts: `files` is 0 then.
  const noNames = files > 0 && ffree === 0;
  if (free < FULL_BYTES || noNames) {
    const what = noNames ? "it has room for no further file" : `${bytesText(free)} are free`;
    return finding("error", "disk_full", `the disk of ${home} is full: ${what}`, {
      hint: "free some space: state and log are not written, and what is written to shares has no cache",
    });
  }
  if (free < LOW_BYTES) {
    return finding("warning", "disk_low", `the disk of ${home} is nearly full: ${bytesText(free)} are free`, {
      hint: "free some space: files written to shares wait here until the server has them",
    });
  }
  return finding("ok", "disk", `${bytesText(free)} are free on its disk`);
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(3, "0");
}

/**
 * Findings about files outside the home that others may write or read; `examineHome` checks the files in the
 * home.
 */
export async function examinePrivatePaths({
  home,
  snapshot,
}: Pick<DoctorContext, "home" | "snapshot">): Promise<DoctorFinding[]> {
  if (snapshot === null) return [];
  const faults = pathFaults(await exposuresHere(home, snapshot.path), snapshot);
  return faults
    .filter(({ severity, path }) => severity === "error" || path === snapshot.path)
    .map(({ severity, code, path, text, hint }) => finding(severity, code, text, { subject: path, hint }));
}
