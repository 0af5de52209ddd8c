// The client's side of the event stream, over one connection.

import type { MountaineerError } from "../../runtime/errors.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { createSseParser, type SseEvent } from "../../runtime/text/sse-parser.ts";
import { EVENT_STREAM_PATH, HEARTBEAT_MS, type StreamEvent, streamEventShape } from "../contract/contract.ts";
import { errorFromBody } from "../operations/http-errors.ts";
import { type Answer, type Listener, openAnswer, strange } from "./http-exchange.ts";

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
  const answer = await openAnswer(listener, {
    path: EVENT_STREAM_PATH,
    method: "GET",
    headers: {
      Accept: "text/event-stream",
      ...(afterId === null ? {} : { "Last-Event-ID": String(afterId) }),
    },
    body: null,
    signal,
    answerSilenceMs: SILENCE_MS,
  });
  if (answer.response.statusCode !== 200) {
    using refused = answer;
    throw await refusal(refused);
  }
  return {
    events: eventsOf(answer, afterId ?? 0),
    [Symbol.dispose]: () => answer[Symbol.dispose](),
  };
}

async function refusal(answer: Answer): Promise<MountaineerError> {
  try {
    const body = errorFromBody(parseJson(await answer.text(REFUSAL_LIMIT)));
    if (body !== null) return body;
  } catch {
    // The body is too long, or not an error in Mountaineer's format, so only the status is known.
  }
  return strange(`it answered the event stream with HTTP ${answer.response.statusCode}`);
}

async function* eventsOf(opened: Answer, startId: number): AsyncGenerator<StreamedEvent, void, undefined> {
  using answer = opened;
  const parser = createSseParser(FRAME_LIMIT);
  for await (const chunk of answer.chunks()) {
    parser.push(chunk);
    for (let frame = parser.next(); frame !== null; frame = parser.next()) {
      const id = Number(parser.lastEventId ?? startId);
      if (!Number.isSafeInteger(id)) throw strange("an event's id is not a number");
      const event = eventOf(frame);
      if (event !== null) yield { id, event };
    }
    if (parser.overlong) throw strange(`an event is longer than ${FRAME_LIMIT} bytes`);
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
