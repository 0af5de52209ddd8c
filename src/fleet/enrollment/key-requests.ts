// Runs on the machine with the fleet's server: answers the requests of machines that replace their keys. The
// subject of a request names its sender, and the server lets no other machine use the subject.
import type { Msg } from "@nats-io/transport-node";
import type { FleetConfig } from "../../config/snapshot.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { connectToServer, listen, watchEnd } from "../nats/connection.ts";
import { startFleetConnection } from "../nats/fleet-connection.ts";
import type { FleetConnectionError } from "../nats/fleet-connection-error.ts";
import type { SignInOptions } from "../nats/sign-in.ts";
import { keyInbox, keySubject, senderOf } from "../nats/subjects.ts";
import { changeFleet, type FleetContext, readFleet } from "./fleet-folder.ts";
import type { FleetRecord } from "./fleet-record.ts";
import { exchanged, type KeyRequest, readKeyRequest } from "./key-exchange.ts";
import { reloadServer } from "./server-process.ts";

/** Minimum time between two changes, ms, because the server reads its whole configuration after each. */
const APART_MS = 500;

interface KeyRequestOptions extends FleetContext, Omit<SignInOptions, "config"> {
  readonly config: FleetConfig;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Resolves at once where this home has no server, otherwise when the signal aborts. Never rejects. */
export async function serveKeyRequests(options: KeyRequestOptions): Promise<void> {
  const { signal } = options;
  const record = await readFleet(options.home).catch((error: unknown) => {
    options.logger.warn("the fleet's record cannot be read", { reason: errorText(error) });
    return null;
  });
  if (record === null) return;
  await startFleetConnection(options, {
    signal,
    async open(target, until) {
      const connection = await connectToServer(target, until);
      const over = Promise.withResolvers<FleetConnectionError>();
      watchEnd(connection, over.resolve);
      const take = createKeyQueue(options, until);
      listen(connection, keySubject("*"), take, () => {});
      const close = (): Promise<void> => connection.close().catch(() => {});
      return { ended: over.promise, [Symbol.asyncDispose]: close };
    },
  }).done;
}

export function createKeyQueue(
  options: FleetContext & Pick<KeyRequestOptions, "logger">,
  signal: AbortSignal,
): (message: Msg) => void {
  const { clock, logger } = options;
  /**
   * Machines that have a request in the queue. Further requests of such a machine are dropped, so that no
   * machine delays the others for long.
   */
  const waiting = new Set<string>();
  let turn: Promise<unknown> = Promise.resolve();
  return (message) => {
    const name = senderOf(message.subject);
    // Checks both subjects, because a member can make JetStream deliver other messages here, or have the
    // answer sent to another machine.
    if (message.subject !== keySubject(name) || message.reply?.startsWith(`${keyInbox(name)}.`) !== true) {
      return;
    }
    const request = readKeyRequest(message.string(), name);
    if (request === null || waiting.has(name)) return;
    waiting.add(name);
    turn = turn
      .then(() => exchangeKey(options, name, request, signal))
      .then((done) => void message.respond(JSON.stringify({ done })))
      .catch((error: unknown) => {
        if (!signal.aborted) logger.warn("a machine's key is not exchanged", { reason: errorText(error) });
      })
      .finally(() => waiting.delete(name))
      .then(() => clock.sleep(APART_MS, signal))
      .catch(() => {});
  };
}

/** Fulfils a request and reloads the server. False: it is refused. Rejects with `fleet_server_failed` and `lock_held`. */
export async function exchangeKey(
  place: FleetContext,
  name: string,
  request: KeyRequest,
  signal: AbortSignal,
): Promise<boolean> {
  const now = await readFleet(place.home);
  // A refused request causes no write.
  if (now === null || exchanged(now, name, request) === null) return false;
  let isDone = false;
  await changeFleet(place, signal, (record): FleetRecord => {
    const next = exchanged(record, name, request);
    isDone = next !== null;
    return next ?? record;
  });
  // Reloads the server even if the record is unchanged, because an earlier request may have been interrupted
  // before its reload.
  if (isDone) await reloadServer(place, signal);
  return isDone;
}
