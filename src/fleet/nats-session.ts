// One connection to a NATS server: the bucket in which machines tell what they are, and the signs of life beside it. It
// is never mended: whatever goes wrong ends it, and the next one begins afresh.

import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import { Socket } from "node:net";
import { JetStreamApiError, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import {
  AuthorizationError,
  connect,
  jwtAuthenticator,
  type NatsConnection,
  NoRespondersError,
  nkeyAuthenticator,
  PermissionViolationError,
  TimeoutError,
  UserAuthenticationExpiredError,
} from "@nats-io/transport-node";
import { unlessAborted } from "../runtime/abort.ts";
import { errorText, systemErrorCode } from "../runtime/errors.ts";
import { type Clock, settledWithin } from "../runtime/time/clock.ts";
import { type LayerBucket, openLayerBucket } from "./layer/layer-bucket.ts";
import { LAYER_BUCKET, LAYER_NEWS } from "./layer/layer-subjects.ts";
import { LinkFailure } from "./link-failure.ts";
import { FORGOTTEN_AFTER_MS } from "./machines.ts";
import type { Credentials } from "./sign-in.ts";
import { BUCKET, beatSubject, inboxOf, rollCallSubject, STREAM } from "./subjects.ts";
import { SUMMARY_LIMIT_BYTES } from "./summary.ts";

const CONNECT_MS = 5_000;
/** With finding its name's address. */
const DEADLINE_MS = 10_000;
const ANSWER_MS = 5_000;
/** A server that is silent for two of them is gone. */
const PING_MS = 4_000;
const PINGS_UNANSWERED = 2;
const CLOSE_MS = 500;
/** JetStream's code. */
const STREAM_NOT_FOUND = 10_059;
/** A sign of life says an instance and no more. */
const LONGEST_BEAT_BYTES = 64;

/** What comes in; called one at a time, in order. */
export interface Heard {
  /** What stands under a key; `isNews`: it was written after the session began. */
  summary(key: string, bytes: Uint8Array, isNews: boolean): void;
  removed(key: string): void;
  /** All that stood in the bucket has been told. */
  caughtUp(): void;
  beat(name: string, instance: string): void;
  /** There may be another layer of configuration. */
  layerNews?(): void;
  /** Somebody asks who is there. */
  rollCall(): void;
}

export interface ConnectionOptions {
  /** As the configuration has it. */
  readonly server: string;
  readonly name: string;
  readonly credentials: Credentials;
  /** PEM; null: the CAs that Node knows. */
  readonly authority: string | null;
  readonly clock: Clock;
}

export interface SessionOptions extends ConnectionOptions {
  readonly heard: Heard;
}

export interface NatsSession extends AsyncDisposable {
  /** Resolves with why, when it is over. */
  readonly ended: Promise<LinkFailure>;
  /** Rejects with a LinkFailure, which ends the session, too. */
  put(text: string): Promise<void>;
  /** Like `put`, unless somebody else has written there since: a later start of this machine. */
  putLast(text: string): Promise<void>;
  /** Takes back what was put, likewise. */
  remove(): Promise<void>;
  /** Shows that this machine is there. */
  beat(instance: string): void;
  /** The layer of configuration; what goes wrong there does not end the session. */
  readonly layers: LayerBucket;
  /** How many machines stood in the bucket when this began; some may have left. */
  readonly told: number;
  /** Whether this machine hears who asks: a server with the permissions of an older version keeps that from it. */
  readonly hearsRollCalls: boolean;
  /**
   * From now on the others are heard, too: asks who is there, and reads what each tells. Nothing of that is heard
   * before, and only what is of this machine after the returned function was called.
   */
  listen(): () => void;
}

/** Rejects with a LinkFailure, or with the signal's reason. */
export async function openSession(options: SessionOptions, signal: AbortSignal): Promise<NatsSession> {
  const line: Line = { connection: await connectToServer(options, signal), watches: new Set() };
  try {
    return await unlessAborted(begin(line, options), signal);
  } catch (error) {
    await close(line, options.clock);
    throw error;
  }
}

interface Line {
  readonly connection: NatsConnection;
  /** Of the bucket, each from when it is asked for. */
  readonly watches: Set<ReturnType<typeof watchBucket>>;
}

/** A connection that was made, and signed in. Rejects with a `LinkFailure`. */
export async function connectToServer(
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<NatsConnection> {
  const { server, name, credentials, authority, clock } = options;
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  // The library would hold the certificate of an address against the name `localhost`.
  const host = new URL(server).hostname.replace(/^\[(.*)\]$/, "$1");
  const secured = { host, ...(authority === null ? {} : { ca: authority }) };
  const connecting = withItsSockets(() =>
    connect({
      servers: [server.replace(/^tls:/, "nats:")],
      name: `mountaineer ${name}`,
      inboxPrefix: inboxOf(name),
      // Without TLS from the server, one that wants it does not sign in.
      tls: server.startsWith("tls:") ? secured : null,
      authenticator:
        credentials.kind === "nkey"
          ? nkeyAuthenticator(encode(credentials.seed))
          : jwtAuthenticator(credentials.jwt, encode(credentials.seed)),
      reconnect: false,
      // Others than the configured ones are none of ours.
      ignoreClusterUpdates: true,
      noAsyncTraces: true,
      timeout: CONNECT_MS,
      pingInterval: PING_MS,
      maxPingOut: PINGS_UNANSWERED,
    }),
  );
  try {
    if (await unlessAborted(settledWithin(clock, DEADLINE_MS, connecting), signal)) return await connecting;
  } catch (error) {
    closeLate(connecting);
    signal.throwIfAborted();
    throw failureOf(error, "connecting");
  }
  // The system may look for a name for long, on a thread of which there are few: never twice at once.
  throw new LinkFailure("connecting: no answer in time", null, closeLate(connecting));
}

/** Of a connection that nobody waits for any more; resolves when it is over. */
async function closeLate(connecting: Promise<NatsConnection>): Promise<void> {
  await connecting.then((late) => late.close()).catch(() => {});
}

async function begin(line: Line, options: SessionOptions): Promise<NatsSession> {
  const { connection } = line;
  const { name, heard, clock } = options;
  const over = Promise.withResolvers<LinkFailure>();
  const end = (failure: LinkFailure): void => over.resolve(failure);
  const endsBy = (work: Promise<unknown>, what: string): void => {
    work.catch((error: unknown) => end(failureOf(error, what)));
  };
  watchEnd(connection, end);

  const { bucket, told } = await openBucket(connection);
  const layers = openLayerBucket(connection, () => heard.layerNews?.());
  const hearBeats = (of: string) =>
    connection.subscribe(beatSubject(of), {
      callback(error, message) {
        if (error !== null) {
          end(failureOf(error, "listening"));
          return;
        }
        // Another subject: a member had JetStream deliver here what stands in a bucket.
        const sender = message.subject.split(".")[2];
        if (sender === undefined || message.subject !== beatSubject(sender)) return;
        if (message.data.length > LONGEST_BEAT_BYTES) return;
        heard.beat(sender, message.string());
      },
    });
  // Another machine of this name shows itself by them.
  hearBeats(name);
  let hearsRollCalls = true;
  connection.subscribe(rollCallSubject("*"), {
    callback(error) {
      if (error === null) heard.rollCall();
      else hearsRollCalls = false;
    },
  });

  let revision = 0;
  const written = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      const failure = failureOf(error, "telling what this machine is");
      end(failure);
      throw failure;
    }
  };
  return {
    ended: over.promise,
    layers,
    told,
    get hearsRollCalls() {
      return hearsRollCalls;
    },
    listen() {
      const resting = new AbortController();
      const beats = hearBeats("*");
      endsBy(readBucket(line, bucket, options, resting.signal, end), "reading what others tell");
      try {
        connection.publish(rollCallSubject(name));
      } catch (error) {
        end(failureOf(error, "asking who is there"));
      }
      return () => {
        resting.abort();
        beats.unsubscribe();
      };
    },
    put: (text) =>
      written(async () => {
        revision = await bucket.put(name, text, { timeout: ANSWER_MS });
      }),
    async putLast(text) {
      if (revision > 0) await bucket.put(name, text, { previousSeq: revision, timeout: ANSWER_MS });
    },
    async remove() {
      if (revision > 0) await bucket.delete(name, { previousSeq: revision });
    },
    beat(instance) {
      try {
        connection.publish(beatSubject(name), instance);
      } catch (error) {
        end(failureOf(error, "telling that this machine is there"));
      }
    },
    [Symbol.asyncDispose]: () => close(line, clock),
  };
}

