// One connection to a NATS server. The library never reconnects it, so any error ends the connection.
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import { Socket } from "node:net";
import { JetStreamApiError } from "@nats-io/jetstream";
import {
  AuthorizationError,
  connect,
  jwtAuthenticator,
  type Msg,
  type NatsConnection,
  NoRespondersError,
  nkeyAuthenticator,
  PermissionViolationError,
  type Subscription,
  TimeoutError,
  UserAuthenticationExpiredError,
} from "@nats-io/transport-node";
import { unlessAborted } from "../../runtime/abort.ts";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { type Clock, settlesWithin } from "../../runtime/time/clock.ts";
import { FleetConnectionError, SignInRefused } from "./fleet-connection-error.ts";
import type { SignIn } from "./sign-in.ts";
import { inboxOf, senderOf } from "./subjects.ts";

const CONNECT_MS = 5_000;
/** Limit for connecting and signing in, including the lookup of the server's name, ms. */
const DEADLINE_MS = 10_000;
/** Interval of pings, ms. A server that leaves `PINGS_UNANSWERED` of them unanswered counts as lost. */
const PING_MS = 4_000;
const PINGS_UNANSWERED = 2;
const CLOSE_MS = 500;

/** An error code of JetStream. */
export const STREAM_NOT_FOUND = 10_059;

/**
 * Options of every bucket. They forbid `Nats-Rollup`, so that a message can only replace an older message of its key.
 */
export const BUCKET_DEFAULTS = {
  retention: "limits",
  storage: "file",
  discard: "new",
  num_replicas: 1,
  max_msgs: -1,
  allow_direct: true,
  deny_delete: true,
  allow_rollup_hdrs: false,
} as const;

export interface ConnectionOptions extends SignIn {
  /** A URL: `nats://HOST:PORT` or `tls://HOST:PORT`. */
  readonly server: string;
  readonly name: string;
  readonly clock: Clock;
}

/** Connects and signs in. Rejects with a `FleetConnectionError`, or with the signal's reason. */
export async function connectToServer(
  { server, name, credentials, authority, clock }: ConnectionOptions,
  signal: AbortSignal,
): Promise<NatsConnection> {
  const seed = new TextEncoder().encode(credentials.seed);
  // Without `host`, the library checks the certificate of a server with an IP address against `localhost`.
  const host = new URL(server).hostname.replace(/^\[(.*)\]$/, "$1");
  const secured = { host, ...(authority === null ? {} : { ca: authority }) };
  const connecting = closingSocketsOnFailure(() =>
    connect({
      servers: [server.replace(/^tls:/, "nats:")],
      name: `mountaineer ${name}`,
      inboxPrefix: inboxOf(name),
      // With null, the client does not sign in to a server that requires TLS.
      tls: server.startsWith("tls:") ? secured : null,
      authenticator:
        credentials.kind === "nkey" ? nkeyAuthenticator(seed) : jwtAuthenticator(credentials.jwt, seed),
      reconnect: false,
      // Only configured servers are used, not those that a server announces.
      ignoreClusterUpdates: true,
      noAsyncTraces: true,
      timeout: CONNECT_MS,
      pingInterval: PING_MS,
      maxPingOut: PINGS_UNANSWERED,
    }),
  );
  try {
    if (await unlessAborted(settlesWithin(clock, DEADLINE_MS, connecting), signal)) return await connecting;
  } catch (error) {
    void closeLate(connecting);
    signal.throwIfAborted();
    throw failureOf(error, "connecting");
  }
  // A slow name lookup blocks one of the few threads for lookups, so the next attempt waits for its end.
  throw new FleetConnectionError("connecting: no answer in time", null, closeLate(connecting));
}

/**
 * Subscribes to messages that machines publish. `subject`: `*` in it is the sender. Ignores messages that a member
 * makes the server deliver there without the right to publish them: stored messages have other subjects or a header,
 * and the server's status messages have a header. JetStream's answers in JSON remain, which are not frames, offers or
 * beats.
 */
export function listen(
  connection: NatsConnection,
  subject: string,
  take: (message: Msg) => void,
  failed: (error: Error) => void,
): Subscription {
  return connection.subscribe(subject, {
    callback(error, message) {
      if (error !== null) failed(error);
      else if (
        message.headers === undefined &&
        message.subject === subject.replace("*", senderOf(message.subject))
      )
        take(message);
    },
  });
}

