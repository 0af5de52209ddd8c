// One session with the fleet's server: the bucket in which each machine publishes its summary, and the beats
// (signs of life) that all machines send. Any error ends the session, and the next one begins without any of
// its state.
import { JetStreamApiError, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { unlessAborted } from "../runtime/abort.ts";
import { settlesWithin } from "../runtime/time/clock.ts";
import { FORGOTTEN_AFTER_MS } from "./machines.ts";
import {
  BUCKET_DEFAULTS,
  type ConnectionOptions,
  closeConnection,
  connectToServer,
  failureOf,
  listen,
  STREAM_NOT_FOUND,
  watchEnd,
} from "./nats/connection.ts";
import { FleetConnectionError } from "./nats/fleet-connection-error.ts";
import { BUCKET, beatSubject, rollCallSubject, STREAM, senderOf } from "./nats/subjects.ts";
import { SUMMARY_LIMIT_BYTES } from "./summary.ts";

const ANSWER_MS = 5_000;
const CLOSE_MS = 500;
/** A beat contains an instance id only. Every answer of JetStream is longer. */
const LONGEST_BEAT_BYTES = 64;
/**
 * Maximum number of consumers of the bucket, enough for 1,000 subscribed machines. Without a limit, a member
 * could fill the server's memory with consumers.
 */
const MOST_READERS = 1_024;
const NANOS_IN_MS = 1_000_000;

/** The bucket's stream, with the same options on every machine that may make it. */
export const BUCKET_STREAM = {
  ...BUCKET_DEFAULTS,
  name: STREAM,
  subjects: [`$KV.${BUCKET}.>`],
  description: "the records of a Mountaineer fleet's machines",
  max_consumers: MOST_READERS,
  max_msgs_per_subject: 1,
  max_bytes: 64 * 1024 * 1024,
  max_msg_size: SUMMARY_LIMIT_BYTES,
  max_age: FORGOTTEN_AFTER_MS * NANOS_IN_MS,
} as const;

/** Callbacks of a session, called one at a time, in order. */
export interface SessionEvents {
  /**
   * Called for each entry of the KV bucket of summaries. `isNew`: the entry was written after the subscription began.
   */
  summary(key: string, bytes: Uint8Array, isNew: boolean): void;
  removed(key: string): void;
  /** Called when `summary` has been called with all entries that the bucket had when the subscription began. */
  caughtUp(): void;
  beat(name: string, instance: string): void;
  /** Called when a machine asks all others for a beat. */
  rollCall(): void;
}

interface SessionOptions extends ConnectionOptions {
  readonly events: SessionEvents;
}

export type NatsSession = Awaited<ReturnType<typeof begin>>;

/** Connects to a server and opens the bucket. Rejects with a `FleetConnectionError`, or with the signal's reason. */
export async function openSession(options: SessionOptions, signal: AbortSignal): Promise<NatsSession> {
  const connection = await connectToServer(options, signal);
  const watches: Watches = new Set();
  const close = async (): Promise<void> => {
    // Stops the watches first: the library never ends a watch that begins while its connection closes, and
    // prints errors for ever.
    const stopping = [...watches].map((watch) => watch.then(({ entries }) => entries.stop()));
    await settlesWithin(options.clock, CLOSE_MS, Promise.allSettled(stopping));
    await closeConnection(connection, options.clock);
  };
  try {
    return await unlessAborted(begin(connection, options, watches, close), signal);
  } catch (error) {
    await close();
    throw error;
  }
}

/** Watches over the bucket that were requested and not stopped. */
type Watches = Set<ReturnType<typeof watchBucket>>;

async function begin(
  connection: NatsConnection,
  { name, events }: SessionOptions,
  watches: Watches,
  close: () => Promise<void>,
) {
  const over = Promise.withResolvers<FleetConnectionError>();
  const endBy = (error: unknown, when: string): FleetConnectionError => {
    const failure = failureOf(error, when);
    over.resolve(failure);
    return failure;
  };
  const publish = (when: string, subject: string, text?: string): void => {
    try {
      connection.publish(subject, text);
    } catch (error) {
      endBy(error, when);
    }
  };
  watchEnd(connection, over.resolve);

  const { bucket, machineCount } = await openBucket(connection);
  const subscribeToBeats = (of: string) =>
    listen(
      connection,
      beatSubject(of),
      (message) => {
        if (message.data.length <= LONGEST_BEAT_BYTES)
          events.beat(senderOf(message.subject), message.string());
      },
      (error) => endBy(error, "listening"),
    );
  // A beat under this machine's own name comes from another machine that uses the name.
  subscribeToBeats(name);
  listen(connection, rollCallSubject("*"), events.rollCall, (error) => endBy(error, "listening"));

  /** Passes on the bucket's entries until the signal aborts. */
  const readBucket = async (stopped: AbortSignal): Promise<void> => {
    const watch = watchBucket(bucket);
    watches.add(watch);
    const { before, entries } = await watch;
    const stop = (): void => {
      watches.delete(watch);
      entries.stop();
    };
    if (stopped.aborted) stop();
    else stopped.addEventListener("abort", stop, { once: true });
    let isCaughtUp = false;
    for await (const { key, operation, value, revision, delta } of entries) {
      if (stopped.aborted) return;
      if (operation === "PUT") events.summary(key, value, revision > before);
      else events.removed(key);
      // `delta` is the number of entries still to come. An empty bucket sends no entry at first; then the entry that
      // this machine writes itself arrives with 0.
      if (isCaughtUp || delta !== 0) continue;
      isCaughtUp = true;
      events.caughtUp();
    }
    if (!stopped.aborted) throw new FleetConnectionError("the server no longer sends the bucket");
  };

  let revision = 0;
  return {
    /** Resolves with the reason when the session is over. */
    ended: over.promise,
    /** Number of summaries in the bucket when the session began; the machines of some summaries may have left. */
    machineCount,
    /**
     * Subscribes to all other machines, and asks them for a beat. Returns a function that unsubscribes.
     * Without a subscription, only beats under this machine's own name are passed on.
     */
    subscribe() {
      const stopping = new AbortController();
      const beats = subscribeToBeats("*");
      readBucket(stopping.signal).catch((error: unknown) => endBy(error, "reading what others tell"));
      publish("asking for the machines that are there", rollCallSubject(name));
      return () => {
        stopping.abort();
        beats.unsubscribe();
      };
    },
    /** Writes this machine's summary. Rejects with a `FleetConnectionError`, which also ends the session. */
    async put(text: string): Promise<void> {
      try {
        revision = await bucket.put(name, text, { timeout: ANSWER_MS });
      } catch (error) {
        throw endBy(error, "telling what this machine is");
      }
    },
    /** Writes the summary, unless a later start of this machine has written its own. */
    async putLast(text: string): Promise<void> {
      if (revision > 0) await bucket.put(name, text, { previousSeq: revision, timeout: ANSWER_MS });
    },
    /** Removes this machine's summary, unless a later start of this machine has written its own. */
    async remove(): Promise<void> {
      if (revision > 0) await bucket.delete(name, { previousSeq: revision });
    },
    beat: (instance: string): void =>
      publish("telling that this machine is there", beatSubject(name), instance),
    [Symbol.asyncDispose]: close,
  };
}

/** Opens the bucket, and makes it if it does not exist. */
async function openBucket(connection: NatsConnection): Promise<{ bucket: KV; machineCount: number }> {
  const limits = { timeout: ANSWER_MS };
  try {
    const { streams } = await jetstreamManager(connection, limits);
    const { state } = await streams.info(STREAM).catch((error: unknown) => {
      if (!(error instanceof JetStreamApiError) || error.code !== STREAM_NOT_FOUND) throw error;
      return streams.add({ ...BUCKET_STREAM, subjects: [...BUCKET_STREAM.subjects] });
    });
    const bucket = await new Kvm(jetstream(connection, limits)).open(BUCKET);
    return { bucket, machineCount: state.messages };
  } catch (error) {
    throw failureOf(error, `opening or making the bucket ${BUCKET}`);
  }
}

/**
 * Begins to watch the KV bucket in which machines publish their summaries. Entries with a higher revision than
 * `before` were written after the watch began; the library's own `isUpdate` is wrong for the revision `before`.
 */
async function watchBucket(bucket: KV) {
  const { streamInfo } = await bucket.status();
  return { before: streamInfo.state.last_seq, entries: await bucket.watch() };
}
