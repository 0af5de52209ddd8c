// The bus of transitions, with the log and the event stream as its first listeners.
import { type Bus, createBus } from "../../runtime/bus.ts";
import type { DisposalStack } from "../../runtime/disposal.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { createEventStream, type EventStream } from "./event-stream.ts";
import type { ServiceTransition } from "./service-transitions.ts";
import { logTransition } from "./transition-log.ts";

interface Announcements {
  readonly bus: Bus<ServiceTransition>;
  readonly stream: EventStream;
  readonly publish: (transition: ServiceTransition) => void;
}

/** They listen until `stack` ends. */
export function announcements(clock: Clock, logger: Logger, stack: DisposalStack): Announcements {
  const onListenerError = (error: unknown): void =>
    logger.error("a listener failed", { reason: errorText(error) });
  const bus = createBus<ServiceTransition>({ onListenerError });
  const stream = createEventStream({ idsAfter: Math.floor(clock.wallMs()), onListenerError });
  stack.defer(bus.subscribe((transition) => logTransition(logger, transition)));
  stack.defer(bus.subscribe((transition) => stream.publish({ kind: "transition", transition })));
  return { bus, stream, publish: (transition) => bus.publish(transition) };
}
