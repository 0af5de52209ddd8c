// The fleet connection: one session with one of several NATS servers. When a session ends, the next begins after a pause.
// It never gives up.
import type { FleetConfig } from "../../config/snapshot.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import type { ConditionText } from "../../runtime/conditions/conditions.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { backoffMs } from "../../runtime/time/backoff.ts";
import { isoTime } from "../../runtime/time/clock.ts";
import type { FleetCondition, FleetConditionName } from "../conditions/condition-rows.ts";
import type { ConnectionOptions } from "./connection.ts";
import { FleetConnectionError } from "./fleet-connection-error.ts";
import { readSignIn, type SignInOptions } from "./sign-in.ts";

const RETRY_MS = { first: 100, most: 15_000 };
/** A session that lasted this long resets the backoff, ms. */
const GOOD_SESSION_MS = 10_000;

export interface FleetConnectionOptions extends SignInOptions {
  readonly config: Pick<FleetConfig, "name" | "servers" | "credentials" | "tlsCa">;
  readonly logger: Logger;
}

interface OpenSession extends AsyncDisposable {
  /** Resolves with the reason when the session is over. */
  readonly ended: Promise<FleetConnectionError>;
}

interface ConnectionParts<Session extends OpenSession> {
  /** Ends the link. */
  readonly signal: AbortSignal;
  /** The link's name in the log; absent: nothing is logged. */
  readonly title?: "fleet" | "fleet calls";
  /** Opens a session. Rejects with a `FleetConnectionError`, or with the signal's reason. */
  readonly open: (target: ConnectionOptions, signal: AbortSignal) => Promise<Session>;
  readonly onOpen?: (session: Session) => void;
  /** Called when an open session is over, before its disposal. */
  readonly onOver?: () => void;
  /** Called at this interval while a session is open. */
  readonly work?: { readonly everyMs: number; readonly run: () => void };
}

export type FleetServerConnection = ReturnType<typeof startFleetConnection>;

interface ConnectionState {
  readonly isConnected: boolean;
  /** The server that the link uses, or tried last; null: the first attempt is under way. */
  readonly server: string | null;
  readonly sinceWallMs: number;
  /** Why the link is down; null: connected, or the first attempt is under way. */
  readonly failure: FleetConnectionError | null;
}

export function startFleetConnection<Session extends OpenSession>(
  options: FleetConnectionOptions,
  { signal, title, open, onOpen, onOver, work }: ConnectionParts<Session>,
) {
  const { clock, logger } = options;
  const { name, servers } = options.config;
  let state: ConnectionState = {
    isConnected: false,
    server: null,
    sinceWallMs: clock.wallMs(),
    failure: null,
  };

  const runSession = async (server: string): Promise<FleetConnectionError> => {
    const session = await open({ server, name, clock, ...(await readSignIn(options, signal)) }, signal);
    const over = new AbortController();
    try {
      state = { isConnected: true, server, sinceWallMs: clock.wallMs(), failure: null };
      if (title !== undefined) logger.info(`${title} connected`, { server, name });
      onOpen?.(session);
      if (work !== undefined) {
        const until = AbortSignal.any([signal, over.signal]);
        const repeat = async (): Promise<void> => {
          for (;;) {
            await clock.sleep(work.everyMs, until);
            work.run();
          }
        };
        repeat().catch(() => {});
      }
      return await unlessAborted(session.ended, signal);
    } finally {
      over.abort();
      onOver?.();
      await session[Symbol.asyncDispose]();
    }
  };
  /**
   * Runs one session with this server. Resolves with the reason for its end; null: the signal has aborted.
   */
  const attempt = async (server: string): Promise<FleetConnectionError | null> => {
    try {
      return await runSession(server);
    } catch (error) {
      if (signal.aborted) return null;
      if (error instanceof FleetConnectionError) return error;
      // An unexpected error must not end the retries.
      logger.error("the fleet's link broke", { server, reason: errorText(error) });
      return new FleetConnectionError(`the link broke: ${errorText(error)}`);
    }
  };
  const reportFailure = (server: string, failure: FleetConnectionError): void => {
    const isSame = !state.isConnected && state.failure?.message === failure.message;
    const sinceWallMs = state.isConnected ? clock.wallMs() : state.sinceWallMs;
    state = { isConnected: false, server, sinceWallMs, failure };
    if (!isSame && title !== undefined) {
      logger.warn(`${title} not reached`, { server, reason: failure.message });
    }
  };
  const run = async (): Promise<void> => {
    let failures = 0;
    for (let count = 0; !signal.aborted; count += 1) {
      const server = servers[count % servers.length] ?? "";
      const startedMs = clock.monotonicMs();
      const failure = await attempt(server);
      if (failure === null) return;
      reportFailure(server, failure);
      failures = clock.monotonicMs() - startedMs > GOOD_SESSION_MS ? 0 : failures + 1;
      // Tries every address once before the pause grows.
      const pauseMs = backoffMs(RETRY_MS, Math.floor(failures / servers.length) + 1);
      // Random, so that the machines of a fleet do not return all at once.
      const pause = clock.sleep(pauseMs * (0.5 + Math.random() / 2), signal);
      await unlessAborted(Promise.all([pause, failure.leftover]), signal).catch(() => {});
    }
  };
  const done = run();
  return {
    get state(): ConnectionState {
      return state;
    },
    /** Resolves when the signal has aborted and the last session is disposed. */
    done,
  };
}

/** Made by `condition` while the link is down; empty before the first failure. */
export function connectionConditions(
  { state: { failure, sinceWallMs } }: FleetServerConnection,
  condition: (failure: string, hint: string | null) => ConditionText<FleetConditionName>,
): FleetCondition[] {
  if (failure === null) return [];
  return [{ ...condition(failure.message, failure.hint), since: isoTime(sinceWallMs) }];
}
