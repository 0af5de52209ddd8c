// Starts the plain mode: lines from standard input, lines to standard output.
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { HttpDoor } from "../../api/client/http-exchange.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { doorConnection, homeConnection, startDaemonLink } from "../link/daemon-link.ts";
import { createPlainView } from "./plain-view.ts";

interface PlainStart {
  /** Absolute. */
  readonly home: string;
  /** The daemon of another machine; null: that of this home. */
  readonly door: HttpDoor | null;
  readonly print: (text: string) => void;
  readonly input: Readable;
  readonly signal: AbortSignal;
}

/** Until a person leaves, the input ends, or `signal` aborts, whose reason it then rejects with. */
export async function startPlain({ home, door, print, input, signal }: PlainStart): Promise<void> {
  const leave = new AbortController();
  const until = AbortSignal.any([signal, leave.signal]);
  const connect = door === null ? homeConnection(home) : doorConnection(door, until);
  const link = startDaemonLink({ connect, signal: until });
  const view = createPlainView({
    link,
    isElsewhere: door !== null,
    say: (line) => print(`${line}\n`),
    clock: systemClock,
    signal: until,
  });
  view.begin();
  // Not a terminal for readline: it would draw over the line that is typed.
  const lines = createInterface({ input, terminal: false });
  const end = (): void => lines.close();
  signal.addEventListener("abort", end, { once: true });
  try {
    for await (const line of lines) if (view.type(line)) break;
  } finally {
    signal.removeEventListener("abort", end);
    leave.abort();
    lines.close();
    input.destroy();
  }
  signal.throwIfAborted();
}
