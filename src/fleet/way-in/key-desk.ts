// Answers machines that exchange their keys, where this home has the fleet's server. Who asks stands in the subject, which
// the server permits to that machine alone.
import type { Msg } from "@nats-io/transport-node";
import type { FleetConfig } from "../../config/snapshot.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { holdLink } from "../hold-link.ts";
import type { LinkFailure } from "../link-failure.ts";
import { connectToServer, watchEnd } from "../nats-session.ts";
import { readSignIn, type SignInOptions } from "../sign-in.ts";
import { keyInbox, keySubject } from "../subjects.ts";
import { changeFleet, type FleetPlace, readFleet } from "./fleet-folder.ts";
import type { FleetRecord } from "./fleet-record.ts";
import { exchanged, type KeyRequest, LONGEST_KEY_MESSAGE, readKeyRequest } from "./key-exchange.ts";
import { reloadServer, renewServer } from "./server-process.ts";

/** From one change to the next, ms: each has the server read its configuration again. */
const APART_MS = 500;

interface DeskOptions extends FleetPlace, Omit<SignInOptions, "config"> {
  readonly config: FleetConfig;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Resolves at once where this home has no server, and when the signal aborts. Never rejects. */
export async function keepKeyDesk(options: DeskOptions): Promise<void> {
  const { home, clock, logger, signal, config } = options;
  try {
    if ((await readFleet(home)) === null) return;
    // One that an earlier version has set up lets nobody ask.
    await renewServer({ home, clock }, signal);
  } catch (error) {
    if (signal.aborted) return;
    logger.warn("the fleet's server keeps the permissions of an earlier version", {
      reason: errorText(error),
    });
  }
  await holdLink(options, {
    signal,
    onLost: () => {},
    async hold(server, until) {
      const { credentials, authority } = await readSignIn(options, until);
      const { name } = config;
      const connection = await connectToServer({ server, name, credentials, authority, clock }, until);
      try {
        const over = Promise.withResolvers<LinkFailure>();
        watchEnd(connection, over.resolve);
        const admit = createQueue(options, until);
        connection.subscribe(keySubject("*"), {
          callback: (error, message) => {
            if (error === null) admit(message);
          },
        });
        return await unlessAborted(over.promise, until);
      } finally {
        await connection.close().catch(() => {});
      }
    },
  });
}

/** One after the other. */
function createQueue(options: DeskOptions, signal: AbortSignal): (message: Msg) => void {
  const { clock, logger } = options;
  /** One request of each machine: none holds up the others for long. */
  const waiting = new Set<string>();
  let turn: Promise<unknown> = Promise.resolve();
  return (message) => {
    const name = message.subject.split(".")[2] ?? "";
    // Whatever else a member had this machine say, and to whom.
    if (message.subject !== keySubject(name) || message.reply?.startsWith(`${keyInbox(name)}.`) !== true) {
      return;
    }
    const request = message.data.length > LONGEST_KEY_MESSAGE ? null : readKeyRequest(message.string(), name);
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

/** Resolves with whether it is so, and the server knows it. Rejects with `fleet_server_failed` and `lock_held`. */
export async function exchangeKey(
  place: FleetPlace,
  name: string,
  request: KeyRequest,
  signal: AbortSignal,
): Promise<boolean> {
  const now = await readFleet(place.home);
  // Nothing is written for who may not.
  if (now === null || exchanged(now, name, request) === null) return false;
  let isDone = false;
  await changeFleet(place, signal, (record): FleetRecord => {
    const next = exchanged(record, name, request);
    isDone = next !== null;
    return next ?? record;
  });
  // Also where it was so: what asked last may have been cut off before the server knew it.
  if (isDone) await reloadServer(place, signal);
  return isDone;
}
