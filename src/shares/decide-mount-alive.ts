// Owns whether a mount lives, from what looks at it found. No verdict that costs open files rests on one look.
import { CONFIRM_AFTER_MS } from "../reconcile/route-health.ts";
import { isDeadErrno, SILENT_LOOK_MS } from "./decide-routes.ts";
import { type Draft, setEpisode } from "./draft.ts";
import type { MountSeen } from "./share-seen.ts";

export type MountVerdict =
  | { readonly state: "alive" }
  /** Not known yet; a wake is set where one is due. */
  | { readonly state: "unproven" }
  | { readonly state: "dead"; readonly reason: string };

const UNPROVEN: MountVerdict = { state: "unproven" };

export function judgeMount(draft: Draft, { found, look }: MountSeen): MountVerdict {
  if (found.processGone) return { state: "dead", reason: "the mount's process is gone" };
  switch (look.state) {
    case "never":
      return UNPROVEN;
    case "pending":
      return judgePending(draft, look.startedAtMs);
    case "answered": {
      if (look.errno === "ENOTCONN") return { state: "dead", reason: "ENOTCONN" };
      if (isDeadErrno(look.errno)) return judgeFailed(draft, found.id, look.errno ?? "", look.startedAtMs);
      if (draft.episode.deadLook !== null) setEpisode(draft, { deadLook: null });
      if (look.errno !== null) {
        draft.conditions.push({
          code: "mount_denied",
          severity: "warning",
          title: `The mount at ${found.path} answers ${look.errno}: reading it is not permitted`,
          hint: "Check the rights of this user on the share; on macOS allow access to network volumes in Privacy & Security.",
        });
      }
      return { state: "alive" };
    }
  }
}

function judgePending(draft: Draft, startedAtMs: number): MountVerdict {
  const waited = draft.seen.atMs - startedAtMs;
  const { mountHangMs } = draft.policy;
  if (waited >= mountHangMs) return { state: "dead", reason: `no answer for ${mountHangMs / 1000} s` };
  draft.wakes.push({ atMs: startedAtMs + mountHangMs, reason: "confirm" });
  if (waited >= SILENT_LOOK_MS) {
    draft.conditions.push({
      code: "mount_slow",
      severity: "warning",
      title: `The mount has not answered for ${Math.floor(waited / 1000)} s`,
      hint: `It is taken for dead after ${mountHangMs / 1000} s (mount_hang_secs).`,
    });
  }
  return UNPROVEN;
}

function judgeFailed(draft: Draft, mountId: string, errno: string, startedAtMs: number): MountVerdict {
  const first = draft.episode.deadLook;
  if (first === null || first.mountId !== mountId) {
    setEpisode(draft, { deadLook: { mountId, errno, startedAtMs } });
    draft.wakes.push({ atMs: startedAtMs + CONFIRM_AFTER_MS, reason: "confirm" });
    return UNPROVEN;
  }
  const confirmAtMs = first.startedAtMs + CONFIRM_AFTER_MS;
  if (startedAtMs >= confirmAtMs) return { state: "dead", reason: errno };
  draft.wakes.push({ atMs: confirmAtMs, reason: "confirm" });
  return UNPROVEN;
}
