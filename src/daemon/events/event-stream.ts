// Publishes transitions to listeners in the daemon, and as numbered events to clients of the management API.
// The newest events are kept, so that a client that reconnects misses nothing.
import type { StreamEvent } from "../../api/contract/contract.ts";
import { createBus } from "../../runtime/bus.ts";
import type { DisposalStack } from "../../runtime/disposal.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { logTransition, type ServiceTransition } from "./service-transitions.ts";

const RETAINED = 1000;

type StreamListener = (id: number, event: StreamEvent) => void;

export type EventStream = ReturnType<typeof createEventStream>;

interface Numbered {
  readonly id: number;
  readonly event: StreamEvent;
}

/**
 * Creates the stream. `onListenerError` is called if a listener throws; the other listeners still get the
 * event. Ids are greater than `idsAfter` (an integer, default 0). Callers pass the wall-clock time of the
 * daemon's start, so that ids are greater than those of earlier daemons.
 */
export function createEventStream(options: {
  readonly idsAfter?: number;
  readonly onListenerError: (error: unknown) => void;
}) {
  const bus = createBus<Numbered>(options);
  const retained: Numbered[] = [];
  let lastId = options.idsAfter ?? 0;
  return {
    publish(event: StreamEvent): void {
      lastId += 1;
      const numbered = { id: lastId, event };
      retained.push(numbered);
      if (retained.length > RETAINED) retained.shift();
      bus.publish(numbered);
    },
    /**
     * Subscribes the listener, and returns a function that ends this. First replays the events after `afterId` (null:
     * none), or sends `gap` if some of them are no longer kept.
     */
    listen(afterId: number | null, listener: StreamListener): () => void {
      if (afterId !== null) {
        const oldest = retained[0]?.id ?? lastId + 1;
        // An id from an earlier daemon is below our ids, or above them if the clock was set back.
        if (afterId > lastId || afterId < oldest - 1) listener(lastId, { kind: "gap" });
        else for (const { id, event } of retained) if (id > afterId) listener(id, event);
      }
      return bus.subscribe(({ id, event }) => listener(id, event));
    },
  };
}

/**
 * Creates the bus of transitions and the event stream. The log and the stream listen to the bus until `stack`
 * ends.
 */
export function announcements(clock: Clock, logger: Logger, stack: DisposalStack) {
  const onListenerError = (error: unknown): void =>
    logger.error("a listener failed", { reason: errorText(error) });
  const bus = createBus<ServiceTransition>({ onListenerError });
  const stream = createEventStream({ idsAfter: Math.floor(clock.wallMs()), onListenerError });
  stack.defer(bus.subscribe((transition) => logTransition(logger, transition)));
  stack.defer(bus.subscribe((transition) => stream.publish({ kind: "transition", transition })));
  return { bus, stream, publish: (transition: ServiceTransition): void => bus.publish(transition) };
}
