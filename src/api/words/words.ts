// What all words for people have in common: a text with its tone, the names of routes, how long something has lasted. Pure.
import { durationText } from "../../runtime/text/plain-text.ts";
import type { Condition, RouteName } from "../contract.ts";

/** How good or bad it is what a text says; each face has a sign and a colour for it. */
export type Tone = "good" | "plain" | "warning" | "bad";

/** Foreign names may be in the text: whoever shows it makes it harmless. */
export interface Words {
  readonly text: string;
  readonly tone: Tone;
}

/** With what it is about, once; null: the daemon. */
export function wholeText({ about, text }: { readonly about: string | null; readonly text: string }): string {
  return about === null ? text : `${about}: ${withoutName(text, about)}`;
}

/** For a place that names the backend already. */
export function withoutName(text: string, name: string): string {
  const lead = `backend ${name}`;
  const [, rest = text] = text.startsWith(lead) ? (/^:? (.*)$/s.exec(text.slice(lead.length)) ?? []) : [];
  return rest;
}

export interface StateWords extends Words {
  /** The first thing that stands against it; null: nothing. */
  readonly why: string | null;
}

export const ROUTE_LABELS: Readonly<Record<RouteName, string>> = { tb: "Thunderbolt", fallback: "Fallback" };

/** Also of a route that this version does not know. */
export function routeLabel(route: unknown): string {
  if (route === "tb" || route === "fallback") return ROUTE_LABELS[route];
  return route === "none" ? "no route" : typeof route === "string" ? route : "another route";
}

export const SEVERITY_TONES = { info: "plain", warning: "warning", error: "bad" } as const satisfies Readonly<
  Record<Condition["severity"], Tone>
>;

/** The code of the condition that an entry waits for approval. */
export const WAITING_CODE = "waiting_for_approval";

/** Those that a person should know of. */
export function troublesOf(conditions: readonly Condition[]): readonly Condition[] {
  return conditions.filter(({ severity }) => severity !== "info");
}

const RANKS: Readonly<Record<Tone, number>> = { bad: 0, warning: 1, plain: 2, good: 3 };

export function worseTone(one: Tone, other: Tone): Tone {
  return RANKS[one] < RANKS[other] ? one : other;
}

/** "5 min" since an ISO time; null where the time is not known, or the clocks differ. */
export function sinceText(iso: string | null, nowMs: number): string | null {
  const ms = iso === null ? Number.NaN : nowMs - Date.parse(iso);
  return ms >= 0 ? durationText(ms) : null;
}

/** "3.2 ms", "1.2 s". */
export function msText(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
