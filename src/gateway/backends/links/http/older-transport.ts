// Owns telling a server of the older transport, HTTP+SSE of 2024-11-05, from others: what it sends first to who listens
// names the endpoint for messages.

import { createSseParser } from "../../../../runtime/text/sse-parser.ts";
import type { Clock } from "../../../../runtime/time/clock.ts";
import { mediaType } from "./body.ts";
import type { Asked, HttpTarget } from "./target.ts";

const WAIT_MS = 2_000;
const FIRST_EVENT_BYTES = 4_096;

/** Listens at the address for one event, 2 s at most, and tells once whether it names an endpoint. */
export function lookForOlderTransport(
  target: HttpTarget,
  clock: Clock,
  onTold: (isOlder: boolean) => void,
): Asked {
  let told = false;
  const tell = (isOlder: boolean): void => {
    if (told) return;
    told = true;
    timer[Symbol.dispose]();
    asked.request.destroy();
    onTold(isOlder);
  };
  const timer = clock.setTimer(WAIT_MS, () => tell(false));
  const asked = target.ask("GET", { accept: "text/event-stream" }, (response) => {
    response.on("error", () => tell(false));
    response.once("close", () => tell(false));
    if (response.statusCode !== 200 || mediaType(response) !== "text/event-stream") {
      tell(false);
      return;
    }
    const parser = createSseParser(FIRST_EVENT_BYTES);
    response.on("data", (chunk: Buffer) => {
      parser.push(chunk);
      const event = parser.next();
      if (event !== null) tell(event.type === "endpoint");
      else if (parser.overlong) tell(false);
    });
  });
  asked.request.on("error", () => tell(false));
  asked.request.end();
  return asked;
}
