// The lasting problems of the daemon, its home and its configuration, in words; and the names of all conditions.
import type { SERVERS_WAIT } from "../../api/labels/merge-troubles.ts";
import { CUT_SHORT_HINT } from "../../config/history/suspect-file.ts";
import type { FLEET_CONDITIONS } from "../../fleet/conditions/condition-rows.ts";
import type { BACKEND_CONDITIONS } from "../../gateway/backends/policy/condition-rows.ts";
import type { GATEWAY_CONDITIONS } from "../../gateway/serving/condition-rows.ts";
import {
  conditionRows,
  type FoundCondition,
  type LastingCondition,
} from "../../runtime/conditions/conditions.ts";
import { pluralize, shellCommand } from "../../runtime/text/plain-text.ts";
import type { ALIAS_CONDITIONS } from "../../shares/links/alias-links.ts";
import type { SHARE_CONDITIONS } from "../../shares/policy/condition-rows.ts";

const configUnused = (reason: string, isWatched: boolean) =>
  [
    `The configuration file is not in use: ${reason}`,
    `The last accepted configuration keeps running. ${isWatched ? "Correct the file, and it applies." : "Correct the file, then: mountaineer reload"}`,
  ] as const;

export const DAEMON_CONDITIONS = {
  ...conditionRows("error", {
    config_cut_short: (reason: string, _isWatched: boolean) => [
      `The configuration file is not in use: ${reason}`,
      CUT_SHORT_HINT,
    ],
    config_unreadable: configUnused,
    config_rejected: configUnused,
    config_failed: configUnused,
    internal_error: (what: string, reason: string) => [
      `The status of ${what} cannot be read: ${reason}`,
      "This is a fault in Mountaineer. The log has its stack: mountaineer logs. Report it, and then: mountaineer restart",
    ],
  }),
  ...conditionRows("warning", {
    /** A setting that is allowed, but probably an error. */
    config: (path: string, text: string, hint: string | null) => [`${path}: ${text}`, hint, path],
    home_moved: (moved: string) => [moved, "It is stopped; `mountaineer up` asks before it starts."],
    config_missing: (path: string) => [
      `${path} is not there; the configuration that was loaded from it keeps running`,
      "mountaineer config rollback 0",
    ],
    config_second: (path: string, other: string) => [
      `${other} is next to ${path}, which is used; the next start would refuse both`,
      "Keep one of them.",
      other,
    ],
    sync_stopped: () => [
      "The configuration file is no longer watched, because a reload failed",
      "Correct the file, then: mountaineer reload",
    ],
    sync_degraded: (reason: string) => [`The configuration file is polled: ${reason}`, null],
    waiting_for_approval: (id: string, summary: string) => [
      `Waits for approval: ${summary}`,
      shellCommand`mountaineer approve ${id}`,
    ],
    approvals_lost: (reason: string, isLocked: boolean) => [
      `No approval is known: ${reason}`,
      isLocked
        ? "unlock the keyring, which is asked again every 30 s; docs/reference/security.md says how to go without one"
        : "see what waits, then: mountaineer approve --all",
    ],
    approvals_not_saved: (reason: string) => [
      `The approvals cannot be saved: ${reason}`,
      "until they can, the next start asks again",
    ],
    readable_by_others: (path: string, text: string, hint: string) => [text, hint, path],
    secret_file_unread: (reason: string) => [
      `A secret in a file cannot be read: ${reason}`,
      "Its last value is used; the file is read again every 30 s.",
    ],
    program_changed: (file: string, others: number) => [
      `${file}${others === 0 ? "" : ` (and ${pluralize(others, "more file")})`} is not the file that this daemon started with, so it is not run`,
      "A program that can write the home has changed it. Find out which, and then: mountaineer restart",
    ],
    program_not_kept: (reason: string) => [
      `The home has no copy of the running program: ${reason}`,
      "An upgrade may break this daemon until it is restarted. Free space, and then: mountaineer restart",
    ],
    home_copied: (from: string) => [
      `This home was copied by hand from ${from}`,
      "Both have the same sessions, sign-ins and grants. To move or copy a home: mountaineer backup FILE --stop, then in an empty home: mountaineer backup restore FILE",
    ],
    state_not_saved: (reason: string) => [
      `state.json cannot be written: ${reason}`,
      "Mounts keep working; Mountaineer writes the file as soon as it can.",
    ],
    history_not_saved: (reason: string) => [
      `The running configuration cannot be written to its history: ${reason}`,
      "Mountaineer keeps it in memory; `mountaineer config history` tries to write it again.",
    ],
    network_polling: () => [
      "Network changes are detected by polling every 2 s",
      "The system's own events are not available; see the log.",
    ],
    notify_unavailable: (reason: string, hint: string) => [`Notifications cannot be shown: ${reason}`, hint],
  }),
  ...conditionRows("info", {
    left_mounted: (name: string, path: string) => [
      `${name} is no longer configured; still mounted at ${path}`,
      shellCommand`mountaineer unmount --share ${name}`,
      name,
    ],
  }),
};

/** The names of all conditions that a status shows; `scripts/docs/conditions.ts` explains each. */
export type ConditionName =
  | keyof typeof DAEMON_CONDITIONS
  | keyof typeof ALIAS_CONDITIONS
  | keyof typeof BACKEND_CONDITIONS
  | keyof typeof FLEET_CONDITIONS
  | keyof typeof GATEWAY_CONDITIONS
  | typeof SERVERS_WAIT
  | keyof typeof SHARE_CONDITIONS;

/** Of the daemon itself, its home and its configuration. */
export type DaemonCondition = FoundCondition<keyof typeof DAEMON_CONDITIONS>;

export type KnownCondition = LastingCondition<ConditionName>;
