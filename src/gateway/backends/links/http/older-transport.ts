// Tells a server of the older transport, HTTP+SSE of 2024-11-05, from others: its first event names the endpoint for
// messages.
import { createSseParser } from "../../../../runtime/text/sse-parser.ts";
import type { Clock } from "../../../../runtime/time/clock.ts";
import { askForEvents } from "./body.ts";
import type { Asked, HttpTarget } from "./target.ts";

const WAIT_MS = 2_000;
const FIRST_EVENT_BYTES = 4_096;

/** Waits for one event at the address, 2 s at most, and calls back once: whether it names an endpoint. */
export function lookForOlderTransport(
  target: HttpTarget,
  clock: Clock,
  onKnown: (isOlder: boolean) => void,
): Asked | null {
  let known = false;
  const end = (isOlder: boolean): void => {
    if (known) return;
    known = true;
    timer[Symbol.dispose]();
    asked?.request.destroy();
    onKnown(isOlder);
  };
  const timer = clock.setTimer(WAIT_MS, () => end(false));
  const no = (): void => end(false);
  const asked = askForEvents(
    target,
    {},
    {
      onOpen(response) {
        const parser = createSseParser(FIRST_EVENT_BYTES);
        response.on("error", no);
        response.once("close", no);
        response.on("data", (chunk: Buffer) => {
          parser.push(chunk);
          const event = parser.next();
          if (event !== null) end(event.type === "endpoint");
          else if (parser.overlong) end(false);
        });
      },
      onRefused: no,
      onFailed: no,
    },
  );
  return asked;
}
