// The server's side of the event stream, as server-sent events: replay, heartbeats, and an end for slow
// readers. The last event of a dropped reader is a `gap`, with the id from which the reader can resume.
import type { IncomingMessage, ServerResponse } from "node:http";
import { MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { type FlowEvent, HEARTBEAT_MS, type StreamEvent } from "../contract/contract.ts";

export const LISTENER_LIMIT = 32;
/** Limit of bytes queued for one reader. A full replay and any burst stay below it. */
const QUEUE_LIMIT_BYTES = 2 * 1024 * 1024;
/** How long a dropped reader has to read the rest before its connection is cut. */
const END_DEADLINE_MS = 10_000;
/** `retry` makes browsers reconnect after a second. */
const GREETING = "retry: 1000\n: connected\n\n";
const HEARTBEAT = ":\n\n";

export interface Events {
  /**
   * Calls `listener` for the kept events after `afterId`, then for each new event. Returns a function that
   * unregisters it.
   */
  listen(afterId: number | null, listener: (id: number, event: StreamEvent) => void): () => void;
  /**
   * Calls `listener` with traffic counters, at most four times a second. Returns a function that unregisters
   * it.
   */
  readonly flow?: (listener: (event: FlowEvent) => void) => () => void;
}

export type EventStreams = ReturnType<typeof createEventStreams>;

/** Each stream subscribes to `events` separately, so that without readers nothing is subscribed. */
export function createEventStreams(options: {
  readonly events: Events;
  readonly clock: Clock;
  readonly logger: Logger;
}) {
  const { events, clock, logger } = options;
  const streams = new Set<Stream>();
  return {
    /**
     * Answers the request with a stream, which ends when `stillIn` returns false. Throws `protocol` (Last-Event-ID) and
     * `daemon_unreachable` (too many streams).
     */
    serve(request: IncomingMessage, response: ServerResponse, stillIn: () => boolean = () => true): void {
      const afterId = lastEventId(request);
      // A response that is closed already emits no `close`, so its stream would be counted for ever.
      if (response.destroyed) return;
      if (streams.size >= LISTENER_LIMIT) {
        const message = `${streams.size} listeners follow the events already`;
        throw new MountaineerError("daemon_unreachable", message, {
          retry: "later",
          hint: "end one of them",
        });
      }
      response.writeHead(200, {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-store",
      });
      const stream = startStream(response, clock, stillIn, (waitingBytes) =>
        logger.warn("event listener reads too slowly and is dropped", { waitingBytes }),
      );
      streams.add(stream);
      response.once("close", () => streams.delete(stream));
      stream.hear((listener) => events.listen(afterId, listener));
      const { searchParams } = new URL(request.url ?? "", "http://localhost");
      if (events.flow !== undefined && searchParams.has("flow")) stream.pass(events.flow);
    },
    end(): void {
      for (const stream of streams) stream.end();
    },
  };
}

/** null: no replay. */
function lastEventId(request: IncomingMessage): number | null {
  const header = request.headers["last-event-id"];
  if (header === undefined || header === "") return null;
  if (typeof header !== "string" || !/^\d{1,15}$/.test(header)) {
    throw new MountaineerError("protocol", "Last-Event-ID is not the id of an event");
  }
  return Number(header);
}

type Stream = ReturnType<typeof startStream>;

function startStream(
  response: ServerResponse,
  clock: Clock,
  stillIn: () => boolean,
  onDropped: (waitingBytes: number) => void,
) {
  const queue: string[] = [];
  let queuedBytes = 0;
  let isBlocked = false;
  let isOver = false;
  let unsubscribe: (() => void) | null = null;
  let heartbeat: Timer = clock.setTimer(HEARTBEAT_MS, beat);

  function beat(): void {
    if (!stillIn()) {
      finish("");
      return;
    }
    // A slow reader gets no heartbeats: it has data to read, and heartbeats would pile up.
    if (!isBlocked) isBlocked = !response.write(HEARTBEAT);
    heartbeat = clock.setTimer(HEARTBEAT_MS, beat);
  }

  function send(frame: string): boolean {
    if (!isBlocked) {
      isBlocked = !response.write(frame);
      return true;
    }
    queuedBytes += Buffer.byteLength(frame);
    if (queuedBytes > QUEUE_LIMIT_BYTES) return false;
    queue.push(frame);
    return true;
  }

  response.on("drain", () => {
    isBlocked = false;
    let sent = 0;
    while (!isBlocked && sent < queue.length) {
      const frame = queue[sent++] ?? "";
      queuedBytes -= Buffer.byteLength(frame);
      isBlocked = !response.write(frame);
    }
    queue.splice(0, sent);
  });
  response.once("close", leave);

  function leave(): void {
    isOver = true;
    queue.length = 0;
    heartbeat[Symbol.dispose]();
    unsubscribe?.();
    unsubscribe = null;
  }

  function finish(lastFrame: string): void {
    leave();
    response.end(lastFrame);
    const cut = clock.setTimer(END_DEADLINE_MS, () => response.destroy());
    response.once("close", () => cut[Symbol.dispose]());
  }

  isBlocked = !response.write(GREETING);
  return {
    hear(subscribe: (listener: (id: number, event: StreamEvent) => void) => () => void): void {
      let newestId = 0;
      let isTooSlow = false;
      const drop = (): void => {
        onDropped(queuedBytes);
        finish(frameOf(newestId, { kind: "gap" }));
      };
      const stop = subscribe((id, event) => {
        if (isOver) return;
        if (!stillIn()) {
          finish("");
          return;
        }
        newestId = id;
        if (send(frameOf(id, event))) return;
        isTooSlow = true;
        // A reader that is too slow during the replay is dropped only after the replay, because the `gap` must have
        // the id of the newest event.
        if (unsubscribe !== null) drop();
      });
      if (isOver) {
        stop();
        return;
      }
      unsubscribe = stop;
      if (isTooSlow) drop();
    },
    /**
     * Sends the traffic counters to the reader. A slow reader misses some messages, but each message has all
     * counters.
     */
    pass(subscribe: (listener: (event: FlowEvent) => void) => () => void): void {
      const stop = subscribe((event) => {
        if (isOver || isBlocked) return;
        if (stillIn()) isBlocked = !response.write(`data: ${JSON.stringify(event)}\n\n`);
        else finish("");
      });
      response.once("close", stop);
    },
    end(): void {
      if (!isOver) finish("");
    },
  };
}

function frameOf(id: number, event: StreamEvent): string {
  return `id: ${id}\ndata: ${JSON.stringify(event)}\n\n`;
}