/** The one there is, and how many stand in it; else it is made, with limits. */
async function openBucket(connection: NatsConnection): Promise<{ bucket: KV; told: number }> {
  const limits = { timeout: ANSWER_MS };
  try {
    const { streams } = await jetstreamManager(connection, limits);
    const { state } = await streams.info(STREAM).catch((error: unknown) => {
      if (!(error instanceof JetStreamApiError) || error.code !== STREAM_NOT_FOUND) throw error;
      return streams.add({ ...BUCKET_STREAM, subjects: [...BUCKET_STREAM.subjects] });
    });
    const bucket = await new Kvm(jetstream(connection, limits)).open(BUCKET);
    return { bucket, told: state.messages };
  } catch (error) {
    throw failureOf(error, `opening or making the bucket ${BUCKET}`);
  }
}

/** What is written after `before` is news; what the library says of this is wrong for the last one that stood there. */
async function watchBucket(bucket: KV) {
  const { streamInfo } = await bucket.status();
  return { before: streamInfo.state.last_seq, entries: await bucket.watch() };
}

/** Until the signal aborts. */
async function readBucket(
  line: Line,
  bucket: KV,
  { heard }: SessionOptions,
  resting: AbortSignal,
  end: (failure: LinkFailure) => void,
): Promise<void> {
  const watch = watchBucket(bucket);
  line.watches.add(watch);
  const { before, entries } = await watch;
  const stop = (): void => {
    line.watches.delete(watch);
    entries.stop();
  };
  if (resting.aborted) stop();
  else resting.addEventListener("abort", stop, { once: true });
  let isCaughtUp = false;
  for await (const { key, operation, value, revision, delta } of entries) {
    if (resting.aborted) return;
    if (operation === "PUT") heard.summary(key, value, revision > before);
    else heard.removed(key);
    // It comes to that at the latest with what this machine tells itself.
    if (isCaughtUp || delta !== 0) continue;
    isCaughtUp = true;
    heard.caughtUp();
  }
  if (!resting.aborted) end(new LinkFailure("the server sends nothing of the bucket any more"));
}

