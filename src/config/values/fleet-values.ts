// The notation of values of `[fleet]`: this machine's name, and the addresses of NATS servers.
import { trimEnd } from "../../runtime/text/trim-end.ts";
import { parseBackendName } from "./backend-names.ts";
import { isLoopback, parseHost } from "./host.ts";
import { quoted } from "./mistakes.ts";
import { type TextReading, textReader, wrong } from "./names.ts";

/** Maximum number of addresses. No cluster has more servers. */
export const MOST_FLEET_SERVERS = 8;

/** Maximum number of entries in a list. No person writes as many. */
export const MOST_FLEET_NAMES = 100;

export const EXPORT_EXPECTED = "a server of this machine, or `*` for all";
export const IMPORT_EXPECTED = "a machine, `MACHINE/SERVER`, or `*` for all";

export const MACHINE_NAME_EXPECTED = "1 to 32 letters, digits and `-`";
export const FLEET_SERVER_EXPECTED = "`tls://HOST:PORT`, or `nats://127.0.0.1:PORT` on this machine";

const NATS_PORT = 4222;

const LONGEST_NAME = 32;

/** The name that a machine has by default, made from its host's name; null: the host's name gives none. */
export function machineNameOf(host: string): string | null {
  const [first = ""] = host.split(".");
  const plain = first
    .replace(/[^A-Za-z0-9-]+/g, "-")
    .replace(/^-+/, "")
    .slice(0, LONGEST_NAME);
  const name = trimEnd(plain, "-").toLowerCase();
  return name === "" ? null : name;
}

/**
 * Whether a text can be a machine's name. The name is part of NATS subjects, and the machine publishes its summary
 * under this key.
 */
export function isMachineName(text: string): boolean {
  return /^[A-Za-z0-9-]{1,32}$/.test(text);
}

export const parseMachineName = textReader(isMachineName, MACHINE_NAME_EXPECTED);

export const parseExport = textReader((text) => text === "*" || parseBackendName(text).ok, EXPORT_EXPECTED);

export const parseImport = textReader((text) => {
  const [machine = "", backend, ...more] = text.split("/");
  const isNamed = isMachineName(machine) && (backend === undefined || parseBackendName(backend).ok);
  return text === "*" || (isNamed && more.length === 0);
}, IMPORT_EXPECTED);

/** Reads an address, and returns it with its port. Other machines may only be reached over TLS. */
export function parseFleetServer(text: string): TextReading {
  const [, scheme = "", authority = ""] = /^(tls|nats):\/\/([^/]*)\/?$/.exec(text) ?? [];
  if (scheme === "") return wrong(FLEET_SERVER_EXPECTED);
  if (authority.includes("@")) {
    return wrong(FLEET_SERVER_EXPECTED, "the login comes from `credentials`, never from an address");
  }
  const reading = parseHost(authority);
  // If the text has no port, `parseHost` returns the port of SMB.
  const hasPort = /^(?:\[[^\]]*\]|[^:]*):\d+$/.test(authority);
  if (!reading.ok || authority.includes("%")) {
    return wrong(FLEET_SERVER_EXPECTED, "an IPv6 address is written `tls://[2001:db8::1]:4222`");
  }
  const { host } = reading.address;
  if (scheme === "nats" && !isLoopback(host)) {
    return wrong(
      "`tls://HOST:PORT`, as it is not this machine",
      "anyone on the way would read and change everything; `tls_ca` names the CA of a private server",
    );
  }
  const port = hasPort ? reading.address.port : NATS_PORT;
  return { ok: true, value: `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}` };
}

/** A description of the text that never shows a possible password. */
export function describeFleetServer(text: string): string {
  return text.includes("@") ? "an address with a user in it" : `string ${quoted(text)}`;
}
