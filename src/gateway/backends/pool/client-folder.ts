// The folder in which a client works, for a server that starts there: the first of the client's roots, or else the
// folder in which the client was started. Nothing is looked up here: the launcher checks the folder.
import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { valueOr } from "../../../runtime/errors.ts";
import { type Clock, settlesWithin } from "../../../runtime/time/clock.ts";
import type { CallSignal } from "../../call-signal.ts";
import type { ClientHandle } from "../../client-handle.ts";
import { isError, isJsonObject, type Reply } from "../../json-rpc.ts";

/** How long the client has to list its roots; after that, the folder in which it was started is used. */
const ROOTS_WITHIN_MS = 3_000;
const LONGEST_PATH = 4_096;

/**
 * Null: the client has not sent a folder, or is not the owner's: a client over HTTP or on another machine must not
 * choose where a server with the owner's keys starts. `signal`: see `ClientHandle.request`.
 */
export async function clientFolderOf(
  client: ClientHandle,
  clock: Clock,
  signal: CallSignal,
): Promise<string | null> {
  if (client.principal.kind !== "owner") return null;
  const startedIn = client.folder ?? null;
  if (!isJsonObject(client.capabilities["roots"])) return startedIn;
  const pending = client.request("roots/list", undefined, signal);
  let reply: Reply | null = null;
  await settlesWithin(
    clock,
    ROOTS_WITHIN_MS,
    pending.then((answer) => {
      reply = answer;
    }),
  );
  return firstRoot(reply) ?? startedIn;
}

function firstRoot(reply: Reply | null): string | null {
  if (reply === null || isError(reply)) return null;
  const { roots } = reply.result;
  if (!Array.isArray(roots)) return null;
  const first: unknown = roots[0];
  return isJsonObject(first) ? pathOf(first["uri"]) : null;
}

function pathOf(uri: unknown): string | null {
  if (typeof uri !== "string" || !uri.startsWith("file://")) return null;
  // It throws if the URI names a host, or is not a valid one.
  const path = valueOr(() => fileURLToPath(uri), "");
  return isAbsolute(path) && path.length <= LONGEST_PATH && !/\p{Cc}/u.test(path) ? path : null;
}