/**
 * Calls `use` for one server after another until it succeeds, and resolves with its result. If it fails for
 * all servers, rejects with the first `FleetConnectionError`.
 */
export async function atFirstServer<T>(
  servers: readonly string[],
  use: (server: string) => Promise<T>,
): Promise<T> {
  let failure: FleetConnectionError | null = null;
  for (const server of servers) {
    try {
      return await use(server);
    } catch (error) {
      if (!(error instanceof FleetConnectionError)) throw error;
      failure ??= error;
    }
  }
  throw failure ?? new FleetConnectionError("there is no server");
}

/** Closes a connection that is established after its deadline; resolves when that is done. */
async function closeLate(connecting: Promise<NatsConnection>): Promise<void> {
  await connecting.then((late) => late.close()).catch(() => {});
}

/** Calls `end` with the reason when the connection is over, or when an error makes it useless. */
export function watchEnd(connection: NatsConnection, end: (failure: FleetConnectionError) => void): void {
  const endBy = (error: unknown): void => end(failureOf(error, "connected"));
  const watchRefusals = async (): Promise<void> => {
    for await (const status of connection.status()) {
      if (status.type === "error") endBy(status.error);
    }
  };
  connection.closed().then((error) => {
    if (error instanceof Error) endBy(error);
    else end(new FleetConnectionError("the connection to the server was lost"));
  }, end);
  watchRefusals().catch(endBy);
}

/** Drops messages that the server does not accept soon. */
export async function closeConnection(connection: NatsConnection, clock: Clock): Promise<void> {
  for (const step of [() => connection.flush(), () => connection.close()]) {
    const done = step().catch(() => {});
    await settlesWithin(clock, CLOSE_MS, done);
  }
}

/** The error in words, with what a person can do about it. `when`: what the machine was doing. */
export function failureOf(error: unknown, when: string): FleetConnectionError {
  if (error instanceof FleetConnectionError) return error;
  const causes = [error, error instanceof Error ? error.cause : null];
  for (const cause of causes) {
    if (cause instanceof AuthorizationError || cause instanceof UserAuthenticationExpiredError) {
      return new SignInRefused(
        "the server refuses the credentials",
        "check that the server knows this machine's public key, and that [fleet].credentials is its seed",
      );
    }
    if (cause instanceof PermissionViolationError) {
      const verb = cause.operation === "publish" ? "publish" : "subscribe to";
      return new FleetConnectionError(
        `the server denied permission to ${verb} ${cause.subject}`,
        "docs/reference/fleet.md lists what a machine needs",
      );
    }
    if (isJetStreamOff(cause)) {
      return new FleetConnectionError(
        "JetStream is off, on that server or for this account",
        "start the server with JetStream (nats-server -js), and allow it for the account",
      );
    }
    if (cause instanceof JetStreamApiError) {
      return new FleetConnectionError(
        `${when}: JetStream refuses: ${cause.message}`,
        "see the server's log: its disk may be full or its store gone; docs/reference/fleet.md says what is needed",
      );
    }
  }
  if (error instanceof TimeoutError) return new FleetConnectionError(`${when}: no answer in time`);
  const cause = causes.find((each) => systemErrorCode(each) !== null) ?? error;
  return new FleetConnectionError(`${when}: ${errorText(cause)}`);
}

/** The library does not export the class `JetStreamNotEnabled`. */
function isJetStreamOff(error: unknown): boolean {
  if (error instanceof NoRespondersError) return true;
  return error instanceof Error && error.name === "JetStreamNotEnabled";
}

const opened = new AsyncLocalStorage<Set<Socket>>();

subscribe("net.client.socket", (message) => {
  if (typeof message !== "object" || message === null || !("socket" in message)) return;
  if (message.socket instanceof Socket) opened.getStore()?.add(message.socket);
});

/**
 * If `connecting` rejects, destroys the sockets that it has opened. The library leaves a socket open to each
 * server that accepts a connection and never greets.
 */
async function closingSocketsOnFailure<T>(connecting: () => Promise<T>): Promise<T> {
  const sockets = new Set<Socket>();
  try {
    return await opened.run(sockets, connecting);
  } catch (error) {
    for (const socket of sockets) {
      // The library has removed its own error listeners, and Node throws an `error` event without a listener.
      socket.on("error", () => {});
      socket.destroy();
    }
    throw error;
  }
}