/** Calls `end` with why when the connection is over, or of no use any more. */
export function watchEnd(connection: NatsConnection, end: (failure: LinkFailure) => void): void {
  connection.closed().then((error) => {
    end(
      error instanceof Error
        ? failureOf(error, "connected")
        : new LinkFailure("the connection to the server was lost"),
    );
  }, end);
  watchRefusals(connection, end).catch((error: unknown) => end(failureOf(error, "connected")));
}

/** What the server says of messages that have no answer. */
async function watchRefusals(connection: NatsConnection, end: (failure: LinkFailure) => void): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type !== "error" || isOfLayer(status.error) || isOfRollCalls(status.error)) continue;
    end(failureOf(status.error, "connected"));
  }
}

/** An account that was set up before there were layers permits nothing of them. */
function isOfLayer(error: unknown): boolean {
  if (!(error instanceof PermissionViolationError)) return false;
  return [LAYER_BUCKET, LAYER_NEWS].some((name) => error.subject.includes(name));
}

/** Servers whose permissions were written for an older version: without roll calls it only takes longer. */
function isOfRollCalls(error: Error): boolean {
  return (
    error instanceof PermissionViolationError && /^mountaineer\.fleet\.[^.]+\.rollcall$/.test(error.subject)
  );
}

async function close({ connection, watches }: Line, clock: Clock): Promise<void> {
  // A watch that begins while its connection closes is never ended by the library: it would print errors for ever.
  const stopping = [...watches].map((watch) => watch.then(({ entries }) => entries.stop()));
  await settledWithin(clock, CLOSE_MS, Promise.allSettled(stopping));
  await closeConnection(connection, clock);
}

