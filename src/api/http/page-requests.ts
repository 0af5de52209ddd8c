// What requests of the page and of other clients hold of a secret. Pure.
import type { IncomingMessage } from "node:http";
import { MountaineerError } from "../../runtime/errors.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";

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

/** What the Authorization header holds as a bearer's secret; null: there is none. */
export function bearerOf({ headers }: IncomingMessage): string | null {
  return /^Bearer +([\x21-\x7e]+) *$/i.exec(headers.authorization ?? "")?.[1] ?? null;
}
