// The error numbers of NetFS (errnos, and NetAuth's), and what each means.
import { LOCAL_NETWORK } from "../../../network/local-network-privacy.ts";
import { type Failed, type FailureRow, failedAs } from "../mount-failure.ts";

/** EEXIST: something is mounted already. That is a success if the wanted share is what is mounted. */
export const ALREADY_MOUNTED = 17;

const KEYCHAIN_HINT = "give the share a password, or connect once in Finder and let it remember the password";
const wrongCredentials = (text: string): FailureRow => ["wrong_credentials", text, KEYCHAIN_HINT];
const noSuchShare = (text = "the server has no such share"): FailureRow => [
  "no_such_share",
  text,
  "check share_name: it is the server's name for the share",
];

const NETFS: Readonly<Record<number, FailureRow>> = {
  1: ["permission_denied", "macOS does not permit it"],
  2: noSuchShare(),
  13: [
    "permission_denied",
    "the server does not let this user into the share",
    "check the share's permissions on the server, and username",
  ],
  16: ["path_taken", "the mount point is in use"],
  [ALREADY_MOUNTED]: [
    "path_taken",
    "it is mounted already, or both hosts are one address",
    "unmount the other mount of this share; give the two routes different addresses",
  ],
  50: ["unreachable", "the network is down"],
  51: ["unreachable", "the network cannot be reached", LOCAL_NETWORK.hint],
  60: ["timed_out", "the server gave no answer in time"],
  61: ["refused", "the server refused the connection"],
  62: ["other", "macOS does not mount from this machine itself"],
  64: ["unreachable", "the server is down"],
  65: ["unreachable", "there is no route to the server", LOCAL_NETWORK.hint],
  80: wrongCredentials("the user or the password is wrong"),
  [-128]: ["other", "it was cancelled"],
  [-5045]: wrongCredentials("the password must be changed first"),
  [-5046]: wrongCredentials("the password has expired"),
  [-5996]: ["other", "the server and macOS have no SMB version in common"],
  [-5997]: ["other", "the server and macOS have no login method in common"],
  [-5998]: noSuchShare("the server offers no shares"),
  [-5999]: ["permission_denied", "the server restricts this account"],
  [-6003]: noSuchShare("the server offers no shares to this user"),
  [-6004]: wrongCredentials("the server does not allow guests"),
  [-6005]: ["unreachable", "the server closed the connection"],
  [-6600]: ["other", "macOS's NetAuth failed internally"],
  [-6602]: ["other", "the mount failed"],
  // The SMB client passes these two NT statuses on unchanged: 0xC0000225 and 0xC00000CC.
  [-1073741275]: noSuchShare(),
  [-1073741620]: noSuchShare(),
};

export function failedByNetfs(status: number): Failed {
  return failedAs(NETFS[status] ?? ["other", "macOS could not mount it"], String(status));
}
