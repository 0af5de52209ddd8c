// The basic parts of labels: a text with its tone, routes, durations. Pure.
import { durationText } from "../../runtime/text/plain-text.ts";
import type { Condition } from "../contract/contract.ts";

/** How good or bad the news of a text is. Each user interface has a sign and a colour for it. */
export type Tone = "good" | "plain" | "warning" | "bad";

/** The text may contain foreign names: pass it through `printable` before you show it. */
export interface Label {
  readonly text: string;
  readonly tone: Tone;
}

/**
 * Subject and text, as in `CORE: mounted`. If the text begins with `backend` and the subject, that beginning is left
 * out.
 */
export function wholeText({ about, text }: { readonly about: string | null; readonly text: string }): string {
  return about === null ? text : `${about}: ${withoutName(text, about)}`;
}

/** Removes a leading `backend NAME: `, for places that show the name already. */
export function withoutName(text: string, name: string): string {
  const lead = `server ${name}`;
  const [, rest = text] = text.startsWith(lead) ? (/^:? (.*)$/s.exec(text.slice(lead.length)) ?? []) : [];
  return rest;
}

export interface StateLabel extends Label {
  /** The first problem; null: none. */
  readonly why: string | null;
}

const LINK_NAMES = new Map<unknown, string>([
  ["thunderbolt", "Thunderbolt"],
  ["wired", "Ethernet"],
  ["wifi", "Wi-Fi"],
  ["tunnel", "Tunnel"],
]);

/** The route within a sentence. `link`: the kind of the preferred route's link. Accepts unknown routes. */
export function routeLabel(route: unknown, link?: unknown): string {
  if (route === "tb") return LINK_NAMES.get(link) ?? "the preferred route";
  if (route === "fallback") return "Fallback";
  return route === "none" ? "no route" : typeof route === "string" ? route : "another route";
}

export const SEVERITY_TONES = { info: "plain", warning: "warning", error: "bad" } as const satisfies Readonly<
  Record<Condition["severity"], Tone>
>;

export const WAITING_CODE = "waiting_for_approval";

/** The conditions that are warnings or errors, the worst first. */
export function troublesOf(conditions: readonly Condition[]): readonly Condition[] {
  return worstConditionFirst(conditions).filter(({ severity }) => severity !== "info");
}

export function worstConditionFirst(conditions: readonly Condition[]): readonly Condition[] {
  return worstFirst(conditions, ({ severity }) => SEVERITY_TONES[severity]);
}

/** The order of every list of troubles: the worst first, equal ones as given. */
export function worstFirst<Item>(items: readonly Item[], toneOf: (item: Item) => Tone): readonly Item[] {
  return items.toSorted((one, other) => TONE_RANKS[toneOf(one)] - TONE_RANKS[toneOf(other)]);
}

const TONE_RANKS: Readonly<Record<Tone, number>> = { bad: 0, warning: 1, plain: 2, good: 3 };

export function worseTone(one: Tone, other: Tone): Tone {
  return TONE_RANKS[one] < TONE_RANKS[other] ? one : other;
}

/** "5 min" since an ISO time; null if the time is not known or in the future. */
export function sinceText(iso: string | null, nowMs: number): string | null {
  const ms = iso === null ? Number.NaN : nowMs - Date.parse(iso);
  return ms >= 0 ? durationText(ms) : null;
}

/** "3.2 ms", "1.2 s". */
export function msText(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
