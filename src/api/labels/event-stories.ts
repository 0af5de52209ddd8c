// Events of one cause as one story, for every user interface. Pure. Records and files keep each event.
import { durationText, firstNames } from "../../runtime/text/plain-text.ts";
import { ARRIVALS, type EventLabel } from "./event-labels.ts";

/** Longest time between two events of one story, ms; an error that is over within it is a part of its story. */
export const QUIET_MS = 1_000;
/** Longest story, ms: events without a pause become several. */
const LONGEST_MS = 10_000;
/** Errors that are over, and lost routes, are an error again if they came this often within an hour. */
export const OFTEN = 3;
const HOUR_MS = 3_600_000;

/** A label with its time. Times are wall-clock ms. */
export interface TimedEvent extends EventLabel {
  readonly atMs: number;
}

export interface Story<Event extends TimedEvent> extends TimedEvent {
  /** The event that the story shows. */
  readonly head: Event;
  /** All events, newest first. */
  readonly parts: readonly Event[];
  /** How often it came within an hour, if that was often; else 1. */
  readonly times: number;
}

/** Both lists are newest first. */
export function storiesOf<Event extends TimedEvent>(events: Iterable<Event>): readonly Story<Event>[] {
  return oftenAsOne(chainsOf(events).flatMap(storiesOfChain)).toSorted((one, other) => other.atMs - one.atMs);
}

const isOfShare = ({ name, about }: TimedEvent): boolean =>
  /^(?:share|alias)\./.test(name) || (/^network\./.test(name) && about === null);

/** Events that may have one cause: of shares and networks together, of a server, of the catalog. */
function causeOf(event: TimedEvent): string | null {
  if (isOfShare(event)) return "shares";
  const [kind] = event.name.split(".");
  return kind === "backend" || kind === "catalog" ? `${kind} ${event.about}` : null;
}

function chainsOf<Event extends TimedEvent>(events: Iterable<Event>): readonly Event[][] {
  const chains: Event[][] = [];
  const open = new Map<string, Event[]>();
  for (const event of events) {
    const cause = causeOf(event);
    const chain = cause === null ? undefined : open.get(cause);
    const newestMs = chain?.[0]?.atMs ?? 0;
    const lastMs = chain?.at(-1)?.atMs ?? 0;
    if (chain !== undefined && lastMs - event.atMs <= QUIET_MS && newestMs - event.atMs <= LONGEST_MS)
      chain.push(event);
    else {
      const begun = [event];
      chains.push(begun);
      if (cause !== null) open.set(cause, begun);
    }
  }
  return chains;
}

/** One story for all shares to which the same happened. Events about no share belong to the newest story. */
function storiesOfChain<Event extends TimedEvent>(chain: readonly Event[]): readonly Story<Event>[] {
  const own = Map.groupBy(chain, ({ about }) => about);
  const alike = Map.groupBy(
    [...own].filter(([about]) => about !== null || own.size === 1),
    ([, parts]) => headOf(parts).text.replace(/ in [\d.]+ m?s\b/, ""),
  );
  return [...alike.values()].map((group, index) => {
    const general = index === 0 && own.size > 1 ? (own.get(null) ?? []) : [];
    const parts = [...group.flatMap(([, each]) => each), ...general].toSorted((a, b) => b.atMs - a.atMs);
    const head = headOf(group[0]?.[1] ?? parts);
    const names = group.flatMap(([about]) => about ?? []);
    const { atMs } = parts[0] ?? head;
    return { ...labelOf(head), about: about(names), atMs, head, parts, times: 1 };
  });
}

const about = (names: readonly string[]): string | null =>
  names.length === 0 ? null : firstNames(names, (name) => name, 3);

const labelOf = ({ name, about, text, tone, hasImpact, cable }: EventLabel): EventLabel => ({
  ...{ name, about, text, tone },
  ...(hasImpact === undefined ? {} : { hasImpact }),
  ...(cable === undefined ? {} : { cable }),
});

/** The newest error that is not over, or the newest mount or move, or the newest warning, or the newest event. */
function headOf<Event extends TimedEvent>(parts: readonly Event[]): Event {
  const standing = parts.find((event) => event.tone === "bad" && !isOver(event, parts));
  const found =
    standing ??
    parts.find(({ name }) => ARRIVALS.has(name)) ??
    parts.find(({ tone }) => tone === "warning") ??
    parts.find((event) => !isOver(event, parts)) ??
    parts[0];
  if (found === undefined) throw new RangeError("a story has at least one event");
  return found;
}

/** An error is over if something good or a move followed within `QUIET_MS`, unless a program or client got it. */
function isOver({ tone, atMs, hasImpact }: TimedEvent, parts: readonly TimedEvent[]): boolean {
  return (
    tone === "bad" &&
    hasImpact !== true &&
    parts.some(
      (later) =>
        (later.tone === "good" || ARRIVALS.has(later.name)) &&
        later.atMs >= atMs &&
        later.atMs - atMs <= QUIET_MS,
    )
  );
}

const isDrop = ({ name, parts }: Story<TimedEvent>): boolean =>
  /\.failover$/.test(name) || parts.some((part) => isOver(part, parts));

/** Events that came `OFTEN` within an hour is one error, with all that happened to the same shares or server in that time. */
function oftenAsOne<Event extends TimedEvent>(stories: readonly Story<Event>[]): readonly Story<Event>[] {
  const taken = new Set<Story<Event>>();
  const dropped = new Set(stories.filter(isDrop));
  return stories.flatMap((story) => {
    if (taken.has(story)) return [];
    if (story.about === null || !dropped.has(story)) return [story];
    const alike = stories.filter(
      (other) =>
        !taken.has(other) &&
        other.about === story.about &&
        other.atMs <= story.atMs &&
        story.atMs - other.atMs < HOUR_MS,
    );
    const drops = alike.filter((other) => dropped.has(other));
    const [first, last] = [drops[0], drops.at(-1)];
    if (drops.length < OFTEN || first === undefined || last === undefined) return [story];
    const covered = alike.filter(({ tone, atMs }) => atMs >= last.atMs && tone !== "bad");
    for (const each of [...covered, ...drops]) taken.add(each);
    const what = story.cable === undefined ? `${story.text} –` : `${story.cable} dropped`;
    const text = `${what} ${drops.length} times in ${durationText(Math.max(60_000, first.atMs - last.atMs))}`;
    const parts = [...new Set([...covered, ...drops].flatMap((each) => each.parts))];
    return [{ ...story, text, tone: "bad" as const, times: drops.length, parts }];
  });
}
