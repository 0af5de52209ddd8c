// One event as one line.
import { padded } from "../../runtime/text/plain-text.ts";
import { localClock } from "../../runtime/time/local-time.ts";
import { cutLine, cutText, type Line, span } from "../terminal/line.ts";
import type { View } from "../terminal/view.ts";
import type { KeptEvent } from "./event-ring.ts";

const NAME_WIDTH = 24;

/** `14:32:05  share.switched  core  Switched from Thunderbolt to Fallback` */
export function eventLine(event: KeptEvent, isChosen: boolean, { width, symbols }: View): Line {
  const name = cutText(span(event.name).text, NAME_WIDTH - 1, symbols.ellipsis);
  return cutLine(
    [
      span(isChosen ? `${symbols.focus} ` : "  ", "accent"),
      span(`${localClock(new Date(event.atMs))}  `, "faint"),
      span(padded(name, NAME_WIDTH), event.tone === "plain" ? "accent" : event.tone),
      ...(event.about === null ? [] : [span(`${event.about}  `, "strong")]),
      span(event.text),
    ],
    width,
    symbols.ellipsis,
  );
}
