// Mounts on macOS by command where NetFS cannot be called: `osascript` under /Volumes, `mount_smbfs` on a folder of
// ours. No argument holds a password.
import { type CommandResult, runCommand } from "../../../runtime/process/child-process.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { MountFailure } from "../mount-driver.ts";
import { meaningOfMountSmbfs, meaningOfOsascript, type NetfsMeaning } from "./codes.ts";
import { type NetfsTarget, netfsUrl } from "./url.ts";

export interface CommandMount extends NetfsTarget {
  /** null: the Keychain (osascript), or no password. */
  readonly password: string | null;
  /** null: macOS makes one under /Volumes. */
  readonly folder: string | null;
}

interface CommandLimits {
  readonly clock: Clock;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

type CommandMountOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: MountFailure; readonly text: string };

const OSASCRIPT = "/usr/bin/osascript";
const MOUNT_SMBFS = "/sbin/mount_smbfs";

/** Rejects with `aborted` or `program_unavailable`. */
export async function mountByCommand(
  mount: CommandMount,
  limits: CommandLimits,
  commands: { readonly osascript: string; readonly mountSmbfs: string } = {
    osascript: OSASCRIPT,
    mountSmbfs: MOUNT_SMBFS,
  },
): Promise<CommandMountOutcome> {
  if (mount.folder === null) {
    // By stdin, because it may hold the password.
    const result = await run(commands.osascript, ["-"], osascriptText(mount), limits);
    return outcome(result, mount, meaningOfOsascript(result.stderr));
  }
  if (mount.password !== null) {
    return {
      ok: false,
      reason: "driver_unavailable",
      text: "without koffi a share with a password is mounted only under /Volumes; set mount_root to it",
    };
  }
  const args = ["-N", "-o", "soft", "--", smbfsSource(mount), mount.folder];
  const result = await run(commands.mountSmbfs, args, undefined, limits);
  return outcome(result, mount, meaningOfMountSmbfs(result.exitCode, result.stderr));
}

/** AppleScript for one mount. Text is quoted; a quote or a backslash in it cannot end it. */
export function osascriptText(mount: CommandMount): string {
  const { username, password } = mount;
  const as =
    username === null
      ? ""
      : password === null
        ? ` as user name ${quoted(username)}`
        : ` as user name ${quoted(username)} with password ${quoted(password)}`;
  // With the user in the URL, macOS finds the Keychain's item of that user.
  return `mount volume ${quoted(netfsUrl(mount))}${as}\n`;
}

/** `//user@host[:port]/share`, escaped; a guest is named with an empty password, so that none is asked for. */
export function smbfsSource(mount: NetfsTarget): string {
  const url = netfsUrl(mount).slice("smb:".length);
  return mount.username === null ? `//guest:@${url.slice(2)}` : url;
}

/** Some versions print the URL with the password. */
export function withoutPasswords(text: string, password: string | null): string {
  const spellings =
    password === null || password === "" ? [] : [password, encodeURIComponent(password), quoted(password)];
  return spellings
    .reduce((cleaned, one) => cleaned.replaceAll(one, "…"), text)
    .replaceAll(/(\/\/[^/\s:@]*):[^/\s]*@/g, "$1:…@");
}

function quoted(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

function outcome(result: CommandResult, mount: CommandMount, meaning: NetfsMeaning): CommandMountOutcome {
  if (result.timedOut) return { ok: false, reason: "timed_out", text: "macOS did not mount it in time" };
  if (result.exitCode === 0) return { ok: true };
  const said = withoutPasswords(result.stderr.trim().split("\n").at(-1) ?? "", mount.password);
  const hint = meaning.hint === null ? "" : `; ${meaning.hint}`;
  return {
    ok: false,
    reason: meaning.reason,
    text: `${meaning.text}${said === "" ? "" : ` (${said})`}${hint}`,
  };
}

function run(
  command: string,
  args: readonly string[],
  stdin: string | undefined,
  { clock, deadlineMs, signal }: CommandLimits,
): Promise<CommandResult> {
  return runCommand(command, args, {
    clock,
    deadlineMs,
    signal,
    killGraceMs: 0,
    env: { LC_ALL: "C" },
    ...(stdin === undefined ? {} : { stdin }),
  });
}
