// One connection to a NATS server for calls alone, so that a large result never holds up what machines tell of themselves.
// It is never mended: whatever goes wrong ends it, and every tunnel with it.
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { unlessAborted } from "../../runtime/abort.ts";
import { settledWithin } from "../../runtime/time/clock.ts";
import { LinkFailure } from "../link-failure.ts";
import {
  type ConnectionOptions,
  closeConnection,
  connectToServer,
  failureOf,
  watchEnd,
} from "../nats-session.ts";
import { askSubject, callSubject, inboxOf, offerSubject, unheardInbox } from "../subjects.ts";
import { HEAD_BYTES, LONGEST_DATA } from "./frames.ts";
import type { Wire } from "./switchboard.ts";

const FLUSH_MS = 5_000;
/** What the library and the server put around a message. */
const AROUND_BYTES = 512;
/** Less is no way to send anything. */
const LEAST_DATA = 1_024;
/** By which a server says that nobody listens. */
const NOBODY = 503;

/** What comes in; called one at a time, in the order in which each machine sent it. */
export interface CallsHeard {
  frame(sender: string, bytes: Uint8Array): void;
  offer(sender: string, bytes: Uint8Array): void;
  asked(): void;
  nobodyThere(machine: string): void;
}

/** What this machine does: it exports; it imports. */
export interface CallsPart {
  readonly exports: boolean;
  readonly imports: boolean;
}

interface CallsSessionOptions extends ConnectionOptions, CallsPart {
  readonly heard: CallsHeard;
}

export interface CallsSession extends AsyncDisposable {
  /** Resolves with why, when it is over. */
  readonly ended: Promise<LinkFailure>;
  readonly wire: Wire;
  /** From now on this machine does that. */
  follow(part: CallsPart): void;
  offer(text: string): void;
  /** Asks who offers something. */
  ask(): void;
}

/** Resolves when the server has taken the subscriptions. Rejects with a `LinkFailure`, or as the signal says. */
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

async function begin(connection: NatsConnection, options: CallsSessionOptions): Promise<CallsSession> {
  const { name, heard, clock } = options;
  const over = Promise.withResolvers<LinkFailure>();
  const end = (failure: LinkFailure): void => over.resolve(failure);
  watchEnd(connection, end);
  const listen = (subject: string, take: (sender: string, message: Msg) => void): Subscription => {
    const before = subject.slice(0, subject.indexOf("*"));
    return connection.subscribe(subject, {
      callback(error, message) {
        if (error !== null) end(failureOf(error, "listening"));
        // A member may have JetStream deliver here what stands in a bucket: that comes under the subject it was written to.
        else if (message.subject.startsWith(before)) take(message.subject.split(".")[2] ?? "", message);
      },
    });
  };
  listen(callSubject("*", name), (sender, { data }) => heard.frame(sender, data));
  listen(unheardInbox(name, "*"), (_, { subject, headers }) => {
    const machine = subject.slice(`${inboxOf(name)}.calls.`.length);
    if (headers?.code === NOBODY) heard.nobodyThere(machine);
  });
  let [offers, asks]: (Subscription | null)[] = [null, null];
  const follow = ({ exports, imports }: CallsPart): void => {
    if (!imports) offers?.unsubscribe();
    offers = imports
      ? (offers ?? listen(offerSubject("*"), (sender, { data }) => heard.offer(sender, data)))
      : null;
    if (!exports) asks?.unsubscribe();
    asks = exports ? (asks ?? listen(askSubject("*"), () => heard.asked())) : null;
  };
  follow(options);
  if (!(await settledWithin(clock, FLUSH_MS, connection.flush()))) {
    throw new LinkFailure("listening: no answer in time");
  }
  const chunkBytes = Math.min(LONGEST_DATA, (connection.info?.max_payload ?? 0) - HEAD_BYTES - AROUND_BYTES);
  if (chunkBytes < LEAST_DATA) {
    throw new LinkFailure("the server takes no messages of useful size", "raise max_payload of the server");
  }
  const publish = (subject: string, content: Uint8Array | string, reply?: string): void => {
    try {
      connection.publish(subject, content, reply === undefined ? {} : { reply });
    } catch (error) {
      end(failureOf(error, "sending"));
    }
  };
  return {
    ended: over.promise,
    wire: {
      chunkBytes,
      frame: (machine, bytes) => publish(callSubject(name, machine), bytes, unheardInbox(name, machine)),
    },
    follow(part) {
      try {
        follow(part);
      } catch (error) {
        end(failureOf(error, "listening"));
      }
    },
    offer: (text) => publish(offerSubject(name), text),
    ask: () => publish(askSubject(name), ""),
    [Symbol.asyncDispose]: () => closeConnection(connection, clock),
  };
}
