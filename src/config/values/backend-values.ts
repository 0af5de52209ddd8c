// The rules for a backend's values: program and arguments, address, texts with secrets, globs.
import { VARIABLE_NAME_FORM } from "../../runtime/text/name-forms.ts";
import { REFERENCE_FORM } from "../../secrets/reference.ts";
import { readAddress } from "./address.ts";
import { quoted } from "./mistakes.ts";
import { isLine, type TextReading, textReader, wrong } from "./names.ts";
import { isOnlyReference } from "./secret-text.ts";

const LONGEST_TEXT = 32 * 1024;
const REFERENCE = new RegExp(`\\$\\{${VARIABLE_NAME_FORM}\\}`);

/** Whether a variable is named, which is not replaced; `${package}` is. */
function hasVariable(text: string): boolean {
  return REFERENCE.test(text.replaceAll("${package}", ""));
}

/** A program: a name that is looked up on the path, or a path. */
export function parseProgram(text: string): TextReading {
  const expected = "the name or path of a program";
  if (hasVariable(text)) return wrong(expected, "variables are not replaced here; use `env`");
  if (text.trim() === "" || /[\p{Cc}\p{Cs}]/u.test(text) || text.length > 4096) return wrong(expected);
  if (text.startsWith("~") && !text.startsWith("~/"))
    return wrong(expected, "only your own home folder can be written as `~`");
  return { ok: true, value: text };
}

export function parseArgument(text: string): TextReading {
  const expected = "an argument, as a text without NUL characters";
  if (hasVariable(text)) {
    const hint =
      "everybody on this machine can read arguments: pass secrets in `env`, or write `${secret:NAME}`";
    return wrong(`an argument without \`${REFERENCE_FORM}\``, hint);
  }
  if (text.includes("\0") || !text.isWellFormed() || text.length > LONGEST_TEXT) return wrong(expected);
  return { ok: true, value: text };
}

export const URL_EXPECTED = "an address that begins with `http://` or `https://`";

export function parseServerUrl(text: string): TextReading {
  if (REFERENCE.test(text))
    return wrong(
      `an address without \`${REFERENCE_FORM}\``,
      "pass secrets in `headers`, or write `${secret:NAME}` in the path or query",
    );
  const reading = readAddress(text, URL_EXPECTED);
  return reading.ok ? { ok: true, value: text } : reading;
}

/** True for a query that seems to carry a secret, as in `?api_key=…`. */
export function hasSecretQuery(url: string): boolean {
  return [...new URL(url).searchParams].some(
    ([name, value]) =>
      /key|token|secret|passw|auth|credential|signature/i.test(name) && !isOnlyReference(value),
  );
}

/** A variable's value before references are filled in. */
export function isVariableText(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed() && text.length <= LONGEST_TEXT;
}

/** Whether a text may be a header's value. References in it are not filled in yet. */
export function isHeaderText(text: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text) && text.length <= LONGEST_TEXT;
}

export const parseGlob = textReader(
  (text) => isLine(text, 1024),
  "a pattern, in which `*` stands for anything",
);

/** A pattern of a policy. A mistyped kind would match nothing; with `//` after it, it is the scheme of an address. */
export function parseResource(text: string): TextReading {
  const [, kind = "", name = ""] = /^(tool|prompt|resource)s?:(?!\/\/)(.*)$/is.exec(text) ?? [];
  const known = kind.toLowerCase();
  if (kind === "" || text.startsWith(`${known}:`)) return parseGlob(text);
  const hint = `did you mean ${quoted(`${known}:${name}`)}? An address is ${quoted(`resource:${text}`)}`;
  return wrong("`tool:`, `prompt:` or `resource:` before a pattern", hint);
}

/** A name of a person, a role or a group. */
export const parseLabel = textReader(
  (text) => text.trim() === text && isLine(text, 64),
  "a name of at most 64 characters, without spaces around it",
);

export const parseClientId = textReader(
  (text) => /^[\x20-\x7e]{1,2048}$/.test(text) && text.trim() === text,
  "a client id: visible ASCII characters, at most 2048",
);

export const parseDescription = textReader(
  // Line breaks and tabs are the only control characters that a description may have.
  (text) => text.isWellFormed() && text.length <= LONGEST_TEXT && !/[^\P{Cc}\n\r\t]/u.test(text),
  "a text without control characters",
);
