// One connection to the socket of a running mountaineer-fs: requests with deadlines, and the states that it sends.
import { errorText } from "../runtime/errors.ts";
import { connectPrivately, type HomeSocket } from "../runtime/process/private-socket.ts";
import { isObject, type JsonMembers, jsonObject, objectOf } from "../runtime/text/json-object.ts";
import { createLineSplitter } from "../runtime/text/line-splitter.ts";
import type { Clock } from "../runtime/time/clock.ts";

const VERSION = 1;
const LINE_BYTES_AT_MOST = 1024 * 1024;
const REQUESTS_AT_MOST = 100;

export type ProgramConnection = ReturnType<typeof connection>;

export type ProgramAnswer =
  | { readonly ok: true; readonly members: JsonMembers }
  /** `code`: the program's own; null: it gave no answer. */
  | { readonly ok: false; readonly code: string | null; readonly text: string };

interface Listener {
  /** Each status, whether it was asked for or not. */
  onStatus(status: unknown): void;
  onEnd(): void;
}

/** Rejects if the socket cannot be trusted. A connection that fails ends. */
export async function connectProgram(at: HomeSocket, clock: Clock, listener: Listener) {
  return connection(await connectPrivately(at), clock, listener);
}

function connection(socket: Awaited<ReturnType<typeof connectPrivately>>, clock: Clock, listener: Listener) {
  const waiting = new Map<number, (answer: ProgramAnswer) => void>();
  let nextId = 1;
  let hasEnded = false;
  const end = (text: string): void => {
    if (hasEnded) return;
    hasEnded = true;
    socket.destroy();
    for (const answer of waiting.values()) answer({ ok: false, code: null, text });
    waiting.clear();
    listener.onEnd();
  };
  const onLine = (line: string): void => {
    const message = jsonObject(line);
    if (message === null || message["v"] !== VERSION) {
      end("another program answers at its socket");
      return;
    }
    const { id, error, status } = message;
    if (isObject(status)) listener.onStatus(status);
    if (typeof id !== "number") return;
    const answer = waiting.get(id);
    waiting.delete(id);
    if (!isObject(error)) answer?.({ ok: true, members: message });
    else answer?.({ ok: false, code: String(error["code"]), text: String(error["message"]).slice(0, 500) });
  };
  const splitter = createLineSplitter(LINE_BYTES_AT_MOST);
  socket.on("data", (chunk) => {
    for (const line of splitter.take(chunk)) if (line !== "" && !hasEnded) onLine(line);
    if (splitter.overlong) end("it sends lines without end");
  });
  socket.on("error", (error) => end(errorText(error)));
  socket.on("close", () => end("it has closed the connection"));
  return {
    get hasEnded() {
      return hasEnded;
    },
    /** Never rejects. An answer that comes after the deadline is ignored. */
    request(operation: string, members: JsonMembers, deadlineMs: number): Promise<ProgramAnswer> {
      if (hasEnded || waiting.size >= REQUESTS_AT_MOST)
        return Promise.resolve({ ok: false, code: null, text: "mountaineer-fs does not answer" });
      const id = nextId++;
      const { promise, resolve } = Promise.withResolvers<ProgramAnswer>();
      waiting.set(id, resolve);
      const timer = clock.setTimer(deadlineMs, () => {
        waiting.delete(id);
        resolve({
          ok: false,
          code: null,
          text: `mountaineer-fs did not answer "${operation}" in time`,
        });
      });
      socket.write(`${JSON.stringify({ v: VERSION, id, do: operation, ...members })}\n`);
      return promise.finally(() => timer[Symbol.dispose]());
    },
    [Symbol.dispose]: (): void => end("closed"),
  };
}

/** The error line of a command of mountaineer-fs that failed; null: the text has none. */
export function errorIn(output: string): { readonly code: string; readonly message: string } | null {
  for (const line of output.split("\n").reverse()) {
    const { error } = objectOf(jsonObject(line));
    if (isObject(error))
      return { code: String(error["code"]), message: String(error["message"]).slice(0, 300) };
  }
  return null;
}
