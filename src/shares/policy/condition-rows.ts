// The lasting problems that a share can have, in words.
import { conditionRows, type FoundCondition } from "../../runtime/conditions/conditions.ts";
import { pluralize, shellCommand } from "../../runtime/text/plain-text.ts";
import { missingHint, oneMissingText } from "../../secrets/reference.ts";
import type { OpenFile } from "../prober/prober.ts";
import type { RouteName, ShareSpec } from "../share-spec.ts";

export const SMB1_HINT =
  "Enable SMB 2 or newer on the server (Samba: `server max protocol = SMB3`; a NAS: its settings of SMB, or newer firmware).";

const passwordMissing = (variable: string) =>
  [`The password is missing: ${oneMissingText(variable)}`, missingHint([variable])] as const;

const mismatched = (path: string, source: string, reason: string) =>
  [
    `Mounted at ${path} from ${source}, but ${reason}`,
    "It remounts over the best route once all files are closed.",
  ] as const;

export const SHARE_CONDITIONS = {
  ...conditionRows("error", {
    secret_missing: passwordMissing,
    variable_missing: passwordMissing,
    smb1_only: (route: RouteName, text: string) => [text, SMB1_HINT, route],
    driver_unavailable: (isMounted: boolean, text: string, hint: string) => [
      text,
      isMounted ? `${hint}; until then the current mount stays while it responds` : hint,
    ],
    other_home: (spec: Pick<ShareSpec, "mountPath">, home: string) => [
      managedBy(spec, home),
      "Give one of the two homes another mount_root, or stop the other's daemon; until then Mountaineer changes nothing.",
    ],
    path_taken: (path: string, source: string) => [
      `${path} is taken by ${source}`,
      "Unmount it, or choose another name or mount_root; Mountaineer does not touch it.",
    ],
    link_blocked: (by: string, isUnseen: boolean) => [
      `The stable link does not point to the mount: ${by}`,
      isUnseen
        ? "It is rechecked automatically. Check that the disk with `shares_root` answers and that you may read it."
        : "Correct that, then run `mountaineer reconcile`.",
    ],
    login_refused: (title: string, hint: string) => [title, hint],
  }),
  ...conditionRows("warning", {
    lock_lost: (path: string, program: string) => [
      `${program || "A program"} may have lost its lock of ${path} while the server was away`,
      "It got an error (EIO). Check the file: another machine may have changed it. This ends after an hour.",
    ],
    duplicate_mount: (path: string, source: string) => [
      `The same share is also mounted at ${path} from ${source}`,
      "Mountaineer does not touch it; unmount it so that programs use one path.",
      path,
    ],
    routes_same_address: (address: string) => [
      `Both routes lead to ${address}`,
      "Give thunderbolt_host the address that the server has on the faster cable.",
    ],
    files_set_aside: (folders: string) => [
      `Files of this share that are not on the server are set aside in ${folders}`,
      "Copy what is needed to the share, then delete the folder.",
    ],
    recovery_failed: (reason: string | null) => [
      `The preferred route answers, but the move back to it failed${reason === null ? "" : `: ${reason}`}`,
      "It is retried at increasing intervals; `mountaineer switch --to tb` tries now.",
    ],
    connections_limited: (most: number) => [
      `The server takes no more than ${pluralize(most, "connection")} from this machine`,
      "The mount shares one for everything. Raise the limit on the server (Samba: `max connections` of the share).",
    ],
    different_servers: (text: string) => [
      `A different server answers: ${text}`,
      "The share is not mounted from it. Check thunderbolt_host and fallback_host.",
    ],
    server_unproved: (text: string) => [
      `Can't confirm that both addresses are the same NAS: ${text}`,
      "Until then, the share is remounted over either when its route changes.",
    ],
    waiting_for_route: (phase: keyof typeof WAITING, missing: string | null = null) => [
      missing === null ? WAITING[phase] : `Programs that use the share wait: ${missing}`,
      missing === null
        ? "Open files stay open; no action needed."
        : "Set share_name to the name that the share has on the server, or share it there again.",
    ],
    did_not_wake: () => [
      "The NAS did not wake: three packets were sent, and it did not answer within a minute",
      "Is it on, and is Wake-on-LAN allowed there? `mountaineer wake` tries again.",
    ],
    host_unproved: (host: string, why: string, address: string) => [
      `${host} is not proved to be the server that is mounted: ${why}`,
      `Open files stay on ${address} while it answers. If the host is wrong, set it back.`,
    ],
    route_slow: (host: string, text: string) => [
      `${host} does not answer probes (${text}), but the mount does`,
      "The mount stays while it answers. If the server is always this slow, give connect_timeout_ms a larger value.",
    ],
    unknown_route: mismatched,
    path_changed: mismatched,
    mount_outdated: () => [
      "Mounted with outdated settings: its configuration or Mountaineer has changed since",
      "It remounts once all files are closed.",
    ],
    mount_denied: (path: string, errno: string) => [
      `The mount at ${path} answers ${errno}: reading it is not permitted`,
      "Check the rights of this user on the share; on macOS allow access to network volumes in Privacy & Security.",
    ],
    waiting_for_permission: (path: string) => [
      `The mount at ${path} does not answer: macOS may be waiting for your permission`,
      "Answer the dialog that asks for access to network volumes. If there is none: `mountaineer unmount --force`, then `mountaineer mount`.",
    ],
    program_silent: (mountHangMs: number) => [
      `Neither the mount nor its program has answered for ${mountHangMs / 1000} s`,
      "Programs that use the share wait. It is replaced once nothing is open; `mountaineer unmount --force`, then `mountaineer mount` cuts them off.",
    ],
    mount_slow: (mountHangMs: number) => [
      "The mount does not answer",
      `It is treated as dead after ${mountHangMs / 1000} s (mount_hang_secs).`,
    ],
  }),
  ...conditionRows("info", {
    // One line of a menu, 90 columns.
    share_empty: () => [
      "The share has no files, so its NAS can't be recognized after an outage",
      "This ends when the share has a file.",
    ],
    cable_uncertain: (device: string | null, why: string) => [
      `Traffic may not leave ${device === null ? "by the preferred cable" : `over ${device}`}: ${why}`,
      "Use a separate network on the cable, on both ends.",
    ],
    changes_unheard: (name: string, folders: readonly string[], missing: string) => [
      missing === ""
        ? `Programs watch more folders of ${name} than can be heard: nothing reports other machines' changes in ${folders[0]}`
        : `Programs that watch ${name} hear nothing of other machines' changes: its server ${missing}`,
      missing === ""
        ? "Name a folder above them in the share's key `watch`."
        : "Many of these programs have a setting for polling.",
    ],
    off_network: (why: string) => [
      `Paused: ${why}`,
      "Nothing is sent to its hosts, and programs get errors at once, until this machine is on a network in `only_on`.",
    ],
    tb_ready: (name: string, openFiles: string) => [
      `The preferred route is ready${openFiles}`,
      shellCommand`mountaineer switch --share ${name} --to tb`,
    ],
    waiting_for_close: (title: string) => [
      title,
      "Close them, or cut them off: `mountaineer unmount --force`, then `mountaineer mount`.",
    ],
    waking: () => [
      "The NAS is being woken, as a program or a person needs the share",
      "Programs that use the share wait until it answers.",
    ],
  }),
};

export type ShareConditionName = keyof typeof SHARE_CONDITIONS;

export type ConditionDraft = FoundCondition<ShareConditionName> & {
  readonly holders?: readonly OpenFile[];
};

const WAITING = {
  over: "No route for longer than outage_patience_secs: programs get errors until one is back",
  waiting: "No route answers: programs that use the share wait",
} as const;

export function managedBy({ mountPath }: Pick<ShareSpec, "mountPath">, home: string): string {
  return `${mountPath} is managed by the daemon of ${home}`;
}
