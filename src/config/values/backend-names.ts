// The rules for names of backends, tools, variables and headers, and for names that suggest a secret.
import { isVariableName } from "../../runtime/text/name-forms.ts";
import { isLine, type TextReading, textReader, wrong } from "./names.ts";

const LONGEST_NAME = 64;
const LONGEST_TOOL_NAME = 128;

const BACKEND_NAME_EXPECTED = `a name of letters, digits, \`_\` and \`-\` that begins with a letter, at most ${LONGEST_NAME} characters`;
export const TOOL_NAME_EXPECTED = `a tool's name: letters, digits, \`_\`, \`-\`, \`.\` and \`/\`, at most ${LONGEST_TOOL_NAME} characters`;

/** A name begins with a letter, because objects do not keep the order of keys that look like numbers. */
export function parseBackendName(text: string): TextReading {
  if (/^[A-Za-z][A-Za-z0-9_-]*$/.test(text) && text.length <= LONGEST_NAME) return { ok: true, value: text };
  const hint = /^[0-9]/.test(text) ? "begin it with a letter" : null;
  return wrong(BACKEND_NAME_EXPECTED, text.length > LONGEST_NAME ? "shorten it" : hint);
}

/** Reads the name of a NAS in a share, for which people may write its address. */
export function parseNasName(text: string): TextReading {
  const reading = parseBackendName(text);
  const isAddress = /[.:]/.test(text);
  return reading.ok || !isAddress
    ? reading
    : wrong(reading.expected, "an address belongs in `[nas.NAME]`, or in the share's `fallback_host`");
}

const AT_MACHINE = "@";

/** The local name of another machine's backend; no backend of the file can have such a name. */
export function importedName(backend: string, machine: string): string {
  return `${backend}${AT_MACHINE}${machine}`;
}

/**
 * Whether a list such as `[fleet].import` (`*`, `MACHINE`, `MACHINE/BACKEND`) names the backend `backend` of the
 * machine `machine`.
 */
export function namesBackend(entries: readonly string[], machine: string, backend: string): boolean {
  return entries.some((entry) => ["*", machine, `${machine}/${backend}`].includes(entry));
}

/** The machine that has the backend; null: this one. */
export function machineOf(backendName: string): string | null {
  return backendName.split(AT_MACHINE)[1] ?? null;
}

export const parseRouteName = textReader(
  (text) => /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/.test(text) && text !== AUTO_ROUTE,
  "a name of letters, digits, `_` and `-`, at most 32 characters, and not `auto`",
);

/** The value of `switch --to` that lets the daemon choose the route. */
export const AUTO_ROUTE = "auto";

/** A server's own name for a tool: any is accepted. */
export const parseServerToolName = textReader(
  (text) => isLine(text, 1024),
  "the tool's name as the server says it",
);

/** The name under which a tool is published: only characters that every client accepts. */
export const parsePublishedToolName = textReader(
  (text) => /^[A-Za-z0-9_./-]+$/.test(text) && text.length <= LONGEST_TOOL_NAME,
  TOOL_NAME_EXPECTED,
);

/** A plugin of a client, or a bundle of this home: `CLIENT:NAME@MARKETPLACE`, `bundle:NAME-VERSION-DIGEST`. */
export const parsePackage = textReader(
  (text) => /^[a-z][a-z0-9-]*:[A-Za-z0-9][\w.@+-]{0,255}$/.test(text),
  "a plugin as `CLIENT:NAME`, or a bundle as `bundle:NAME-VERSION-DIGEST`",
);

export const parseVariableName = textReader(
  (text) => isVariableName(text) && text.length <= 256,
  "the name of an environment variable: letters, digits and `_`, not beginning with a digit",
);

// Headers that the implementation of the protocol sets itself: any other value would break the connection or
// contradict a message.
const PROTOCOL_HEADERS: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "host",
  "keep-alive",
  "last-event-id",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

export function parseHeaderName(text: string): TextReading {
  const expected = "the name of an HTTP header";
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/.test(text)) return wrong(expected);
  const name = text.toLowerCase();
  if (PROTOCOL_HEADERS.has(name) || name.startsWith("mcp-"))
    return wrong("a header that is not the protocol's own", "Mountaineer sets this one itself; remove it");
  return { ok: true, value: text };
}

/** Returns true for a header that carries only a person's credentials. */
export function isCredentialHeader(name: string): boolean {
  return /^(?:proxy-)?authorization$/i.test(name);
}

export function isSecretHeader(name: string): boolean {
  return isCredentialHeader(name) || /cookie|api-?key|token|secret|passw|credential|auth/i.test(name);
}

export function isSecretVariable(name: string): boolean {
  return /(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$/i.test(name);
}
