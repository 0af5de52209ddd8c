// The rules for the names of shares, users, interfaces and networks. A share has two names: ours, which is a
// component of a path, and the server's.
import { trimEnd } from "../../runtime/text/trim-end.ts";

export interface WrongText {
  readonly ok: false;
  /** Default: a description of the text. */
  readonly found?: string;
  readonly expected: string;
  readonly hint: string | null;
}

export type TextReading = { readonly ok: true; readonly value: string } | WrongText;

/** Aliases live in `<shares_root>/Links`, so no share may be called that. */
export const RESERVED_SHARE_NAME = "Links";
export const SHARE_NAME_EXPECTED =
  "a name that can be a folder's: at most 255 bytes, without `/` and control characters";

export const SUBPATH_EXPECTED =
  "a folder inside the share, such as `Projects/2026`, without `..` and without a slash before it";

/** In `only_on`: the networks on which a route was proved while this machine was on a network of the list. */
export const PROVED_NETWORKS = "proved";

export const NETWORK_MARK_EXPECTED =
  "`gateway:` and the gateway's hardware address, or, where a link has no gateway, `subnet:` and its IPv4 network";

const LONGEST_COMPONENT_BYTES = 255;
const LONGEST_SUBPATH_BYTES = 3072;
const LONGEST_SERVER_NAME = 80;
const CONTROL_CHARACTER = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/u;

export function wrong(expected: string, hint: string | null = null): WrongText {
  return { ok: false, expected, hint };
}

/** A reader that accepts the texts for which `isRight` is true, and returns them unchanged. */
export function textReader(isRight: (text: string) => boolean, expected: string, hint: string | null = null) {
  return (text: string): TextReading => (isRight(text) ? { ok: true, value: text } : wrong(expected, hint));
}

/** Whether a text has 1 to `most` UTF-16 units and no control character. */
export function isLine(text: string, most: number): boolean {
  return text !== "" && text.length <= most && !/[\p{Cc}\p{Cs}]/u.test(text);
}

/** Returns the same key for all names that a case-insensitive file system does not distinguish. */
export function nameKey(name: string): string {
  return name.normalize("NFC").toUpperCase().toLowerCase().normalize("NFC");
}

/** Reads a share's name; the value is in Unicode form NFC, as it appears in paths, state and status. */
export function parseShareName(text: string): TextReading {
  const reading = parseAliasName(text);
  if (!reading.ok || nameKey(reading.value) !== nameKey(RESERVED_SHARE_NAME)) return reading;
  return wrong(`any name but ${RESERVED_SHARE_NAME}`, "links to folders inside shares live under that name");
}

/**
 * Reads an alias' name. It must be a path component, as a share's name must, because its link may be
 * `<shares_root>/Links/<NAME>`.
 */
export function parseAliasName(text: string): TextReading {
  const name = text.normalize("NFC");
  if (name.trim() === "") return wrong(SHARE_NAME_EXPECTED);
  if (name.trim() !== name) return wrong("a name without spaces around it", "remove the spaces around it");
  if (name.includes("/"))
    return wrong(
      SHARE_NAME_EXPECTED,
      "the name is one folder; the name on the server goes into `share_name`, a folder inside a share into `target_subpath`",
    );
  if (name === "." || name === "..") return wrong(SHARE_NAME_EXPECTED);
  if (CONTROL_CHARACTER.test(name)) return wrong(SHARE_NAME_EXPECTED);
  if (Buffer.byteLength(name) > LONGEST_COMPONENT_BYTES) return wrong(SHARE_NAME_EXPECTED, "shorten it");
  return { ok: true, value: name };
}

/**
 * Reads the path of a folder inside a share; the value has no slash at either end. A path that leads out of the share,
 * or might, is refused, because a link may be made before the share is ever seen.
 */
export function parseSubpath(text: string): TextReading {
  if (text.startsWith("/") || text.startsWith("~"))
    return wrong(SUBPATH_EXPECTED, "it begins inside the share: write `Projects`, not `/Projects`");
  const segments = trimEnd(text, "/").split("/");
  if (segments.includes("..")) return wrong(SUBPATH_EXPECTED, "`..` could lead out of the share");
  if (segments.includes("") || segments.includes(".")) return wrong(SUBPATH_EXPECTED);
  if (CONTROL_CHARACTER.test(text)) return wrong(SUBPATH_EXPECTED);
  if (Buffer.byteLength(text) > LONGEST_SUBPATH_BYTES) return wrong(SUBPATH_EXPECTED, "shorten it");
  const tooLong = segments.some((segment) => Buffer.byteLength(segment) > LONGEST_COMPONENT_BYTES);
  if (tooLong) return wrong(SUBPATH_EXPECTED, "a folder's name has at most 255 bytes");
  return { ok: true, value: segments.join("/") };
}

export function parseServerShareName(text: string): TextReading {
  const expected = `the share's name on the server: 1 to ${LONGEST_SERVER_NAME} characters without \`/\`, \`\\\` and control characters`;
  if (text.trim() === "") return wrong(expected);
  if (/[/\\]/.test(text)) return wrong(expected, "write only the share's name, without host and folders");
  if (CONTROL_CHARACTER.test(text) || text.length > LONGEST_SERVER_NAME) return wrong(expected);
  return { ok: true, value: text };
}

/** Reads a user's name as the server knows it, perhaps with its domain (`OFFICE\ann`). */
export function parseUserName(text: string): TextReading {
  const expected = "a user's name without control characters, at most 256 characters";
  if (/\$\{/.test(text))
    return wrong("the user's name itself", "only `password` takes the name of a variable");
  if (text.trim() === "" || CONTROL_CHARACTER.test(text) || text.length > 256) return wrong(expected);
  return { ok: true, value: text };
}

export const parseInterfaceName = textReader(
  (text) => /^[^\s/:\p{Cc}]{1,15}$/u.test(text) && text !== "." && text !== "..",
  "the name of a network interface, such as `en5` or `eth0`",
  "`ifconfig` or `ip link` lists them",
);

/** Reads the mark of a network: `gateway:aa:bb:cc:dd:ee:ff`, or `subnet:10.0.0.0/24`. */
export function parseNetworkMark(text: string): TextReading {
  const mark = text.trim().toLowerCase();
  if (mark === PROVED_NETWORKS) return { ok: true, value: mark };
  if (/^gateway:[\da-f]{2}(:[\da-f]{2}){5}$/.test(mark)) return { ok: true, value: mark };
  const subnet = /^subnet:((?:\d{1,3}\.){3}\d{1,3})\/(\d|[12]\d|3[01])$/.exec(mark);
  const [, address = "", prefix = ""] = subnet ?? [];
  const parts = address.split(".").map(Number);
  // This check does not use `node:net`, because the page uses this file.
  if (parts.join(".") === address && parts.every((part) => part <= 255)) {
    const number = parts.reduce((sum, part) => sum * 256 + part, 0);
    if (number % 2 ** (32 - Number(prefix)) === 0) return { ok: true, value: mark };
    return wrong(
      NETWORK_MARK_EXPECTED,
      `the network's own address, whose last ${32 - Number(prefix)} bits are 0`,
    );
  }
  return wrong(NETWORK_MARK_EXPECTED);
}
