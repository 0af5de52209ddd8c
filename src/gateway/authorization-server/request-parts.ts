// What the authorization server reads of a request: parameters, the cookie of a page, and the sender.
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { isLoopbackHost, plainAddress } from "../../runtime/http/host-guard.ts";
import { OAuthError } from "./answer.ts";

export function queryFrom({ url = "" }: IncomingMessage): URLSearchParams {
  return new URLSearchParams(url.includes("?") ? url.slice(url.indexOf("?")) : "");
}

/** Throws an OAuthError for another type, and for a parameter that is there twice, but for the servers of a page. */
export function formFrom({ headers }: IncomingMessage, text: string): URLSearchParams {
  const type = headers["content-type"] ?? "";
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type))
    throw new OAuthError("invalid_request", "the Content-Type must be application/x-www-form-urlencoded");
  const form = new URLSearchParams(text);
  const repeated = [...form.keys()].find((name) => name !== "server" && form.getAll(name).length > 1);
  if (repeated === undefined) return form;
  throw new OAuthError("invalid_request", `the parameter ${repeated} is there twice`);
}

export function cookieFrom({ headers }: IncomingMessage): string {
  return /(?:^|; )mountaineer_request=([\w-]{43})(?:;|$)/.exec(headers.cookie ?? "")?.[1] ?? "";
}

/** Sets the cookie of a page, or removes it (null). */
export function setCookie(path: string, value: string | null, { base }: { readonly base: string }) {
  const secure = base.startsWith("https:") ? "; Secure" : "";
  const life = value === null ? 0 : 600;
  return {
    "Set-Cookie": `mountaineer_request=${value ?? ""}; Path=${path}; Max-Age=${life}; HttpOnly; SameSite=Strict${secure}`,
  };
}

/** The sender, as a proxy on this machine appends it to the header; null: unknown. */
export function senderOf({ headers, socket }: IncomingMessage): string | null {
  const remote = plainAddress(socket.remoteAddress ?? "");
  const senders = headers["x-forwarded-for"];
  const last = (typeof senders === "string" ? senders : "").split(",").at(-1)?.trim() ?? "";
  if (isLoopbackHost(remote) && isIP(last) !== 0) return last;
  return remote === "" ? null : remote;
}
