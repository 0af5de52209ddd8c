// The OAuth library, loaded when a backend is signed in to and not before; its refusals in our words.
import { MountaineerError } from "../../../runtime/errors.ts";
import { harmless } from "../../../runtime/text/plain-text.ts";
import { type BoundedFetch, failed } from "./bounded-fetch.ts";

export type OAuthLibrary = typeof import("oauth4webapi");
export type { AuthorizationServer, ClientAuth } from "oauth4webapi";

export async function loadOAuth(): Promise<OAuthLibrary> {
  return await import("oauth4webapi");
}

/** What every request of the library is given: our fetch, which decides about plain http itself. */
export function requestOptions(oauth: OAuthLibrary, boundedFetch: BoundedFetch) {
  return {
    [oauth.customFetch]: (
      url: string,
      {
        method,
        headers,
        body,
      }: { method: string; headers: Record<string, string>; body?: string | URLSearchParams | undefined },
    ) => boundedFetch(url, { method, headers, body }),
    [oauth.allowInsecureRequests]: true,
  };
}

const SAID_AT_MOST = 200;
/** Errors of RFC 6749 and 8628 after which the same request may succeed. */
const PASSING: ReadonlySet<string> = new Set(["temporarily_unavailable", "server_error", "slow_down"]);

/** An OAuth error that the authorization server answered with. */
interface ServersRefusal {
  /** `invalid_grant`, `invalid_client`, … */
  readonly error: string;
  readonly mayPass: boolean;
  readonly text: string;
}

/** Null: it is none; the server was not reached, or answered something else. */
export function serversRefusal(oauth: OAuthLibrary, error: unknown): ServersRefusal | null {
  if (error instanceof oauth.WWWAuthenticateChallengeError) {
    return { error: "invalid_client", mayPass: false, text: `it refuses this client (HTTP ${error.status})` };
  }
  if (!(error instanceof oauth.ResponseBodyError)) return null;
  const { error: code, error_description: description, status } = error;
  const said = description === undefined || description === "" ? "" : ` (${shown(description)})`;
  const mayPass = PASSING.has(code) || status >= 500 || status === 429;
  return { error: code, mayPass, text: `it answers ${shown(code)}${said}` };
}

/** Whatever a request for tokens came to, as a `sign_in_failed`; `aborted` and our own errors stay. */
export function asSignInFailure(oauth: OAuthLibrary, error: unknown, who: string): unknown {
  if (error instanceof MountaineerError) return error;
  const refusal = serversRefusal(oauth, error);
  if (refusal !== null) {
    return failed(refusal.mayPass ? "later" : "never", `${who}: ${refusal.text}`, undefined, error);
  }
  if (error instanceof oauth.AuthorizationResponseError) {
    const said = error.error_description ?? "";
    const text = said === "" ? shown(error.error) : `${shown(error.error)} (${shown(said)})`;
    return failed("never", `${who} refused: ${text}`, undefined, error);
  }
  if (error instanceof oauth.OperationProcessingError || error instanceof oauth.UnsupportedOperationError) {
    // A page in place of an answer is what a proxy or a restarting server gives.
    const isNoAnswer =
      error.code === oauth.RESPONSE_IS_NOT_JSON || error.code === oauth.RESPONSE_IS_NOT_CONFORM;
    return failed(isNoAnswer ? "later" : "never", `${who}: ${shown(error.message)}`, undefined, error);
  }
  return error;
}

function shown(text: string): string {
  return harmless(text).slice(0, SAID_AT_MOST);
}
