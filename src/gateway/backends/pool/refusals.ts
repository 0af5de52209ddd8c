// The errors of calls that no instance takes, and of those that are not repeated.

import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INVALID_PARAMS,
  type JsonObject,
  type Reply,
  type RpcError,
} from "../../json-rpc.ts";
import { elicitationIdOf, takesElicitation, URL_ELICITATION_REQUIRED } from "../../protocol.ts";
import { oneLine } from "../instance/failures.ts";
import type { SignInNotice } from "../policy/condition-rows.ts";
import { mayComeBack } from "./pool-instance.ts";

export function notThere(backend: string, taskLocation: string): [code: number, message: string] {
  return mayComeBack(taskLocation)
    ? [BACKEND_UNAVAILABLE, `server ${backend} has this task at another address than the one in use`]
    : [INVALID_PARAMS, `the task has ended: the process of server ${backend} that had it has`];
}

export function notRepeated({ error }: { readonly error: RpcError }): Reply {
  const text = `${error.message}; the call had been sent and was not repeated, as it may have taken effect`;
  return errorReply(error.code, text, error.data);
}

/** A user has to sign in to the own account. `declared`: the client's capabilities; `at`: see `PoolTools.connectAt`. */
export function signInNeeded(
  { title, hint }: SignInNotice,
  at: { readonly url: string } | { readonly closedBecause: string } | null,
  declared: JsonObject,
): Reply {
  const what = oneLine(title);
  if (at === null || "closedBecause" in at) {
    const why = at === null ? "" : ` (there is no page for you: ${at.closedBecause})`;
    return errorReply(BACKEND_UNAVAILABLE, `${what}; ${hint}${why}`);
  }
  const message = `${what}; sign in with your own account`;
  if (takesElicitation(declared, "url") !== true)
    return errorReply(BACKEND_UNAVAILABLE, `${message}: open ${at.url} and then repeat the call`);
  const elicitation = { mode: "url", elicitationId: elicitationIdOf(at.url), url: at.url, message };
  return errorReply(URL_ELICITATION_REQUIRED, message, { elicitations: [elicitation] });
}

export function refusal(message: string): Promise<Reply> {
  return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, message));
}
