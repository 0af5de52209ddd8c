// A session with the fleet's server for calls only. Summaries and beats have another session, so that a large
// result never delays them. Any error ends this session and all of its tunnels.
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { unlessAborted } from "../../runtime/abort.ts";
import { settlesWithin } from "../../runtime/time/clock.ts";
import {
  type ConnectionOptions,
  closeConnection,
  connectToServer,
  failureOf,
  listen,
  watchEnd,
} from "../nats/connection.ts";
import { FleetConnectionError } from "../nats/fleet-connection-error.ts";
import {
  callSubject,
  inboxOf,
  offerSubject,
  requestSubject,
  senderOf,
  unheardInbox,
} from "../nats/subjects.ts";
import { HEAD_BYTES, LONGEST_DATA } from "./frames.ts";
import type { Wire } from "./tunnel-registry.ts";

const FLUSH_MS = 5_000;
/** Bytes of each message that are kept free for the headers of the NATS library and the server. */
const AROUND_BYTES = 512;
/** Minimum data per frame, bytes; with less, calls would be too slow to be useful. */
const LEAST_DATA = 1_024;
/** The server's status for a message whose subject has no subscriber. */
const NO_RESPONDERS = 503;

/** The methods are called one at a time; for each machine, in the order of that machine's messages. */
export interface CallsEvents {
  frame(sender: string, bytes: Uint8Array): void;
  offer(sender: string, bytes: Uint8Array): void;
  /** Another machine asks which backends this machine offers. */
  offersRequested(): void;
  /** Called when the server reports that frames for `machine` have no subscriber. */
  nobodyThere(machine: string): void;
}

export interface CallsPart {
  readonly exports: boolean;
  readonly imports: boolean;
}

interface CallsSessionOptions extends ConnectionOptions, CallsPart {
  readonly events: CallsEvents;
}

export type CallsSession = Awaited<ReturnType<typeof begin>>;

/**
 * Resolves when the server has accepted the subscriptions. Rejects with a `FleetConnectionError`, or with the signal's
 * reason.
 */
export async function openCallsSession(
  options: CallsSessionOptions,
  signal: AbortSignal,
): Promise<CallsSession> {
  const connection = await connectToServer(options, signal);
  try {
    return await unlessAborted(begin(connection, options), signal);
  } catch (error) {
    await closeConnection(connection, options.clock);
    throw error;
  }
}

async function begin(connection: NatsConnection, options: CallsSessionOptions) {
  const { name, events, clock } = options;
  const over = Promise.withResolvers<FleetConnectionError>();
  watchEnd(connection, over.resolve);
  /** Ends the session if `work` throws. */
  const guarded = (when: string, work: () => void): void => {
    try {
      work();
    } catch (error) {
      over.resolve(failureOf(error, when));
    }
  };
  const notHeard = (error: Error): void => over.resolve(failureOf(error, "listening"));
  const hear = (subject: string, take: (message: Msg) => void): Subscription =>
    listen(connection, subject, take, notHeard);
  hear(callSubject("*", name), ({ subject, data }) => events.frame(senderOf(subject), data));
  connection.subscribe(unheardInbox(name, "*"), {
    callback(error, { subject, headers }) {
      if (error !== null) notHeard(error);
      else if (headers?.code === NO_RESPONDERS)
        events.nobodyThere(subject.slice(`${inboxOf(name)}.calls.`.length));
    },
  });
  let [offers, requests]: (Subscription | null)[] = [null, null];
  const follow = ({ exports, imports }: CallsPart): void => {
    if (imports) {
      offers ??= hear(offerSubject("*"), ({ subject, data }) => events.offer(senderOf(subject), data));
    } else {
      offers?.unsubscribe();
      offers = null;
    }
    if (exports) requests ??= hear(requestSubject("*"), () => events.offersRequested());
    else {
      requests?.unsubscribe();
      requests = null;
    }
  };
  follow(options);
  if (!(await settlesWithin(clock, FLUSH_MS, connection.flush()))) {
    throw new FleetConnectionError("listening: no answer in time");
  }
  const chunkBytes = Math.min(LONGEST_DATA, (connection.info?.max_payload ?? 0) - HEAD_BYTES - AROUND_BYTES);
  if (chunkBytes < LEAST_DATA) {
    throw new FleetConnectionError(
      "the server's limit for messages is too small",
      "raise max_payload of the server",
    );
  }
  const publish = (subject: string, content: Uint8Array | string, reply?: string): void =>
    guarded("sending", () => connection.publish(subject, content, reply === undefined ? {} : { reply }));
  return {
    /** Resolves with the reason when the session is over. */
    ended: over.promise,
    wire: {
      chunkBytes,
      frame: (machine, bytes) => publish(callSubject(name, machine), bytes, unheardInbox(name, machine)),
    } satisfies Wire,
    follow: (part: CallsPart): void => guarded("listening", () => follow(part)),
    offer: (text: string): void => publish(offerSubject(name), text),
    /** Asks all other machines to send their offers. */
    requestOffers: (): void => publish(requestSubject(name), ""),
    [Symbol.asyncDispose]: () => closeConnection(connection, clock),
  };
}
