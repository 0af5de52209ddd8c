// Loads the OAuth library at the first sign-in, and converts its errors to ours.
import { MountaineerError } from "../../../runtime/errors.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import { printable } from "../../../runtime/text/plain-text.ts";
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

export async function openOAuth(bounds: FetchBounds) {
  const oauth = await loadOAuth();
  const boundedFetch = createBoundedFetch(bounds);
  return {
    oauth,
    boundedFetch,
    clock: bounds.clock,
    /** The library may use plain http, because the bounded fetch refuses it where needed. */
    options: {
      [oauth.customFetch]: (url: string, { method, headers, body }: LibraryRequest) =>
        boundedFetch(url, { method, headers, body }).then(asStandard),
      [oauth.allowInsecureRequests]: true,
    },
  };
}

const REASON = /"(?:message|errorSummary|detail)"\s*:\s*"((?:[^"\\]|\\.)*)"/;

/**
 * Adds what the standards require and many servers leave out: the type of a token, and of a registration the expiry of its
 * secret and the status. Leaves out members that are empty, the life of a token if there is none, as a refusal ends it, and of a
 * refusal all but its JSON, which says more than a challenge.
 */
async function asStandard(response: Response): Promise<Response> {
  const { headers, status } = response;
  const content = await response.text();
  const body = jsonObject(content);
  const isJson = headers.get("content-type")?.includes("json") === true;
  if (status >= 400 && status < 500 && isJson) {
    const [, error_description = ""] = REASON.exec(content) ?? [];
    const unexplained = { error: `HTTP ${status}`, error_description };
    return Response.json(typeof body?.["error"] === "string" ? body : unexplained, { status });
  }
  if (body === null || !response.ok) return new Response(content, { status, headers });
  const given = Object.fromEntries(
    Object.entries(body).filter(([, value]) => value !== null && value !== ""),
  );
  // Some servers answer errors with HTTP 200.
  if ("error" in given && !("access_token" in given)) return Response.json(given, { status: 400 });
  if ("access_token" in given) {
    const { expires_in: life, token_type: type = "bearer", ...token } = given;
    // Slack names its bearer tokens after their owners.
    const token_type = type === "user" || type === "bot" ? "bearer" : type;
    return Response.json({ ...token, token_type, ...(Number(life) > 0 && { expires_in: life }) });
  }
  const isRegistration = "client_id" in given;
  return isRegistration
    ? Response.json({ client_secret_expires_at: 0, ...given }, { status: 201 })
    : Response.json(given, { status });
}

const LONGEST_TEXT = 200;
/**
 * Errors after which the same request is in vain: RFC 6749's, and those of large servers (GitHub's `bad_refresh_token`, Slack's
 * `token_revoked`). All others may be of a proxy or a captive portal on the way, or pass.
 */
const FINAL =
  /^(?:(?:invalid|unauthorized|unsupported)_\w+|\w+_(?:required|expired|revoked|credentials)|access_denied|bad_refresh_token)$/;

/** Returns null if the error is not an answer of the authorization server. */
export function serversRefusal(oauth: OAuthLibrary, error: unknown) {
  if (error instanceof oauth.WWWAuthenticateChallengeError) {
    return { mayPass: true, text: `it refuses this client (HTTP ${error.status})` };
  }
  if (!(error instanceof oauth.ResponseBodyError)) return null;
  const { error: code, error_description: description, status } = error;
  const detail = description === undefined || description === "" ? "" : ` (${shown(description)})`;
  const mayPass = !FINAL.test(code) || status === 429;
  return { mayPass, text: `it answers ${shown(code)}${detail}` };
}

/** Leaves our own errors, and `aborted`, as they are. */
export function asSignInFailure(oauth: OAuthLibrary, error: unknown, who: string, hint?: string): unknown {
  if (error instanceof MountaineerError) return error;
  const refusal = serversRefusal(oauth, error);
  if (refusal !== null) {
    const why = keyHint(refusal.text) ?? hint;
    return failed(refusal.mayPass ? "later" : "never", `${who}: ${refusal.text}`, why, error);
  }
  if (error instanceof oauth.AuthorizationResponseError) {
    const description = error.error_description ?? "";
    const text = description === "" ? shown(error.error) : `${shown(error.error)} (${shown(description)})`;
    return failed("never", `${who} refused: ${text}`, keyHint(text) ?? hint, error);
  }
  if (error instanceof oauth.OperationProcessingError || error instanceof oauth.UnsupportedOperationError) {
    // A proxy, or a server that restarts, may answer with a web page instead of JSON.
    const isNoAnswer =
      error.code === oauth.RESPONSE_IS_NOT_JSON || error.code === oauth.RESPONSE_IS_NOT_CONFORM;
    const status = error.cause instanceof Response ? ` (HTTP ${error.cause.status})` : "";
    const text = `${who}: ${shown(error.message)}${status}`;
    return failed(isNoAnswer ? "later" : "never", text, hint, error);
  }
  return error;
}

const ABOUT_RESOURCE = /AADSTS(?:9010010|901002|90102)|invalid_target|\bresource\b/i;

/** Whether the answer is about the resource that was named in the request. */
export const refusesResource = (oauth: OAuthLibrary, error: unknown): boolean =>
  ABOUT_RESOURCE.test(serversRefusal(oauth, error)?.text ?? "");

/** The key that helps, if the server's own words say what is wrong with the request; null: they do not. */
function keyHint(text: string): string | null {
  if (ABOUT_RESOURCE.test(text))
    return "give `resource` in `[backends.NAME.auth]`: another address, or false to leave it out";
  if (/AADSTS50011|redirect[ _-]?ur[il]/i.test(text))
    return 'give `redirect_port` in `[backends.NAME.auth]`, and `redirect_host = "localhost"` if it was registered so';
  return null;
}

/** Returns a handler for `.catch` that throws `sign_in_failed`. */
export function signInFailure(
  { oauth }: Pick<OAuthTools, "oauth">,
  who: string,
  hint?: string,
): (error: unknown) => never {
  return (error) => {
    throw asSignInFailure(oauth, error, who, hint);
  };
}

function shown(text: string): string {
  return printable(text).slice(0, LONGEST_TEXT);
}
