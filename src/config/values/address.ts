// Reads an address with the parser that also connects to it, and refuses one that leads elsewhere than its text says. Pure.
import { quoted } from "./mistakes.ts";
import { type WrongText, wrong } from "./names.ts";

const LONGEST = 4096;
const AUTHORITY = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i;

/** Whether host and port are in the text as in `url`, which was parsed from it; letter case is ignored. */
export function isHostAsWritten(text: string, { host, port, protocol, username, password }: URL): boolean {
  const authority = AUTHORITY.exec(text)?.[1]?.toLowerCase();
  const written = username + password === "" ? authority : authority?.slice(authority.lastIndexOf("@") + 1);
  const usual = port === "" && `${host}:${protocol === "https:" ? 443 : 80}`;
  return written === host.toLowerCase() || written === usual;
}

/** Reads an http or https address without user and `#`. `expected`: what the error says for any other text. */
export function readAddress(
  text: string,
  expected: string,
): { readonly ok: true; readonly url: URL } | WrongText {
  const [stray] = /[\s\p{Cc}\p{Cs}]/u.exec(text) ?? [];
  if (stray !== undefined) {
    const code = stray.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0");
    return {
      ...wrong(expected, "remove blanks, tabs and line breaks"),
      found: `an address with the character U+${code}`,
    };
  }
  const url = text.length > LONGEST ? null : URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) return wrong(expected);
  if (url.username !== "" || url.password !== "")
    return wrong("an address without a user", "no secrets in config: pass them in `headers`, by reference");
  if (url.hash !== "") return wrong("an address without `#`", "what follows `#` is never sent");
  if (isHostAsWritten(text, url)) return { ok: true, url };
  const hint = `if that is meant: ${url.protocol}//${url.host}`;
  return {
    ...wrong("host and port written as they are used", hint),
    found: `an address that leads to ${quoted(url.host)}`,
  };
}
