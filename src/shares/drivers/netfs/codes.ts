// The error numbers of NetFS (errnos, and NetAuth's), and what each means.
import type { FailureMeaning } from "../mount-failure.ts";

/** EEXIST: something is mounted already, which is success if it is that share. */
export const ALREADY_MOUNTED = 17;

const KEYCHAIN_HINT = "give the share a password, or connect once in Finder and let it remember the password";
const LOCAL_NETWORK_HINT =
  "when other programs reach it: System Settings → Privacy & Security → Local Network, allow mountaineer";

const WRONG_CREDENTIALS: FailureMeaning = {
  reason: "wrong_credentials",
  text: "the user or the password is wrong",
  hint: KEYCHAIN_HINT,
};
const NO_SUCH_SHARE: FailureMeaning = {
  reason: "no_such_share",
  text: "the server has no such share",
  hint: "look at share_name: what the server calls it",
};
const CANCELLED: FailureMeaning = { reason: "other", text: "it was cancelled", hint: null };
const TIMED_OUT: FailureMeaning = {
  reason: "timed_out",
  text: "the server gave no answer in time",
  hint: null,
};
const unreachable = (text: string, hint: string | null = null): FailureMeaning => ({
  reason: "unreachable",
  text,
  hint,
});
const other = (text: string, hint: string | null = null): FailureMeaning => ({ reason: "other", text, hint });

const NETFS: Readonly<Record<number, FailureMeaning>> = {
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

/** The meaning of a NetFS status other than 0. */
export function meaningOfNetfs(status: number): FailureMeaning {
  return NETFS[status] ?? other("macOS could not mount it");
}
