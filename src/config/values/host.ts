// The notation of a host: `name`, `name:port`, IPv4, and IPv6 bare or as `[address]:port`.
import { isIPv4, isIPv6 } from "node:net";
import { type HostAddress, SMB_PORT } from "./host-text.ts";
import { quoted } from "./mistakes.ts";
import type { TextReading } from "./names.ts";

type HostReading =
  | { readonly ok: true; readonly address: HostAddress }
  | { readonly ok: false; readonly found: string; readonly hint: string | null };

export const HOST_EXPECTED =
  "a host as `name`, `name:port`, an IPv4 address, or an IPv6 address as `::1` or `[::1]:445`";

// Underscores are not part of DNS host names, but NetBIOS names and many home networks have them.
const LABEL = /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;
const PORT = /^[1-9][0-9]{0,4}$/;
const ZONE = /^[A-Za-z0-9_.-]{1,15}$/;

function wrong(found: string, hint: string | null): HostReading {
  return { ok: false, found, hint };
}

function readPort(text: string): number | null {
  if (!PORT.test(text)) return null;
  const port = Number(text);
  return port <= 65_535 ? port : null;
}

function isScopedIPv6(text: string): boolean {
  const [address, zone, ...rest] = text.split("%");
  if (address === undefined || rest.length > 0 || !isIPv6(address)) return false;
  return zone === undefined || ZONE.test(zone);
}

function isHostName(text: string): boolean {
  const name = text.endsWith(".") ? text.slice(0, -1) : text;
  if (name.length > 253) return false;
  const labels = name.split(".");
  // A name whose last label is a number is read as an IPv4 address by every resolver.
  return labels.every((label) => LABEL.test(label)) && !/^(?:[0-9]+|0x[0-9a-f]*)$/i.test(labels.at(-1) ?? "");
}

function badHostHint(text: string): string | null {
  if (text.includes("://")) return "write only the host, without `smb://`";
  if (text.includes("/") || text.includes("\\"))
    return "write only the host; the share goes into `share_name`";
  if (text.includes("@")) return "write only the host; the user goes into `username`";
  if (text.trim() !== text) return "remove the spaces around it";
  if (/^[0-9.]+$/.test(text)) return "an IPv4 address has four numbers from 0 to 255";
  if (/[^\0-\x7f]/.test(text)) return "write the name in ASCII, or the address instead";
  return null;
}

/** Reads a host; the port is 445 when none is written. */
export function parseHost(text: string): HostReading {
  if (text === "") return wrong("an empty string", null);
  // The text before an `@` may be a password.
  const found = text.includes("@") ? "a user before the host" : `string ${quoted(text)}`;
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/s.exec(text);
  if (bracketed !== null) {
    const [, inner = "", portText] = bracketed;
    if (!isScopedIPv6(inner)) return wrong(found, "brackets hold an IPv6 address, as in `[fe80::1]:445`");
    const port = portText === undefined ? SMB_PORT : readPort(portText);
    if (port === null) return wrong(`port ${quoted(portText ?? "")}`, "a port is a number from 1 to 65535");
    return { ok: true, address: { host: inner, port } };
  }
  if (isScopedIPv6(text)) return { ok: true, address: { host: text, port: SMB_PORT } };
  if (/[/\\@]/.test(text)) return wrong(found, badHostHint(text));
  const colon = text.indexOf(":");
  if (colon !== text.lastIndexOf(":"))
    return wrong(found, badHostHint(text) ?? "an IPv6 address with a port is written `[::1]:445`");
  const host = colon === -1 ? text : text.slice(0, colon);
  if (!isIPv4(host) && !isHostName(host)) return wrong(found, badHostHint(text));
  const port = colon === -1 ? SMB_PORT : readPort(text.slice(colon + 1));
  if (port === null)
    return wrong(`port ${quoted(text.slice(colon + 1))}`, "a port is a number from 1 to 65535");
  return { ok: true, address: { host, port } };
}

function canonicalHost(host: string): string {
  const folded = host.toLowerCase().replace(/\.$/, "");
  const [address = "", zone] = folded.split("%");
  if (!isIPv6(address)) return folded;
  const compressed = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(compressed);
  if (mapped !== null) {
    const high = Number.parseInt(mapped[1] ?? "0", 16);
    const low = Number.parseInt(mapped[2] ?? "0", 16);
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  return zone === undefined ? compressed : `${compressed}%${zone}`;
}

/** Equal for two spellings of one host and port (letter case, IPv6 forms, a final dot). */
export function hostKey(address: HostAddress): string {
  return `${canonicalHost(address.host)} ${address.port}`;
}

/** True for addresses that only this machine reaches: `localhost`, 127.0.0.0/8, ::1. */
export function isLoopback(host: string): boolean {
  const name = canonicalHost(host);
  return name === "localhost" || name === "::1" || (isIPv4(name) && name.startsWith("127."));
}

export function isLoopbackUrl({ hostname }: URL): boolean {
  return isLoopback(hostname.replace(/^\[(.*)\]$/, "$1"));
}

export const LISTEN_ADDRESS_EXPECTED = "an IP address of this machine, or a name such as `localhost`";

/** Reads an address to listen on: a name or IP address, without a port. */
export function parseListenAddress(text: string): TextReading {
  const wrongAddress = (hint: string | null): TextReading => {
    return { ok: false, expected: LISTEN_ADDRESS_EXPECTED, hint };
  };
  if (isIPv4(text) || isScopedIPv6(text) || (text !== "" && isHostName(text))) {
    return { ok: true, value: text };
  }
  const reading = parseHost(text);
  if (!reading.ok) return wrongAddress(reading.hint);
  const { host } = reading.address;
  return wrongAddress(text === `[${host}]` ? "write it without brackets" : "the port has its own key");
}

/** Reads a name or address that requests may have as their host; the value is in lower case. */
export function parseAllowedHost(text: string): TextReading {
  const reading = parseListenAddress(text);
  if (reading.ok) return { ok: true, value: text.toLowerCase() };
  return { ok: false, expected: "a name or an address, without a port", hint: reading.hint };
}
