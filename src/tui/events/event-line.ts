// One event as one line.
import { padded } from "../../runtime/text/plain-text.ts";
import { localClock } from "../../runtime/time/local-time.ts";
import { cutLine, cutText, type Line, span, type Tone } from "../terminal/line.ts";
import type { View } from "../terminal/view.ts";
import { eventText, type KeptEvent } from "./event-ring.ts";

const NAME_WIDTH = 24;

/** `14:32:05  share.switched  core  from=tb to=fallback` */
export function eventLine(event: KeptEvent, isChosen: boolean, { width, symbols }: View): Line {
  const name = cutText(span(event.name).text, NAME_WIDTH - 1, symbols.ellipsis);
  return cutLine(
    [
      span(isChosen ? `${symbols.focus} ` : "  ", "accent"),
      span(`${localClock(new Date(event.atMs))}  `, "faint"),
      span(padded(name, NAME_WIDTH), toneOf(event.name)),
      ...(event.subject === null ? [] : [span(`${event.subject}  `, "strong")]),
      span(eventText(event)),
    ],
    width,
    symbols.ellipsis,
  );
}

function toneOf(name: string): Tone {
  if (/error$|fail|vanished|blocked|rejected|collision/.test(name)) return "bad";
  if (/down|ended|waits|deferred|gap|failover|tool_changed|tool_new/.test(name)) return "warning";
  return "accent";
}
