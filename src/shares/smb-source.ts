// The source of an SMB mount: `//[domain;][user[:password]@]host[:port]/share[/path]`.
import { valueOr } from "../runtime/errors.ts";
import { trimEnd } from "../runtime/text/trim-end.ts";
import type { RouteSpec } from "./share-spec.ts";

export interface SmbSource {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** The name as written, and also decoded if it has percent escapes. */
  readonly shareNames: readonly string[];
  /** A folder inside the share, "" for its root. */
  readonly subpath: string;
}

export const SMB_PORT = 445;

export function parseSmbSource(source: string): SmbSource | null {
  const match = /^(?:smb:|cifs:)?[/\\]{2}([^/\\]+)[/\\]([^/\\]+)(?:[/\\]+(.*))?$/is.exec(source);
  const [, authority, share, subpath] = match ?? [];
  if (authority === undefined || share === undefined) return null;
  // A user name may contain an `@`; a host may not.
  const address = parseAddress(authority.slice(authority.lastIndexOf("@") + 1));
  if (address === null) return null;
  const decoded = percentDecoded(share);
  return {
    ...address,
    shareNames: decoded === share ? [share] : [share, decoded],
    subpath: trimEnd(subpath ?? "", "/\\"),
  };
}

/** `//HOST/SHARE`, with `:port` only if it is not 445. */
export function sourceOf(route: Pick<RouteSpec, "host" | "port">, shareName: string): string {
  const host = route.host ?? "";
  const bracketed = host.includes(":") ? `[${host}]` : host;
  const port = route.port === SMB_PORT ? "" : `:${route.port}`;
  return `//${bracketed}${port}/${shareName}`;
}

/**
 * Whether a source names the share. Servers ignore the case of share names, and macOS shows the names in decomposed
 * Unicode.
 */
export function isShareNamed(source: SmbSource, shareName: string): boolean {
  return source.shareNames.some((name) => isSameShareName(name, shareName));
}

export function isSameShareName(one: string, other: string): boolean {
  return foldedShareName(one) === foldedShareName(other);
}

export function isSameHost(one: string, other: string): boolean {
  return foldedHost(one) === foldedHost(other);
}

function parseAddress(text: string): { host: string; port: number } | null {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (host !== undefined) {
    const port = match?.[3] === undefined ? SMB_PORT : Number(match[3]);
    return { host: percentDecoded(host), port };
  }
  // The kernel's own client shows IPv6 addresses without brackets.
  return /^[0-9a-f:.%]+$/i.test(text) ? { host: text, port: SMB_PORT } : null;
}

/** Decodes percent escapes; returns the text unchanged if its percent signs are not escapes. */
export function percentDecoded(text: string): string {
  return valueOr(() => decodeURIComponent(text), text);
}

/** Returns the same key for all names that a server treats as one share. */
export function foldedShareName(name: string): string {
  return name.normalize("NFC").toUpperCase().toLowerCase();
}

function foldedHost(host: string): string {
  return host.toLowerCase().replace(/\.$/, "");
}
