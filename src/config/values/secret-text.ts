// Texts with references to secrets in them, for a backend's environment and headers: `Bearer ${TOKEN}`, `Bearer
// ${secret:token}`, or only `secret:token`. `$${` is a literal `${`.
import { SECRET_NAME_FORM } from "../../runtime/text/name-forms.ts";
import {
  FILE_FORM,
  parseReference,
  parseUserReference,
  REFERENCE_FORM,
  type SecretReference,
  STORED_FORM,
} from "../../secrets/reference.ts";

/** Text with references to secrets in it: plain parts and references, in order. */
export type SecretText = readonly (string | SecretReference)[];

type SecretTextReading =
  | { readonly ok: true; readonly value: SecretText }
  | { readonly ok: false; readonly expected: string; readonly hint: string };

/** `$${`, or a `${` that must begin a reference. */
const MARK = /\$\$\{|\$\{(?:[^{}]*\})?/g;
// Text around references that is not a secret: separators, and the beginning of an Authorization header.
const NO_SECRET = /^(?:[\s:;,./@=&-]*|(?:bearer|basic|token|apikey) +)$/i;

/**
 * Splits a text into plain parts and references. Neighbouring plain parts are joined; an empty text has no
 * parts.
 */
export function parseSecretText(text: string): SecretTextReading {
  const whole = parseReference(text);
  if (whole !== null) return { ok: true, value: [whole] };
  const parts: (string | SecretReference)[] = [];
  let plain = "";
  let done = 0;
  for (const { 0: mark, index } of text.matchAll(MARK)) {
    plain += text.slice(done, index);
    done = index + mark.length;
    if (mark === "$${") {
      plain += "${";
      continue;
    }
    const reference = parseReference(mark) ?? parseUserReference(mark);
    if (reference === null) {
      const expected = `text in which \`${REFERENCE_FORM}\` names an environment variable, or \`\${${STORED_FORM}}\` a secret`;
      return { ok: false, expected, hint: "a `${` that is not a reference is written as `$${`" };
    }
    if (plain !== "") parts.push(plain);
    plain = "";
    parts.push(reference);
  }
  plain += text.slice(done);
  if (plain !== "") parts.push(plain);
  return { ok: true, value: parts };
}

const STORED_IN_TEXT = new RegExp(`(?<!\\$)\\$\\{(secret:${SECRET_NAME_FORM}|${FILE_FORM})\\}`);

/** Splits an address or an argument at its references to stored secrets. Any other `${` stays text. */
export function storedParts(text: string): SecretText {
  return text
    .split(STORED_IN_TEXT)
    .map((part, index) => (index % 2 === 0 ? part : (parseReference(`\${${part}}`) ?? part)))
    .filter((part) => part !== "");
}

/** Whether a text refers to a stored secret and holds nothing else: `secret:NAME`, `${secret:NAME}`. */
export function isOnlyReference(text: string): boolean {
  const reading = parseSecretText(text);
  const [part, ...more] = reading.ok ? reading.value : [];
  return typeof part === "object" && part.kind === "stored" && more.length === 0;
}

/** True when the whole value is written in the file: it is not empty, and has no reference. */
export function isLiteral(text: SecretText): boolean {
  return text.length > 0 && text.every((part) => typeof part === "string");
}

/**
 * True when a text may be shown as it is written: it is empty, or consists of references with nothing secret
 * around them.
 */
export function isShowable(text: string): boolean {
  const reading = parseSecretText(text);
  if (!reading.ok) return false;
  if (isLiteral(reading.value)) return false;
  return reading.value.every((part) => typeof part !== "string" || NO_SECRET.test(part));
}

/** Escapes each `${`, so that a text that takes references contains it literally. */
export function escaped(text: string): string {
  return text.replaceAll("${", () => "$${");
}
