// Names of secrets: names found in a text, and new names made from the name of a share or variable. Pure.

import { SECRET_NAME_FORM } from "../runtime/text/name-forms.ts";
import { trimEnd } from "../runtime/text/trim-end.ts";
import { referenceText } from "../secrets/reference.ts";
import type { ShareConfig } from "./snapshot.ts";

/** The secret with the token that HTTP clients send. */
export const TOKEN_SECRET = "gateway-token";

const LONGEST = 64;
/** Number of characters left free at the end for a number: `-2`, `-3` and so on. */
const NUMBER = 4;

/**
 * A valid name for a secret (`SECRET_NAME`), derived from any text; a number is added if the name is taken, or the gateway's
 * token's.
 */
export function freeSecretName(text: string, isTaken: (name: string) => boolean = () => false): string {
  const plain = text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, "-")
    .replace(/^[^a-z0-9]+/, "");
  const named = trimEnd(plain, "-") || "secret";
  // A name that is cut ends with a whole word.
  const whole = named.length > LONGEST ? named.slice(0, LONGEST).replace(/[-.][^-.]*$/, "") : named;
  let name = whole;
  for (let count = 2; name === TOKEN_SECRET || isTaken(name); count++)
    name = `${whole.slice(0, LONGEST - NUMBER)}-${count}`;
  return name;
}

/** The names of all secrets in a text, which may be a whole configuration. */
export function storedNamesIn(text: string): readonly string[] {
  const found = text.matchAll(new RegExp(`secret:(${SECRET_NAME_FORM})`, "g"));
  return [...found].map(([, name = ""]) => name);
}

/** The reference to a share's password in the file's notation; null for a guest, who has no password. */
export function passwordText({ password }: Pick<ShareConfig, "password">): string | null {
  return password === null ? null : referenceText(password);
}
