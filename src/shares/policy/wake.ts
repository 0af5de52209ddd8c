// Whether to wake a sleeping NAS: only if a person or a program asks for the share. Each demand sends three packets.
import { ROUTE_NAMES } from "../share-spec.ts";
import { type ConditionDraft, SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import { recheckAt, type Situation, setMemory, setState } from "./situation.ts";

/** When the packets are sent, ms after the demand; several, because one may be lost. */
export const PACKETS_AT_MS = [0, 2_000, 6_000];
/** Time that a NAS may take to start, ms. */
export const WAKES_WITHIN_MS = 60_000;
const CHECK_MS = 1_000;
/** Requests of programs that follow each other within this time, ms, count as one demand. */
const QUIET_MS = 360_000;
/** Maximum number of remembered addresses: one for each route. */
const ADDRESSES_AT_MOST = 2;

/** Remembers the hardware addresses of hosts that answer, as `aa:bb:cc:dd:ee:ff@10.0.0.2`. */
export function updateWakeAddresses(now: Situation): Situation {
  const { observed, memory } = now;
  const { hardware = [] } = observed;
  const known = memory.wakeAddresses ?? [];
  const addressOf = (text: string): string => text.split("@")[1] ?? "";
  const others = known.filter((one) => !hardware.some((latest) => addressOf(latest) === addressOf(one)));
  const wakeAddresses = [...hardware, ...others].slice(0, ADDRESSES_AT_MOST).sort();
  return wakeAddresses.join() === known.join() ? now : setMemory(now, { wakeAddresses });
}

/**
 * Notes whether a person or a program asks for the share. Then starts, continues or ends the waking of the share's
 * NAS. Call it once for each check.
 */
export function updateWake(before: Situation): Situation {
  const { policy, request } = before;
  const { atMs } = before.observed;
  const { wakeRequestedBy } = before.state;
  const isRequested = request !== null && request.kind !== "unmount" && request !== wakeRequestedBy;
  const now = isRequested ? setState(before, { wakeRequestedBy: request }) : before;
  const isMeant = policy.wake === "auto" || request?.kind === "wake" || now.state.waking !== null;
  const waking = wakeObstacle(now) === null && isMeant ? nextWaking(now, isRequested) : null;
  const next = setState(now, { waking });
  if (waking === null || waking.isOver) return next;
  const dueMs = waking.sinceMs + (PACKETS_AT_MS[waking.sent] ?? WAKES_WITHIN_MS);
  return recheckAt(next, Math.min(Math.max(dueMs, atMs + 1), atMs + CHECK_MS), "retry");
}

function nextWaking(
  { observed: { atMs, wanted = false }, state: { waking: before } }: DecideInput,
  isRequested: boolean,
): ReconcileState["waking"] {
  const isAgain = isRequested || (before !== null && atMs - before.wantedAtMs >= QUIET_MS);
  const isNew = before === null || (before.isOver && isAgain);
  const continued = isNew ? { sinceMs: atMs, sent: 0, isOver: false } : before;
  const waking = isRequested || wanted ? { ...continued, wantedAtMs: atMs } : before;
  const isOver = waking !== null && atMs - waking.sinceMs >= WAKES_WITHIN_MS;
  return isOver ? { ...waking, isOver } : waking;
}

/** Sends the next packet, if it is due. */
export function wakeStep(now: Situation): Situation {
  const { waking } = now.state;
  if (waking === null || waking.isOver) return now;
  const dueMs = PACKETS_AT_MS[waking.sent];
  if (dueMs === undefined || now.observed.atMs < waking.sinceMs + dueMs) return now;
  const next = setState(now, { waking: { ...waking, sent: waking.sent + 1 } });
  return { ...next, step: { kind: "wake", addresses: now.memory.wakeAddresses ?? [] } };
}

export function isWaking({ state: { waking } }: DecideInput): boolean {
  return waking !== null && !waking.isOver;
}

export function wakeConditions({ state: { waking } }: DecideInput): ConditionDraft[] {
  if (waking === null) return [];
  return [waking.isOver ? SHARE_CONDITIONS.did_not_wake() : SHARE_CONDITIONS.waking()];
}

/** Why the NAS is not woken: it is awake, or cannot be reached; null: it may be woken. */
export function wakeObstacle({ observed, memory }: DecideInput): string | null {
  const { offNetwork } = observed;
  const probes = ROUTE_NAMES.map((route) => observed.routes[route].probe);
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
