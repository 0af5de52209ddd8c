// What the page sends to sign in, and the cookie that it gets. Pure.
import type { IncomingMessage } from "node:http";
import { MountaineerError } from "../../runtime/errors.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { SESSION_LIFE_MS } from "./access.ts";

/** Without the query. */
export function pathOf(target = ""): string {
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
}

export type SignInText = { readonly link: string } | { readonly token: string };

/** Throws `protocol`. */
export function readSignIn(text: string): SignInText {
  const given = jsonObject(text);
  const { link, token } = given ?? {};
  const names = Object.keys(given ?? {});
  if (names.length === 1 && typeof link === "string") return { link };
  if (names.length === 1 && typeof token === "string") return { token };
  throw new MountaineerError("protocol", 'the body is not { "link": … } or { "token": … }');
}

/** Cookies with this prefix must be `Secure`, so a plain sign-in beside it needs another name. */
const SECURE_PREFIX = "__Host-";

/** By the port, as browsers send a host's cookies to each of its ports. */
function cookieName({ socket }: IncomingMessage): string {
  return `mountaineer_${socket.localPort ?? 0}`;
}

/** The secrets of sessions that the browser has, that of a sign-in over TLS first. */
export function readCookies(request: IncomingMessage): readonly string[] {
  const parts = (request.headers.cookie ?? "").split(";").map((part) => part.trim().split("=", 2));
  const name = cookieName(request);
  return [`${SECURE_PREFIX}${name}`, name].flatMap((wanted) => {
    const [, value = ""] =
      parts.find(([key, text = ""]) => key === wanted && /^[A-Za-z0-9_-]{1,64}$/.test(text)) ?? [];
    return value === "" ? [] : [value];
  });
}

/** `secret` null: the browser forgets it. `tlsHost`: as in `DoorSettings`. */
export function sessionCookie(
  request: IncomingMessage,
  secret: string | null,
  tlsHost: string | null,
): string {
  const seconds = secret === null ? 0 : SESSION_LIFE_MS / 1_000;
  const [prefix, secure] = isOverTls(request, tlsHost) ? [SECURE_PREFIX, "; Secure"] : ["", ""];
  const name = `${prefix}${cookieName(request)}`;
  return `${name}=${secret ?? ""}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${seconds}${secure}`;
}

/**
 * A proxy with TLS stands before the daemon, which speaks plain HTTP itself: the configuration says so, or the browser does,
 * which sends the origin of its page with each change. No header of a proxy is believed, as anybody could send it.
 */
function isOverTls(
  { headers: { host = "", origin = "" } }: IncomingMessage,
  tlsHost: string | null,
): boolean {
  return /^https:/i.test(origin) || host.toLowerCase().replace(/:443$/, "") === tlsHost;
}
