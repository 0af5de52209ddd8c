// Owns the working copy of one decision: what the rules read, and what they have concluded so far.
import type { Wake } from "../../reconcile/lane.ts";
import type { ShareMemory } from "../../reconcile/memory.ts";
import type { OpenFile } from "../prober/prober.ts";
import type { RouteName, SharePolicy, ShareSpec } from "../share-spec.ts";
import type { Episode } from "./episode.ts";
import type { RequestOutcome, ShareRequest } from "./share-request.ts";
import type { ShareSeen } from "./share-seen.ts";
import type { TransitionDraft } from "./share-transitions.ts";

export interface DecideInput {
  readonly spec: ShareSpec;
  readonly policy: SharePolicy;
  /** A readdir sooner than this after the last one proves nothing, ms. */
  readonly cacheMs: number;
  /** Silence may be a dialog of the system that waits for a person; absent: no. */
  readonly mayWaitForPermission?: boolean;
  readonly seen: ShareSeen;
  readonly memory: ShareMemory;
  readonly episode: Episode;
  readonly request: ShareRequest | null;
}

export interface ConditionDraft {
  readonly code: string;
  readonly severity: "info" | "warning" | "error";
  readonly title: string;
  readonly hint: string | null;
  readonly holders?: readonly OpenFile[];
}

export interface Draft extends DecideInput {
  memory: ShareMemory;
  episode: Episode;
  outcome: RequestOutcome | null;
  readonly transitions: TransitionDraft[];
  readonly conditions: ConditionDraft[];
  readonly wakes: Wake[];
}

export function createDraft(input: DecideInput): Draft {
  return { ...input, outcome: null, transitions: [], conditions: [], wakes: [] };
}

export function answers(draft: Draft, route: RouteName): boolean {
  return draft.seen.routes[route].probe.verdict === "answers";
}

/** How a route's host is called in messages. */
export function hostOf(draft: Draft, route: RouteName): string {
  const { host, port, folder } = draft.spec.routes[route];
  if (host === null) return folder ?? route;
  return port === 445 ? host : `${host}:${port}`;
}

export function setEpisode(draft: Draft, change: Partial<Episode>): void {
  draft.episode = { ...draft.episode, ...change };
}

export function setMemory(draft: Draft, change: Partial<ShareMemory>): void {
  draft.memory = { ...draft.memory, ...change };
}

export function setError(draft: Draft, reason: string): void {
  if (draft.memory.lastError === reason) return;
  setMemory(draft, { lastError: reason });
  draft.transitions.push({ name: "share.error", reason });
}

export function clearError(draft: Draft, reason: string): void {
  if (draft.memory.lastError === null) return;
  setMemory(draft, { lastError: null });
  draft.transitions.push({ name: "share.error_cleared", reason });
}

export function setHeld(draft: Draft, held: ShareMemory["held"]): void {
  const before = draft.memory.held;
  if (before === held) return;
  setMemory(draft, { held });
  draft.transitions.push({ name: "share.held", from: before ?? "auto", to: held ?? "auto" });
  if (held === null) setEpisode(draft, { tableReadWith: null });
  else clearPending(draft, `held ${held}`);
}

export function clearPending(draft: Draft, reason: string): void {
  setEpisode(draft, { tableReadWith: null });
  if (!draft.memory.tbRecoveryPending) return;
  setMemory(draft, { tbRecoveryPending: false });
  draft.transitions.push({ name: "share.tb_ready_cleared", reason });
}
