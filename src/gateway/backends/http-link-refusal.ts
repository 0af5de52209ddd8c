// Owns what an HTTP error status means for the message that got it. Pure.
import { classifyMessage, isError, type RpcId } from "../json-rpc.ts";
import type { LinkFailure } from "./backend-link.ts";

export interface RefusedResponse {
  /** Not 2xx. */
  readonly status: number;
  /** The body; null when it could not be read. */
  readonly text: string | null;
  readonly location: string | null;
  /** Of the request; null: it was none. */
  readonly id: RpcId | null;
  readonly hadSession: boolean;
  readonly origin: string;
  readonly clean: (text: string) => string;
}

export type Refusal =
  /** The body is the JSON-RPC answer to this very request. */
  | { readonly kind: "answer"; readonly value: unknown }
  | { readonly kind: "failure"; readonly failure: LinkFailure };

const SAID_AT_MOST = 200;

/** Judges one refused response. No header and no address beyond the origin gets into the message. */
export function refusal(response: RefusedResponse): Refusal {
  const { status, text, id, hadSession, origin, clean } = response;
  const body = parsed(text);
  const message = classifyMessage(body);
  const error = message.kind === "response" && isError(message.reply) ? message.reply.error : null;
  // Older servers answer 400 where the specification says 404; neither has looked at the message.
  const namesSession = status === 400 && error !== null && /\bsession\b/i.test(error.message);
  if (hadSession && (status === 404 || namesSession)) {
    return failed({ kind: "session_lost", message: `${origin} no longer knows our session`, hint: null });
  }
  if (error !== null && id !== null && message.kind === "response" && message.id === id) {
    return { kind: "answer", value: body };
  }
  if (status >= 300 && status < 400) {
    return failed({
      kind: "refused",
      message: `${origin} redirects to ${clean(place(response))} (HTTP ${status}), which is not followed`,
      hint: "give the address that it redirects to as `url`, if you trust it",
    });
  }
  const said = error === null ? "" : `: ${clean(error.message).slice(0, SAID_AT_MOST)}`;
  return failed({
    kind: "refused",
    message: `${origin} answered HTTP ${status}${said}`,
    hint: hintFor(status),
  });
}

function hintFor(status: number): string | null {
  if (status === 401 || status === 403) return "check the credentials in `headers`";
  if (status === 404 || status === 405) return "check `url`: it must be the server's MCP endpoint";
  return null;
}

function failed(failure: LinkFailure): Refusal {
  return { kind: "failure", failure };
}

function parsed(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** Without user, query and fragment. */
function place({ location, origin }: RefusedResponse): string {
  const target = location === null ? null : URL.parse(location, origin);
  return target === null ? "nowhere" : target.origin + target.pathname;
}
