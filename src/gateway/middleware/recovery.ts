// Gives every request a well-formed reply: an exception or a malformed reply becomes an internal error for
// the client and a line in the log. Registered secrets are removed from errors.
import { errorText, MountaineerError, valueOr } from "../../runtime/errors.ts";
import { writeJson } from "../../runtime/json/large-json.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import { errorReply, INTERNAL_ERROR, isError, isJsonObject, type Reply, type RpcError } from "../json-rpc.ts";
import { tooManyValues } from "../written-results.ts";
import type { GatewayRequest, Middleware } from "./middleware.ts";
import { sanitise } from "./sanitise.ts";

const MAX_DETAIL = 4_000;

interface RecoveryOptions {
  readonly logger: Logger;
  /** Removes registered secrets from a text. */
  readonly clean: (text: string) => string;
}

export function createRecovery({ logger, clean }: RecoveryOptions): Middleware {
  const recovered = (request: GatewayRequest, error: unknown): Reply => {
    const unread = tooManyValues(error);
    if (unread !== null) return unread;
    const detail = error instanceof Error ? (error.stack ?? error.message) : errorText(error);
    logger.error("a request failed inside the gateway", {
      method: sanitise(request.method, clean),
      error: clean(detail.slice(0, MAX_DETAIL)),
    });
    // Only our own messages are written for clients: others may contain internal details.
    const message = error instanceof MountaineerError ? sanitise(error.message, clean) : "internal error";
    return errorReply(INTERNAL_ERROR, message);
  };
  const checked = (request: GatewayRequest, reply: unknown): Reply => {
    try {
      if (isWellFormed(reply)) return isError(reply) ? withoutSecrets(reply, clean) : reply;
      logger.error("a request got a malformed answer", { method: sanitise(request.method, clean) });
      return mended(reply, clean);
    } catch (error) {
      return recovered(request, error);
    }
  };
  // An async function here would cost each call as much as all of its routing.
  return (next) => (request) => {
    try {
      return next(request).then(
        (reply) => checked(request, reply),
        (error: unknown) => recovered(request, error),
      );
    } catch (error) {
      return Promise.resolve(recovered(request, error));
    }
  };
}

function isWellFormed(reply: unknown): reply is Reply {
  if (!isJsonObject(reply)) return false;
  const { result, error } = reply;
  if (error === undefined) return isJsonObject(result);
  return (
    result === undefined &&
    isJsonObject(error) &&
    Number.isSafeInteger(error["code"]) &&
    typeof error["message"] === "string"
  );
}

/**
 * Removes secrets from an error, because a server may repeat its credential there. Returns the same object if there
 * is no secret in it.
 */
function withoutSecrets(reply: { readonly error: RpcError }, clean: (text: string) => string): Reply {
  const { code, message, data } = reply.error;
  const cleanMessage = clean(message);
  // A server's own bytes may spell a secret otherwise.
  const text = data === undefined ? undefined : writeJson(data, false);
  const cleanText = text === undefined ? undefined : clean(text);
  if (cleanMessage === message && cleanText === text) return reply;
  if (cleanText === undefined) return errorReply(code, cleanMessage, undefined);
  // Where a number was a secret, the text is not JSON.
  return errorReply(
    code,
    cleanMessage,
    valueOr(() => parseExactly(cleanText), cleanText),
  );
}

/** Keeps the usable members of a malformed error. */
function mended(reply: unknown, clean: (text: string) => string): Reply {
  const error = isJsonObject(reply) ? reply["error"] : undefined;
  if (!isJsonObject(error)) return errorReply(INTERNAL_ERROR, "the answer was malformed");
  const { code, message, data } = error;
  const { error: usable } = errorReply(
    typeof code === "number" && Number.isSafeInteger(code) ? code : INTERNAL_ERROR,
    typeof message === "string" ? sanitise(message, clean) : "the answer was malformed",
    data,
  );
  return withoutSecrets({ error: usable }, clean);
}
