// Root in a user's home acts as that user, so that no file there becomes root's and locks the user's daemon out.
import { stat } from "node:fs/promises";
import { type UserInfo, userInfo } from "node:os";
import { dirname } from "node:path";
import { findHomeContext } from "../../config/home-context.ts";
import { isSystemError, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { ownIdentity } from "../../runtime/files/exposure.ts";
import { shellWord } from "../../runtime/text/plain-text.ts";
import { launcherPath } from "./launcher-path.ts";

/**
 * Makes this process, if it is root's, the user to whom the home belongs or will belong. Rejects with
 * `permission_denied` for a command that is refused.
 */
export async function actAsOwner(home: string, args: readonly string[], refusesRoot = false): Promise<void> {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = await ownerOf(home);
  if (uid === 0 || (await ownIdentity()).trusted.includes(uid)) return;
  const known = userOf(uid);
  // A container may have no right to change its user.
  if (known === "forbidden") return;
  if (refusesRoot) {
    const name = known?.username ?? `user ${uid}`;
    const become = known ? `sudo -H -u ${name}` : `setpriv --reuid=${uid} --regid=${gid} --clear-groups`;
    const command = [`MOUNTAINEER_HOME=${home}`, launcherPath(), ...args].map(shellWord).join(" ");
    const message = `${home} belongs to ${name}, whose daemon cannot use what root writes`;
    throw new MountaineerError("permission_denied", message, { hint: `${become} env ${command}` });
  }
  // Node's types lack it.
  const { initgroups } = process as { initgroups?: (user: number | string, group: number) => void };
  if (known === null) process.setgroups?.([]);
  else initgroups?.(known.username, known.gid);
  process.setgid?.(known?.gid ?? gid);
  process.setuid?.(uid);
  if (known)
    Object.assign(process.env, { HOME: known.homedir, USER: known.username, LOGNAME: known.username });
  // Not set for the usual home: with the variable set, the log would be in the home.
  if (findHomeContext(process.env).home !== home) process.env["MOUNTAINEER_HOME"] = home;
}

/** The entry in the user database; null: the user has none. */
function userOf(uid: number): UserInfo<string> | "forbidden" | null {
  try {
    // `userInfo` reports only the effective user.
    process.seteuid?.(uid);
  } catch (error) {
    return recoverFrom(isSystemError, "forbidden" as const)(error);
  }
  try {
    return userInfo();
  } catch (error) {
    return recoverFrom(isSystemError, null)(error);
  } finally {
    process.seteuid?.(0);
  }
}

/** The owner of the folder; if it cannot be read, of the nearest folder above it that can. */
async function ownerOf(folder: string): Promise<{ readonly uid: number; readonly gid: number }> {
  return (await stat(folder).catch(recoverFrom(isSystemError, null))) ?? ownerOf(dirname(folder));
}
