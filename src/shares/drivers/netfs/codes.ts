// The error numbers of macOS's ways to mount (errnos, NetAuth's, the old File Manager's), and what each means.
import type { MountFailure } from "../mount-driver.ts";

export interface NetfsMeaning {
  readonly reason: MountFailure;
  /** Without the number: "the user or the password is wrong". */
  readonly text: string;
  /** What the person can do about it; null when the text says it all. */
  readonly hint: string | null;
}

/** EEXIST: something is mounted already, which is success if it is that share. */
export const ALREADY_MOUNTED = 17;

const KEYCHAIN_HINT = "give the share a password, or connect once in Finder and let it remember the password";
const LOCAL_NETWORK_HINT =
  "when other programs reach it: System Settings → Privacy & Security → Local Network, allow mountaineer";

const WRONG_CREDENTIALS: NetfsMeaning = {
  reason: "wrong_credentials",
  text: "the user or the password is wrong",
  hint: KEYCHAIN_HINT,
};
const NO_SUCH_SHARE: NetfsMeaning = {
  reason: "no_such_share",
  text: "the server has no such share",
  hint: "look at share_name: what the server calls it",
};
const CANCELLED: NetfsMeaning = { reason: "other", text: "it was cancelled", hint: null };
const TIMED_OUT: NetfsMeaning = {
  reason: "timed_out",
  text: "the server gave no answer in time",
  hint: null,
};
const unreachable = (text: string, hint: string | null = null): NetfsMeaning => ({
  reason: "unreachable",
  text,
  hint,
});
const other = (text: string, hint: string | null = null): NetfsMeaning => ({ reason: "other", text, hint });

const NETFS: Readonly<Record<number, NetfsMeaning>> = {
  1: { reason: "permission_denied", text: "macOS does not permit it", hint: null },
  2: NO_SUCH_SHARE,
  13: {
    reason: "permission_denied",
    text: "the server does not let this user into the share",
    hint: "look at the share's permissions on the server, and at username",
  },
  16: { reason: "path_taken", text: "the mount point is in use", hint: null },
  [ALREADY_MOUNTED]: {
    reason: "path_taken",
    text: "it is mounted already, or both hosts are one address",
    hint: "unmount the other mount of this share; give the two routes different addresses",
  },
  50: unreachable("the network is down"),
  51: unreachable("the network cannot be reached", LOCAL_NETWORK_HINT),
  60: TIMED_OUT,
  62: other("macOS does not mount from this machine itself"),
  61: { reason: "refused", text: "the server refused the connection", hint: null },
  64: unreachable("the server is down"),
  65: unreachable("there is no route to the server", LOCAL_NETWORK_HINT),
  80: WRONG_CREDENTIALS,
  [-128]: CANCELLED,
  [-5045]: { ...WRONG_CREDENTIALS, text: "the password must be changed first" },
  [-5046]: { ...WRONG_CREDENTIALS, text: "the password has expired" },
  [-5996]: other("the server speaks no version of SMB that macOS does"),
  [-5997]: other("the server offers no way to log in that macOS knows"),
  [-5998]: { ...NO_SUCH_SHARE, text: "the server offers no shares" },
  [-5999]: { reason: "permission_denied", text: "the server restricts this account", hint: null },
  [-6003]: { ...NO_SUCH_SHARE, text: "the server offers no shares to this user" },
  [-6004]: { ...WRONG_CREDENTIALS, text: "the server lets no guests in" },
  [-6005]: unreachable("the server closed the connection"),
  [-6600]: other("macOS's NetAuth failed inside"),
  [-6602]: other("the mount failed"),
  // NT status 0xC0000225 and 0xC00000CC reach us unchanged from the SMB client.
  [-1073741275]: NO_SUCH_SHARE,
  [-1073741620]: NO_SUCH_SHARE,
};

const OSASCRIPT: Readonly<Record<number, NetfsMeaning>> = {
  [-36]: unreachable("the server gave no answer"),
  [-43]: NO_SUCH_SHARE,
  [-128]: { ...CANCELLED, text: "the dialog was dismissed" },
  [-1712]: TIMED_OUT,
  [-1743]: {
    reason: "permission_denied",
    text: "macOS does not let this program send Apple events",
    hint: "System Settings → Privacy & Security → Automation",
  },
  [-5000]: { reason: "permission_denied", text: "access is denied", hint: null },
  [-5014]: other("it failed; the share may be mounted already under another name"),
  [-5016]: unreachable("there is no such server"),
  [-5017]: { reason: "path_taken", text: "it is mounted already", hint: null },
  [-5018]: NO_SUCH_SHARE,
  [-5023]: WRONG_CREDENTIALS,
};

/** The meaning of a NetFS status other than 0. */
export function meaningOfNetfs(status: number): NetfsMeaning {
  return NETFS[status] ?? other("macOS could not mount it");
}

/** The meaning of the number at the end of osascript's stderr: `… (-5023)`. */
export function meaningOfOsascript(stderr: string): NetfsMeaning & { readonly status: number | null } {
  const found = /\((-?\d+)\)\s*$/.exec(stderr);
  const status = found === null ? null : Number(found[1]);
  const meaning = status === null ? undefined : (OSASCRIPT[status] ?? NETFS[status]);
  return { ...(meaning ?? other("osascript could not mount it")), status };
}

/** What mount_smbfs's exit and last line mean. */
export function meaningOfMountSmbfs(exitCode: number | null, stderr: string): NetfsMeaning {
  if (/File exists/i.test(stderr)) return meaningOfNetfs(ALREADY_MOUNTED);
  if (exitCode === 77 || /Authentication error|server rejected the (connection|authentication)/i.test(stderr))
    return WRONG_CREDENTIALS;
  if (/Connection refused/i.test(stderr)) return meaningOfNetfs(61);
  if (/No route to host/i.test(stderr)) return meaningOfNetfs(65);
  if (/Host is down/i.test(stderr)) return meaningOfNetfs(64);
  if (/timed out/i.test(stderr)) return TIMED_OUT;
  if (/Network is (down|unreachable)/i.test(stderr)) return meaningOfNetfs(50);
  if (/Permission denied/i.test(stderr)) return meaningOfNetfs(13);
  if (/Operation not permitted/i.test(stderr)) return meaningOfNetfs(1);
  if (/Resource busy/i.test(stderr)) return meaningOfNetfs(16);
  if (/share connection failed|No such file or directory/i.test(stderr)) return NO_SUCH_SHARE;
  if (exitCode === 68) return unreachable("the server could not be reached");
  if (exitCode === 71) return other("the mount point cannot be used");
  return other("mount_smbfs could not mount it");
}
