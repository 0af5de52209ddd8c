// The notifications that wait to be shown: the newest of each kind and share. Several of a kind become one.
import { sentence } from "../../api/labels/actions.ts";
import { transitionLabel } from "../../api/labels/event-labels.ts";
import { OFTEN, storiesOf, type TimedEvent } from "../../api/labels/event-stories.ts";
import { routeLabel } from "../../api/labels/label.ts";
import { firstNames, printable } from "../../runtime/text/plain-text.ts";
import type { ServiceTransition } from "../events/service-transitions.ts";
import type { Notification } from "./notification-command.ts";

export type NotificationKind = "failover" | "tbReady" | "configRejected" | "questions";

/** Number of shares that one notification names; the others are counted. */
const NAMES_SHOWN = 3;
/** Up to this many notifications of one kind are shown one by one; more become a single one. */
const ONE_BY_ONE = 2;
/** Beyond this, the oldest notification is dropped. */
const LONGEST_QUEUE = 64;
const LONGEST_NAME = 60;

interface Waiting {
  readonly kind: NotificationKind;
  /** The name of the share, or of the tool that waits for an answer; "" if the notification concerns neither. */
  readonly share: string;
  readonly detail: string;
  /** The preferred route's name. */
  readonly preferred: string;
  /** In words that the route was lost often within an hour; null: not often. */
  readonly often: string | null;
}

/** Failovers that are remembered, to notice those that come often. */
const MOST_FAILOVERS = 200;
/** Of failovers that come often, each of this many is shown. */
const SHOWN_OF_OFTEN = 10;

export function createNotificationQueue() {
  // The waiting notifications, oldest first.
  const waiting = new Map<string, Waiting>();
  // Newest first.
  let failovers: readonly TimedEvent[] = [];
  const keyOf = (kind: NotificationKind, share: string): string => `${kind} ${share}`;
  const drop = (kind: NotificationKind, share: string): void => void waiting.delete(keyOf(kind, share));

  return {
    /**
     * Drops waiting notifications that the transition makes untrue. Then queues one about the transition, if
     * it is of a kind that is `wanted`.
     */
    handle(transition: ServiceTransition, wanted: (kind: NotificationKind) => boolean, wallMs: number): void {
      const share = "share" in transition ? transition.share : "";
      const isShown = waiting.has(keyOf("failover", share));
      for (const kind of MADE_UNTRUE[transition.name] ?? []) drop(kind, share);
      const basic = newsOf(transition);
      if (basic === null || !wanted(basic.kind)) return;
      const label = basic.kind === "failover" ? transitionLabel({ ...transition }) : null;
      if (label !== null) failovers = [{ ...label, atMs: wallMs }, ...failovers].slice(0, MOST_FAILOVERS);
      const [story] = label === null ? [] : storiesOf(failovers.filter(({ about }) => about === share));
      const times = story?.times ?? 1;
      if (times > OFTEN && times % SHOWN_OF_OFTEN !== 0 && !isShown) return;
      const news = { ...basic, often: times > 1 ? (story?.text ?? null) : null };
      waiting.set(keyOf(news.kind, news.share), news);
      const [oldest] = waiting.keys();
      if (waiting.size > LONGEST_QUEUE && oldest !== undefined) waiting.delete(oldest);
    },
    /** The next notification to show; null if none waits. */
    take(): Notification | null {
      const [first] = waiting.values();
      if (first === undefined) return null;
      const alike = [...waiting.values()].filter(
        ({ kind, detail, preferred, often }) =>
          kind === first.kind &&
          detail === first.detail &&
          preferred === first.preferred &&
          often === first.often,
      );
      const taken = alike.length > ONE_BY_ONE ? alike : [first];
      for (const { kind, share } of taken) drop(kind, share);
      return taken.length === 1 ? oneText(first) : manyText(first, taken);
    },
    keepOnly(wanted: (kind: NotificationKind) => boolean): void {
      for (const { kind, share } of [...waiting.values()]) if (!wanted(kind)) drop(kind, share);
    },
    get size() {
      return waiting.size;
    },
  };
}

function newsOf(transition: ServiceTransition): Omit<Waiting, "often"> | null {
  const preferred = routeLabel("tb", "tb_link" in transition ? transition.tb_link : null);
  switch (transition.name) {
    case "share.failover":
      return { kind: "failover", share: transition.share, detail: transition.to, preferred };
    case "share.tb_ready":
      return { kind: "tbReady", share: transition.share, detail: "", preferred };
    case "config.rejected":
      return { kind: "configRejected", share: "", detail: lineOf(transition.reason), preferred };
    case "question.asked": {
      const share = `${transition.tool} of ${transition.backend}`;
      return { kind: "questions", share, detail: "", preferred };
    }
    default:
      return null;
  }
}

/** The kinds of waiting notifications that a transition makes untrue. */
const MADE_UNTRUE: Partial<Record<ServiceTransition["name"], readonly NotificationKind[]>> = {
  // A new failover drops the notification of an earlier failover, so that the new notification comes last in the
  // queue.
  "share.failover": ["failover", "tbReady"],
  "share.recovered": ["failover", "tbReady"],
  "share.switched": ["failover", "tbReady"],
  "share.unmounted": ["failover", "tbReady"],
  "share.unmanaged": ["failover", "tbReady"],
  "share.tb_ready": ["tbReady"],
  "share.tb_ready_cleared": ["tbReady"],
  "config.rejected": ["configRejected"],
  "config.applied": ["configRejected"],
};

/**
 * The number of the line with the first error. Its text is not shown, because it may be a secret, and
 * notifications appear on locked screens.
 */
function lineOf(reason: string): string {
  const [, line] = /:(\d{1,9}):\d{1,9}: /.exec(reason) ?? [];
  return line === undefined ? "" : ` (line ${line})`;
}

function oneText({ kind, share, detail, preferred, often }: Waiting): Notification {
  const name = shownName(share);
  switch (kind) {
    case "failover":
      return {
        title: `${name}${often === null ? ` ${overRoute(detail, preferred)}` : `: ${often}`}`,
        body: failoverBody(detail, preferred),
      };
    case "tbReady":
      return {
        title: `${name}: ${preferred} is ready`,
        body: "It returns once its files are closed, or when you switch it.",
      };
    case "questions":
      return { title: `${name} waits for your answer`, body: "Its call is shown by: mountaineer questions" };
    case "configRejected":
      return {
        title: `The configuration was rejected${detail}`,
        body: "The last accepted configuration keeps running. See: mountaineer config validate",
      };
  }
}

function manyText(first: Waiting, all: readonly Waiting[]): Notification {
  const { kind, detail, preferred } = first;
  const body = firstNames(all, ({ share }) => shownName(share), NAMES_SHOWN);
  switch (kind) {
    case "failover":
      return { title: `${all.length} shares ${overRoute(detail, preferred)}`, body };
    case "tbReady":
      return { title: `${sentence(preferred)} is ready for ${all.length} shares`, body };
    case "questions":
      return { title: `${all.length} calls wait for your answer`, body };
    case "configRejected":
      return oneText(first);
  }
}

/** A phrase that fits one share as well as several. */
function overRoute(route: string, preferred: string): string {
  return `failed over to ${route === "tb" ? preferred : "the fallback"}`;
}

function failoverBody(route: string, preferred: string): string {
  return `${route === "tb" ? "The fallback" : sentence(preferred)} is gone. The path stays the same.`;
}

function shownName(share: string): string {
  const name = printable(share);
  const letters = [...name];
  return letters.length <= LONGEST_NAME ? name : `${letters.slice(0, LONGEST_NAME - 1).join("")}…`;
}
