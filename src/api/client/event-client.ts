// The client's side of the event stream, over one connection.

import type { ClientRequest, IncomingMessage } from "node:http";
import { MountaineerError } from "../../runtime/errors.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { createSseParser, type SseEvent } from "../../runtime/text/sse-parser.ts";
import type { Timer } from "../../runtime/time/clock.ts";
import { EVENT_STREAM_PATH, HEARTBEAT_MS, type StreamEvent, streamEventShape } from "../contract/contract.ts";
import { errorFromBody } from "../operations/http-errors.ts";
import { beginRequest, cancelled, hung, type Listener, lost, strange } from "./http-exchange.ts";

/** A connection without data for this long counts as hung: two heartbeats are missing. */
const SILENCE_MS = 3 * HEARTBEAT_MS;
const FRAME_LIMIT = 16 * 1024 * 1024;
const REFUSAL_LIMIT = 64 * 1024;
const KINDS: readonly string[] = ["sync", "sync_state", "transition", "gap"] satisfies StreamEvent["kind"][];

export interface StreamedEvent {
  /** The event's id. A later stream with this id as `afterId` continues after this event. */
  readonly id: number;
  readonly event: StreamEvent;
}

export interface EventStream extends Disposable {
  /**
   * Ends when the daemon ends the stream. Rejects with `daemon_unreachable` (broken, or silent for 45 s), `protocol`, and
   * `aborted` when the signal aborted. Events of kinds that only a newer daemon knows are left out.
   */
  readonly events: AsyncGenerator<StreamedEvent, void, undefined>;
}

/** Resolves once no later event can be missed. Rejects like `events`, and with the daemon's error if it refuses. */
export async function openEventStream(
  listener: Listener,
  { signal, afterId }: { readonly signal: AbortSignal; readonly afterId: number | null },
): Promise<EventStream> {
  if (signal.aborted) throw cancelled(signal);
  const { request, response, silence } = await openResponse(listener, signal, afterId);
  const close = (): void => {
    silence.stop();
    // The destroyed connection may still emit an error.
    response.on("error", () => {});
    request.destroy();
  };
  try {
    if (response.statusCode !== 200) throw await refusal(response);
    silence.allow(SILENCE_MS);
    return { events: eventsOf(response, silence, afterId ?? 0, close), [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Watches a stream: ends it after too much silence, or when the signal aborts. */
interface Silence {
  /** Sets the limit, which applies from now on. */
  allow(limitMs: number): void;
  sign(): void;
  stop(): void;
  /** The error with which this side ended the stream; null: this side did not end it. */
  readonly failure: MountaineerError | null;
}

interface Opened {
  readonly request: ClientRequest;
  readonly response: IncomingMessage;
  readonly silence: Silence;
}

function openResponse(listener: Listener, signal: AbortSignal, afterId: number | null): Promise<Opened> {
  const { pid, clock } = listener;
  const request = beginRequest(listener, {
    path: EVENT_STREAM_PATH,
    method: "GET",
    headers: {
      Accept: "text/event-stream",
      ...(afterId === null ? {} : { "Last-Event-ID": String(afterId) }),
    },
  });
  let limitMs = listener.silenceMs;
  let failure: MountaineerError | null = null;
  let opened: IncomingMessage | null = null;
  let timer: Timer = clock.setTimer(limitMs, onSilence);
  function fail(error: MountaineerError): void {
    failure ??= error;
    (opened ?? request).destroy(error);
  }
  function onSilence(): void {
    fail(hung(pid, limitMs));
  }
  const onAbort = (): void => fail(cancelled(signal));
  signal.addEventListener("abort", onAbort, { once: true });
  const silence: Silence = {
    allow(ms) {
      limitMs = ms;
      silence.sign();
    },
    sign() {
      timer[Symbol.dispose]();
      timer = clock.setTimer(limitMs, onSilence);
    },
    stop() {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", onAbort);
    },
    get failure() {
      return failure;
    },
  };
  return new Promise((resolve, reject) => {
    request.once("response", (response) => {
      opened = response;
      resolve({ request, response, silence });
    });
    // The handler stays: Node throws an `error` event that has no handler.
    request.on("error", (error) => {
      silence.stop();
      reject(error instanceof MountaineerError ? error : lost(error));
    });
    request.end();
  });
}

async function refusal(response: IncomingMessage): Promise<MountaineerError> {
  let text = "";
  response.setEncoding("utf8");
  for await (const chunk of response) {
    text += chunk;
    if (text.length > REFUSAL_LIMIT) break;
  }
  try {
    const body = errorFromBody(parseJson(text));
    if (body !== null) return body;
  } catch {
    // The body is not an error in Mountaineer's format, so only the status is known.
  }
  return strange(`it answered the event stream with HTTP ${response.statusCode}`);
}

async function* eventsOf(
  response: IncomingMessage,
  silence: Silence,
  startId: number,
  close: () => void,
): AsyncGenerator<StreamedEvent, void, undefined> {
  const parser = createSseParser(FRAME_LIMIT);
  try {
    for await (const chunk of response) {
      silence.sign();
      parser.push(chunk);
      for (let frame = parser.next(); frame !== null; frame = parser.next()) {
        const id = Number(parser.lastEventId ?? startId);
        if (!Number.isSafeInteger(id)) throw strange("an event's id is not a number");
        const event = eventOf(frame);
        if (event !== null) yield { id, event };
      }
      if (parser.overlong) throw strange(`an event is longer than ${FRAME_LIMIT} bytes`);
    }
  } catch (error) {
    if (silence.failure !== null) throw silence.failure;
    throw error instanceof MountaineerError || !(error instanceof Error) ? error : lost(error);
  } finally {
    close();
  }
}

/** null: this version does not know the event's kind. */
function eventOf({ data }: SseEvent): StreamEvent | null {
  let value: unknown;
  try {
    value = parseJson(data);
  } catch (cause) {
    throw strange("an event is not JSON", cause);
  }
  if (typeof value !== "object" || value === null || !("kind" in value))
    throw strange("an event has no kind");
  if (typeof value.kind !== "string" || !KINDS.includes(value.kind)) return null;
  const fault = streamEventShape.faultIn(value);
  if (fault === null) return value as StreamEvent;
  throw strange(`an event is wrong at ${fault.path || "its root"}: expected ${fault.expected}`);
}
