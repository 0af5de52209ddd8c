// What passes on each edge, of the counters that the daemon tells: how fast now, and which calls just went by. Pure.
import type { FlowEvent } from "../../../api/contract.ts";

/** A call is seen on its way so long; a rate is over so much. */
export const PASSES_MS = 1000;

export interface Flow {
  readonly atMs: number;
  readonly event: FlowEvent;
  /** By share, bytes a second in both directions. */
  readonly rates: ReadonlyMap<string, number>;
  /** By edge, `client NAME` or `server NAME`: when calls were told of, the newest last. */
  readonly passing: ReadonlyMap<string, readonly number[]>;
}

/** `nowMs`: when the page heard of it. */
export function flowAfter(last: Flow | null, event: FlowEvent, nowMs: number): Flow {
  if (last === null) return { atMs: nowMs, event, rates: new Map(), passing: new Map() };
  const seconds = Math.max(0.2, (nowMs - last.atMs) / 1000);
  const before = totals(last.event);
  const grown = (name: string, total: number): number => total - (before.get(name) ?? total);
  const now = totals(event);
  const rates = event.shares.map(({ name }) => {
    const bytes = grown(`share ${name}`, now.get(`share ${name}`) ?? 0);
    // Half of the rate before it, so that the figure can be read.
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

/** 0 once nothing more was told for a moment: then nothing passes. */
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
