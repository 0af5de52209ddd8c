// What Activity shows: filters and a range of time, kept in the page's address but for the words searched for. Pure.
import type { AuditRequest } from "../../../api/contract/records.ts";

export const SHOWN = ["everything", "the log", "calls and audit"] as const;
export const LEVELS = ["debug", "info", "warn", "error"] as const;
export const RANGES = ["", "last hour", "today", "tonight", "yesterday", "from – to"] as const;
export const OUTCOMES = ["", "ok", "tool_error", "denied", "cancelled", "error", "refused"] as const;

export interface Filter {
  readonly text: string;
  readonly show: (typeof SHOWN)[number];
  readonly level: (typeof LEVELS)[number];
  readonly range: (typeof RANGES)[number];
  /** Local times such as `2026-01-31T12:00`, of the range "from – to"; "": no end. */
  readonly from: string;
  readonly to: string;
  readonly person: string;
  /** A server or share. */
  readonly on: string;
  readonly tool: string;
  readonly outcome: (typeof OUTCOMES)[number];
}

const EVERYTHING: Filter = {
  ...{ text: "", show: "everything", level: "info", range: "", from: "", to: "" },
  ...{ person: "", on: "", tool: "", outcome: "" },
};
const CHOICES = { show: SHOWN, level: LEVELS, range: RANGES, outcome: OUTCOMES } as const;

/** Reads `#/activity?range=tonight&on=files`; unknown values are left out. */
export function filterFrom(hash: string): Filter {
  const given = new URLSearchParams(hash.split("?")[1] ?? "");
  const known = Object.keys(EVERYTHING).flatMap((key) => {
    const value = given.get(key);
    const choices: readonly string[] | undefined = CHOICES[key as keyof typeof CHOICES];
    return key === "text" || value === null || choices?.includes(value) === false ? [] : [[key, value]];
  });
  return { ...EVERYTHING, ...Object.fromEntries(known) };
}

export function addressOf(filter: Filter): string {
  const parts = Object.entries(filter).filter(
    ([key, value]) => key !== "text" && value !== EVERYTHING[key as keyof Filter],
  );
  return `#/activity${parts.length === 0 ? "" : `?${new URLSearchParams(parts)}`}`;
}

/** What the audit is asked for. */
export function callsOf(filter: Filter, nowMs: number): AuditRequest {
  const { text, person, on, tool, outcome } = filter;
  return {
    ...(text === "" ? {} : { text }),
    ...(on === "" ? {} : { backend: on }),
    ...(person === "" ? {} : { principal: person }),
    ...(tool === "" ? {} : { tool }),
    ...(outcome === "" ? {} : { outcome }),
    ...timesOf(filter, nowMs),
  };
}

interface Times {
  /** ISO 8601 UTC. */
  readonly since?: string;
  readonly before?: string;
}

const EVENING = 20;
const MORNING = 8;

/** "tonight" is the night that is or was last: from 20:00 to 8:00. */
export function timesOf({ range, from, to }: Pick<Filter, "range" | "from" | "to">, nowMs: number): Times {
  const at = (days: number, hour: number): Date => {
    const time = new Date(nowMs);
    time.setDate(time.getDate() + days);
    time.setHours(hour, 0, 0, 0);
    return time;
  };
  const between = (since: Date, before?: Date): Times => ({
    ...(Number.isNaN(since.getTime()) ? {} : { since: since.toISOString() }),
    ...(before === undefined || Number.isNaN(before.getTime()) ? {} : { before: before.toISOString() }),
  });
  switch (range) {
    case "":
      return {};
    case "last hour":
      return between(new Date(nowMs - 3_600_000));
    case "today":
      return between(at(0, 0));
    case "tonight":
      return at(0, EVENING).getTime() <= nowMs
        ? between(at(0, EVENING))
        : between(at(-1, EVENING), at(0, MORNING));
    case "yesterday":
      return between(at(-1, 0), at(0, 0));
    case "from – to":
      return between(new Date(from), new Date(to));
  }
}
