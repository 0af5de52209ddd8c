// Byte rates and recent calls of each connection, from the daemon's counters. Pure.
import type { FlowEvent } from "../../../api/contract/contract.ts";

/** How long a call is drawn, ms. If no counters arrive for twice this time, rates count as 0. */
export const PASSES_MS = 1000;

export interface Flow {
  readonly atMs: number;
  readonly event: FlowEvent;
  /** Bytes a second in both directions, by share. */
  readonly rates: ReadonlyMap<string, number>;
  /** When the page learned of recent calls, newest last. The keys are `client NAME` or `server NAME`. */
  readonly passing: ReadonlyMap<string, readonly number[]>;
}

/** `nowMs`: when the page received the event. */
export function flowAfter(last: Flow | null, event: FlowEvent, nowMs: number): Flow {
  if (last === null) return { atMs: nowMs, event, rates: new Map(), passing: new Map() };
  const seconds = Math.max(0.2, (nowMs - last.atMs) / 1000);
  const before = totals(last.event);
  const grown = (name: string, total: number): number => total - (before.get(name) ?? total);
  const now = totals(event);
  const rates = event.shares.map(({ name }) => {
    const bytes = grown(`share ${name}`, now.get(`share ${name}`) ?? 0);
    // The new rate is averaged with the previous one, so that the figure does not jump.
    const rate = Math.max(0, bytes) / seconds;
    return [name, last.rates.has(name) ? (rateOf(last, name, nowMs) + rate) / 2 : rate] as const;
  });
  const passing = new Map<string, readonly number[]>();
  for (const [edge, total] of now) {
    const young = (last.passing.get(edge) ?? []).filter((atMs) => nowMs - atMs < PASSES_MS);
    const all = !edge.startsWith("share") && grown(edge, total) > 0 ? [...young, nowMs] : young;
    if (all.length > 0) passing.set(edge, all);
  }
  return { atMs: nowMs, event, rates: new Map(rates), passing };
}

/** Bytes a second; 0 if the counters are no longer current. */
export function rateOf(flow: Flow | null, share: string, nowMs: number): number {
  if (flow === null || nowMs - flow.atMs > 2 * PASSES_MS) return 0;
  return flow.rates.get(share) ?? 0;
}

function totals({ shares, backends, clients }: FlowEvent): ReadonlyMap<string, number> {
  return new Map([
    ...shares.map((share) => [`share ${share.name}`, share.to_server + share.from_server] as const),
    ...backends.map(({ name, calls }) => [`server ${name}`, calls] as const),
    ...clients.map(({ name, calls }) => [`client ${name}`, calls] as const),
  ]);
}