/** What is left is dropped, if the server does not take it soon. */
export async function closeConnection(connection: NatsConnection, clock: Clock): Promise<void> {
  for (const step of [() => connection.flush(), () => connection.close()]) {
    await settledWithin(
      clock,
      CLOSE_MS,
      step().catch(() => {}),
    );
  }
}

/** In words, and with what a person can do. */
export function failureOf(error: unknown, when: string): LinkFailure {
  if (error instanceof LinkFailure) return error;
  const causes = [error, error instanceof Error ? error.cause : null];
  for (const cause of causes) {
    if (cause instanceof AuthorizationError || cause instanceof UserAuthenticationExpiredError) {
      return new LinkFailure(
        "the server refuses the credentials",
        "see that the server knows this machine's public key, and that [fleet].credentials is its seed",
      );
    }
    if (cause instanceof PermissionViolationError) {
      return new LinkFailure(
        `the server does not permit to ${cause.operation === "publish" ? "publish" : "subscribe to"} ${cause.subject}`,
        "docs/fleet.md lists what a machine needs",
      );
    }
    if (isJetStreamOff(cause)) {
      return new LinkFailure(
        "JetStream is not on, on that server or for this account",
        "start the server with JetStream (nats-server -js), and allow it for the account",
      );
    }
    if (cause instanceof JetStreamApiError) {
      return new LinkFailure(
        `${when}: JetStream refuses: ${cause.message}`,
        "see the server's log: its disk may be full or its store gone; docs/fleet.md says what is needed",
      );
    }
  }
  const cause = causes.find((each) => systemErrorCode(each) !== null) ?? error;
  if (error instanceof TimeoutError) return new LinkFailure(`${when}: no answer in time`);
  return new LinkFailure(`${when}: ${errorText(cause)}`);
}

/** The library keeps the class of this error to itself. */
function isJetStreamOff(error: unknown): boolean {
  if (error instanceof NoRespondersError) return true;
  return error instanceof Error && error.name === "JetStreamNotEnabled";
}

// The sockets that the library of NATS opens. When it gives up a server that never greets, it forgets its socket and leaves
// it open, one for each attempt.

const opened = new AsyncLocalStorage<Set<Socket>>();

subscribe("net.client.socket", (message) => {
  if (typeof message !== "object" || message === null || !("socket" in message)) return;
  if (message.socket instanceof Socket) opened.getStore()?.add(message.socket);
});

/** What `connecting` opens is closed when it rejects. */
export async function withItsSockets<T>(connecting: () => Promise<T>): Promise<T> {
  const sockets = new Set<Socket>();
  try {
    return await opened.run(sockets, connecting);
  } catch (error) {
    for (const socket of sockets) {
      // The library has taken its own listeners off.
      socket.on("error", () => {});
      socket.destroy();
    }
    throw error;
  }
}

// The bucket in which machines tell what they are, as JetStream is told to make it: whoever makes it, it is the same one.

/** Of a fleet of 1,000 all may listen; a member that makes more of them must not fill the server's memory and disk. */
const MOST_READERS = 1_024;
const NANOS_IN_MS = 1_000_000;

/** No message may replace others than that of its own key, as one with `Nats-Rollup` would. */
export const BUCKET_STREAM = {
  name: STREAM,
  subjects: [`$KV.${BUCKET}.>`],
  description: "what the machines of a Mountaineer fleet tell of themselves",
  retention: "limits",
  storage: "file",
  discard: "new",
  num_replicas: 1,
  max_consumers: MOST_READERS,
  max_msgs: -1,
  max_msgs_per_subject: 1,
  max_bytes: 64 * 1024 * 1024,
  max_msg_size: SUMMARY_LIMIT_BYTES,
  max_age: FORGOTTEN_AFTER_MS * NANOS_IN_MS,
  allow_direct: true,
  deny_delete: true,
  allow_rollup_hdrs: false,
} as const;
