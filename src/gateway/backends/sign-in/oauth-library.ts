// The OAuth library, loaded at the first sign-in, and its errors as our own.
import { MountaineerError } from "../../../runtime/errors.ts";
import { harmless } from "../../../runtime/text/plain-text.ts";
import { createBoundedFetch, type FetchBounds, failed } from "./bounded-fetch.ts";

export type OAuthLibrary = typeof import("oauth4webapi");
export type { AuthorizationServer, ClientAuth } from "oauth4webapi";

export async function loadOAuth(): Promise<OAuthLibrary> {
  return await import("oauth4webapi");
}

export type OAuthTools = Awaited<ReturnType<typeof openOAuth>>;

interface LibraryRequest {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string | URLSearchParams | undefined;
}

/** The library with the bounded fetch for one server. */
export async function openOAuth(bounds: FetchBounds) {
  const oauth = await loadOAuth();
  const boundedFetch = createBoundedFetch(bounds);
  return {
    oauth,
    boundedFetch,
    clock: bounds.clock,
    /**
     * Options of each library request. The library allows plain http, because the bounded fetch decides about
     * it.
     */
    options: {
      [oauth.customFetch]: (url: string, { method, headers, body }: LibraryRequest) =>
        boundedFetch(url, { method, headers, body }),
      [oauth.allowInsecureRequests]: true,
    },
  };
}

const LONGEST_TEXT = 200;
/** Errors of RFC 6749 and 8628 after which the same request may succeed. */
const PASSING: ReadonlySet<string> = new Set(["temporarily_unavailable", "server_error", "slow_down"]);

/** The OAuth error in the answer of an authorization server; null: it is another error. */
export function serversRefusal(oauth: OAuthLibrary, error: unknown) {
  if (error instanceof oauth.WWWAuthenticateChallengeError) {
    return { mayPass: false, text: `it refuses this client (HTTP ${error.status})` };
  }
  if (!(error instanceof oauth.ResponseBodyError)) return null;
  const { error: code, error_description: description, status } = error;
  const said = description === undefined || description === "" ? "" : ` (${shown(description)})`;
  const mayPass = PASSING.has(code) || status >= 500 || status === 429;
  return { mayPass, text: `it answers ${shown(code)}${said}` };
}

/** Converts an error of the library to `sign_in_failed`; our own errors, and `aborted`, stay as they are. */
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
    // A proxy, or a server that restarts, may answer with a web page instead of JSON.
    const isNoAnswer =
      error.code === oauth.RESPONSE_IS_NOT_JSON || error.code === oauth.RESPONSE_IS_NOT_CONFORM;
    return failed(isNoAnswer ? "later" : "never", `${who}: ${shown(error.message)}`, undefined, error);
  }
  return error;
}

/** A handler for `.catch` that rejects with `sign_in_failed`. */
export function signInFailure({ oauth }: Pick<OAuthTools, "oauth">, who: string): (error: unknown) => never {
  return (error) => {
    throw asSignInFailure(oauth, error, who);
  };
}

function shown(text: string): string {
  return harmless(text).slice(0, LONGEST_TEXT);
}
