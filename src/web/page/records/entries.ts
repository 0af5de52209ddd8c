// The rows of Activity: stories of the log, and records of the audit. Pure.
import type { AuditEntry, LogLine } from "../../../api/contract/records.ts";
import { sentence } from "../../../api/labels/actions.ts";
import { logLabel, transitionLabel } from "../../../api/labels/event-labels.ts";
import { type Story, storiesOf, type TimedEvent } from "../../../api/labels/event-stories.ts";
import { type Tone, withoutName } from "../../../api/labels/label.ts";
import { pluralize } from "../../../runtime/text/plain-text.ts";

/** A story of the log, a record of the audit, or several records of one kind. */
export interface Entry {
  readonly at: string;
  readonly tone: Tone;
  readonly person: string | null;
  /** What the client calls itself. */
  readonly client: string | null;
  /** The server or share. */
  readonly on: string | null;
  readonly what: string;
  /** The level of a line, or the outcome of a call; null: nothing special. */
  readonly outcome: string | null;
  readonly ms: number | null;
  /** Why a call was refused, and its arguments; null: nothing more is known. */
  readonly more: string | null;
  /** The script that ran (`isRun`), or that made the call. */
  readonly script?: { readonly id: string; readonly isRun: boolean };
  /** Equal for entries of one kind, which become one row when they come in a burst. */
  readonly kind: string;
  /** The calls of a script, or the parts of a story or burst, newest first. */
  readonly parts?: readonly Entry[];
}

const TONES = { debug: "plain", info: "plain", warn: "warning", error: "bad" } as const satisfies Record<
  LogLine["level"],
  Tone
>;
const WORDS: Readonly<Record<Tone, string | null>> = {
  good: null,
  plain: null,
  warning: "warning",
  bad: "error",
};
/** The highest level that shows a tone. */
export const TONE_LEVELS: Readonly<Record<Tone, number>> = { plain: 1, good: 1, warning: 2, bad: 3 };

/** The stories of lines, newest first; lines that say nothing to people are left out. */
export function logEntries(lines: readonly LogLine[]): readonly Entry[] {
  const events = lines.flatMap((line) => {
    const label = logLabel(line);
    if (label === null) return [];
    return [
      {
        ...label,
        tone: label.tone === "plain" ? TONES[line.level] : label.tone,
        at: line.at,
        atMs: Date.parse(line.at),
      },
    ];
  });
  return storiesOf(events).map((story) => ({
    ...eventEntry(story, new Date(story.atMs).toISOString()),
    ...(story.parts.length === 1 ? {} : { parts: story.parts.map((part) => eventEntry(part, part.at)) }),
  }));
}

function eventEntry(event: TimedEvent | Story<TimedEvent>, at: string): Entry {
  const { about, text, tone, name } = event;
  return {
    ...{ at, tone, person: null, client: null, on: about, ms: null, more: null },
    ...{ what: about === null ? text : withoutName(text, about), outcome: WORDS[tone] },
    kind: `${name} ${about}`,
  };
}

export function auditEntry(record: AuditEntry): Entry {
  const { time, kind, principal, method, target, backend, outcome, duration_ms: ms, event } = record;
  const notice = event === undefined ? null : transitionLabel({ ...record, name: event });
  const more = [
    ...(record.reason === undefined ? [] : [record.reason]),
    ...(record.count === undefined ? [] : [pluralize(record.count, "time")]),
    ...(record.dropped === undefined ? [] : [`${record.dropped} lost`]),
    ...(record.arguments === undefined ? [] : [JSON.stringify(record.arguments).slice(0, 1000)]),
  ].join(", ");
  return {
    at: time,
    tone: outcome === undefined || outcome === "ok" ? "plain" : "bad",
    person: principal ?? null,
    client: record.client ?? null,
    on: backend ?? notice?.about ?? null,
    what: notice === null ? sentence(target?.replace(":", " ") ?? method ?? kind) : notice.text,
    outcome: outcome?.replace("_", " ") ?? (notice === null ? kind : null),
    ms: ms ?? null,
    more: more === "" ? null : more,
    kind: `${principal} ${method} ${target} ${outcome}`,
    ...(record.script === undefined
      ? {}
      : { script: { id: record.script, isRun: target === "tool:run_script" } }),
  };
}

/** A script is one entry with its calls in it. Calls of a script whose own entry is not there stay as they are. */
export function withScripts(entries: readonly Entry[]): readonly Entry[] {
  const ofScripts = Map.groupBy(entries, ({ script }) => script?.id);
  const isPart = ({ script }: Entry): boolean =>
    script?.isRun === false && ofScripts.get(script.id)?.some((one) => one.script?.isRun === true) === true;
  return entries
    .filter((entry) => !isPart(entry))
    .map((entry) =>
      entry.script?.isRun === true
        ? { ...entry, parts: (ofScripts.get(entry.script.id) ?? []).filter((one) => one !== entry) }
        : entry,
    );
}

/** Of one kind, with at most this time between two of them, ms. */
const BURST_MS = 60_000;

/** Entries of one kind that follow each other within a minute are one, with all of them in it. */
export function inBursts(entries: readonly Entry[]): readonly Entry[] {
  const bursts: Entry[][] = [];
  const open = new Map<string, Entry[]>();
  for (const entry of entries) {
    const key = `${entry.kind} ${entry.tone}`;
    const burst = entry.parts === undefined ? open.get(key) : undefined;
    const last = burst?.at(-1);
    if (burst !== undefined && last !== undefined && Date.parse(last.at) - Date.parse(entry.at) <= BURST_MS)
      burst.push(entry);
    else {
      const begun = [entry];
      bursts.push(begun);
      open.set(key, begun);
    }
  }
  return bursts.flatMap(([newest, ...others]) => {
    if (newest === undefined || others.length === 0) return newest ?? [];
    const parts = [newest, ...others];
    return [{ ...newest, what: `${newest.what}, ${parts.length} times`, parts }];
  });
}
