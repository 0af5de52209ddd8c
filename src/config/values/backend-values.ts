// The rules for a backend's values: program and arguments, address, texts with secrets, globs.
import { VARIABLE_NAME_FORM } from "../../runtime/text/name-forms.ts";
import { REFERENCE_FORM } from "../../secrets/reference.ts";
import type { TextReading } from "./names.ts";

const LONGEST_TEXT = 32 * 1024;
const REFERENCE = new RegExp(`\\$\\{${VARIABLE_NAME_FORM}\\}`);

function wrong(expected: string, hint: string | null = null): TextReading {
  return { ok: false, expected, hint };
}

/** A program: a name that is looked up on the path, or a path. */
export function parseProgram(text: string): TextReading {
  const expected = "the name or path of a program";
  if (REFERENCE.test(text)) return wrong(expected, "variables are not replaced here; use `env`");
  if (text.trim() === "" || /[\p{Cc}\p{Cs}]/u.test(text) || text.length > 4096) return wrong(expected);
  if (text.startsWith("~") && !text.startsWith("~/"))
    return wrong(expected, "only your own home folder can be written as `~`");
  return { ok: true, value: text };
}

/** One argument of a program. */
export function parseArgument(text: string): TextReading {
  const expected = "an argument, as a text without NUL characters";
  if (REFERENCE.test(text)) {
    const hint = "everybody on this machine can read arguments: pass secrets in `env`";
    return wrong(`an argument without \`${REFERENCE_FORM}\``, hint);
  }
  if (text.includes("\0") || !text.isWellFormed() || text.length > LONGEST_TEXT) return wrong(expected);
  return { ok: true, value: text };
}

export const URL_EXPECTED = "an address that begins with `http://` or `https://`";

/** The address of a server; a name and password in it would be a secret in the file. */
export function parseServerUrl(text: string): TextReading {
  if (REFERENCE.test(text))
    return wrong(
      `an address without \`${REFERENCE_FORM}\``,
      "addresses end up in logs: pass secrets in `headers`",
    );
  if (text.length > 4096 || /[\s\p{Cc}\p{Cs}]/u.test(text) || !URL.canParse(text)) return wrong(URL_EXPECTED);
  const { protocol, username, password, hash } = new URL(text);
  if (protocol !== "http:" && protocol !== "https:") return wrong(URL_EXPECTED);
  if (username !== "" || password !== "")
    return wrong("an address without a user", "no secrets in config: pass them in `headers`, by reference");
  if (hash !== "") return wrong("an address without `#`", "what follows `#` is never sent");
  return { ok: true, value: text };
}

/** True for a query that seems to carry a secret, as in `?api_key=…`. */
export function hasSecretQuery(url: string): boolean {
  const names = [...new URL(url).searchParams.keys()];
  return names.some((name) => /key|token|secret|passw|auth|credential|signature/i.test(name));
}

/** A variable's value before references are filled in. */
export function isVariableText(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed() && text.length <= LONGEST_TEXT;
}

/** A header's value before references are filled in. */
export function isHeaderText(text: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text) && text.length <= LONGEST_TEXT;
}

/** A pattern over names or addresses. */
export function parseGlob(text: string): TextReading {
  if (text !== "" && text.length <= 1024 && !/[\p{Cc}\p{Cs}]/u.test(text)) return { ok: true, value: text };
  return wrong("a pattern, in which `*` stands for anything");
}

/** A name of a person, a role or a group. */
export function parseLabel(text: string): TextReading {
  const isGood = text.trim() === text && text !== "" && text.length <= 64 && !/[\p{Cc}\p{Cs}]/u.test(text);
  return isGood
    ? { ok: true, value: text }
    : wrong("a name of at most 64 characters, without spaces around it");
}

/** One scope, as OAuth allows it: visible characters without quotes, backslashes and spaces. */
export function parseScope(text: string): TextReading {
  if (/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/.test(text)) return { ok: true, value: text };
  return wrong("a scope: visible ASCII characters without spaces, quotes and backslashes");
}

/** What an authorization server calls a client. */
export function parseClientId(text: string): TextReading {
  if (/^[\x20-\x7e]{1,2048}$/.test(text) && text.trim() === text) return { ok: true, value: text };
  return wrong("a client id: visible ASCII characters, at most 2048");
}

/** What stands between a backend's name and its tool's. */
export function parseSeparator(text: string): TextReading {
  if (/^[A-Za-z0-9_.:/-]{1,8}$/.test(text)) return { ok: true, value: text };
  return wrong("one to 8 of letters, digits, `_`, `-`, `.`, `:` and `/`");
}

/** What a person, or a model, reads about a tool. */
export function parseDescription(text: string): TextReading {
  // Line breaks and tabs are all that a description needs of control characters.
  const isGood = text.isWellFormed() && text.length <= LONGEST_TEXT && !/[^\P{Cc}\n\r\t]/u.test(text);
  return isGood ? { ok: true, value: text } : wrong("a text without control characters");
}
