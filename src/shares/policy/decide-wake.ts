// Whether to wake a sleeping NAS: only if a person or a program asks for the share. Each demand sends three packets.
import { ROUTE_NAMES } from "../share-spec.ts";
import { type DecisionBuilder, recheckAt, setMemory, setState } from "./decision-builder.ts";
import type { Step } from "./step.ts";

/** When the packets are sent, ms after the demand; several, because one may be lost. */
export const PACKETS_AT_MS = [0, 2_000, 6_000];
/** Time that a NAS may take to start, ms. */
export const WAKES_WITHIN_MS = 60_000;
const CHECK_MS = 1_000;
/**
 * Requests of programs that follow each other within this time, ms, count as one demand. Longer than 5 min, after
 * which rclone repeats an upload.
 */
const QUIET_MS = 360_000;
/** Maximum number of remembered addresses: one for each route. */
const ADDRESSES_AT_MOST = 2;

/** Remembers the hardware addresses of hosts that answer, as `aa:bb:cc:dd:ee:ff@10.0.0.2`. */
export function updateWakeAddresses(builder: DecisionBuilder): void {
  const { observed, memory } = builder;
  const { hardware = [] } = observed;
  const known = memory.wakeAddresses ?? [];
  const addressOf = (text: string): string => text.split("@")[1] ?? "";
  const others = known.filter((one) => !hardware.some((now) => addressOf(now) === addressOf(one)));
  const next = [...hardware, ...others].slice(0, ADDRESSES_AT_MOST).sort();
  if (next.join() !== known.join()) setMemory(builder, { wakeAddresses: next });
}

/**
 * Notes whether a person or a program asks for the share. Then starts, continues or ends the waking of the share's
 * NAS. Call it once for each look.
 */
export function updateWake(builder: DecisionBuilder): void {
  const { observed, policy, request } = builder;
  const { atMs } = observed;
  const { waking, wakeRequestedBy } = builder.state;
  const isRequested = request !== null && request.kind !== "unmount" && request !== wakeRequestedBy;
  if (isRequested) setState(builder, { wakeRequestedBy: request });
  const why = wakeObstacle(builder);
  if (why !== null || (policy.wake !== "auto" && request?.kind !== "wake" && waking === null)) {
    if (waking !== null) setState(builder, { waking: null });
    return;
  }
  if (isRequested || observed.wanted === true) {
    const isNew = waking === null || (waking.isOver && (isRequested || atMs - waking.wantedAtMs >= QUIET_MS));
    const next = isNew ? { sinceMs: atMs, sent: 0, isOver: false } : waking;
    setState(builder, { waking: { ...next, wantedAtMs: atMs } });
  }
  const now = builder.state.waking;
  if (now === null || now.isOver) return;
  if (atMs - now.sinceMs >= WAKES_WITHIN_MS) setState(builder, { waking: { ...now, isOver: true } });
  else {
    const dueMs = now.sinceMs + (PACKETS_AT_MS[now.sent] ?? WAKES_WITHIN_MS);
    recheckAt(builder, Math.min(Math.max(dueMs, atMs + 1), atMs + CHECK_MS), "retry");
  }
}

export function wakeStep(builder: DecisionBuilder): Step | null {
  const { waking } = builder.state;
  if (waking === null || waking.isOver) return null;
  const dueMs = PACKETS_AT_MS[waking.sent];
  if (dueMs === undefined || builder.observed.atMs < waking.sinceMs + dueMs) return null;
  setState(builder, { waking: { ...waking, sent: waking.sent + 1 } });
  return { kind: "wake", addresses: builder.memory.wakeAddresses ?? [] };
}

export function isWaking({ state: { waking } }: DecisionBuilder): boolean {
  return waking !== null && !waking.isOver;
}

export function wakeConditions({ state: { waking }, conditions }: DecisionBuilder): void {
  if (waking === null) return;
  conditions.push(
    waking.isOver
      ? {
          code: "did_not_wake",
          severity: "warning",
          title: "The NAS did not wake: three packets were sent, and it did not answer within a minute",
          hint: "Is it on, and is Wake-on-LAN allowed there? `mountaineer wake` tries again.",
        }
      : {
          code: "waking",
          severity: "info",
          title: "The NAS is being woken, as a program or a person needs the share",
          hint: "Programs that use the share wait until it answers.",
        },
  );
}

/** Why the NAS is not woken: it is awake, or cannot be reached; null: it may be woken. */
export function wakeObstacle({ observed, memory }: DecisionBuilder): string | null {
  const { offNetwork } = observed;
  const probes = ROUTE_NAMES.map((route) => observed.configured[route].probe);
  const awake = probes.find(
    ({ verdict, tcpAnswered, reason }) => verdict === "answers" || tcpAnswered || reason === "refused",
  );
  if (awake !== undefined) return `it is awake: ${awake.text}`;
  if (offNetwork !== null) return `off network: ${offNetwork}`;
  if ((memory.wakeAddresses ?? []).length === 0)
    return "its hardware address is not known: Mountaineer records it while the NAS answers on a link that it shares with this machine";
  const isOnLink = probes.some(
    ({ interfaceName, reason }) => interfaceName !== null && reason !== "link_down",
  );
  return isOnLink ? null : "no link of this machine leads to it";
}
