// The URL that macOS mounts: `smb://[user@]host[:port]/share`, each part escaped.
import { SMB_PORT } from "../../smb-source.ts";

export interface NetfsTarget {
  /** A name or an address without brackets; an IPv6 address may have a zone. */
  readonly host: string;
  readonly port: number;
  readonly shareName: string;
  /** null for a guest. */
  readonly username: string | null;
}

/** Never holds a password. */
export function netfsUrl({ host, port, shareName, username }: NetfsTarget): string {
  const user = username === null ? "" : `${escaped(username)}@`;
  // Only an IPv6 host has colons; the percent sign before its zone is escaped.
  const address = host.includes(":") ? `[${host.replace("%", "%25")}]` : escaped(host);
  return `smb://${user}${address}${port === SMB_PORT ? "" : `:${port}`}/${escaped(shareName)}`;
}

/** In the normal form that servers compare, with everything escaped but unreserved characters. */
function escaped(text: string): string {
  return encodeURIComponent(text.normalize("NFC")).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
