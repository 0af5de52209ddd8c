// What the machine with the fleet's server remembers: who is a member, and who is invited. `fleet.json`, versioned.
import { isMachineName } from "../../config/values/fleet-values.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { isObject, type JsonMembers, jsonObject } from "../../runtime/text/json-object.ts";
import { publicBytesOf } from "../keys/nkey.ts";
import { isAddress } from "./join-code.ts";

const VERSION = 1;

export interface FleetMember {
  readonly name: string;
  /** `U…`. */
  readonly key: string;
  /** `U…`: lets it in, too, until it is used and takes the place of `key`. */
  readonly nextKey?: string;
}

export interface Invitation {
  /** 16 hex digits. */
  readonly id: string;
  /** `U…`: who asks signs in with it. */
  readonly guest: string;
  /** `U…`: who answers. */
  readonly host: string;
  /** Wall clock, ms. */
  readonly expiresAtMs: number;
}

export interface FleetRecord {
  /** HOST:PORT, as the other machines reach it. */
  readonly address: string;
  /** SHA-256 of the certificate authority, hex. */
  readonly authority: string;
  /** Ed25519, base64url. */
  readonly operator: string;
  /** Which certificates of its folder the server uses: from 1, by when they were made. */
  readonly certificates: number;
  /** What this machine is called itself. */
  readonly home: string;
  readonly members: readonly FleetMember[];
  readonly invitations: readonly Invitation[];
}

/** Equal for two names that people take for one. */
export function memberOf({ members }: FleetRecord, name: string): FleetMember | undefined {
  return members.find((member) => member.name.toLowerCase() === name.toLowerCase());
}

export function recordText(record: FleetRecord): string {
  return `${JSON.stringify({ version: VERSION, ...record }, null, 2)}\n`;
}

/** Throws `fleet_server_failed` for what was not written by `recordText`: it decides who comes in, so nothing is guessed. */
export function parseRecord(text: string, path: string): FleetRecord {
  const found = jsonObject(text) ?? {};
  const { version, address, authority, operator, home } = found;
  if (typeof version === "number" && version > VERSION) throw unreadable(path, "a newer version wrote it");
  const certificates = found["certificates"] ?? 1;
  const members = listOf(found["members"], readMember);
  const invitations = listOf(found["invitations"], readInvitation);
  if (
    !(typeof address === "string" && isAddress(address)) ||
    !(typeof authority === "string" && /^[0-9a-f]{64}$/.test(authority)) ||
    !(typeof operator === "string" && Buffer.from(operator, "base64url").length === 32) ||
    !(typeof home === "string" && isMachineName(home)) ||
    !(typeof certificates === "number" && Number.isSafeInteger(certificates) && certificates >= 1) ||
    version !== VERSION ||
    members === null ||
    invitations === null
  ) {
    throw unreadable(path, "it is not as it was written");
  }
  return { address, authority, operator, certificates, home, members, invitations };
}

function readMember({ name, key, nextKey }: JsonMembers): FleetMember | null {
  if (typeof name !== "string" || !isMachineName(name) || !isUserKey(key)) return null;
  if (nextKey === undefined) return { name, key };
  return isUserKey(nextKey) ? { name, key, nextKey } : null;
}

function readInvitation({ id, guest, host, expiresAtMs }: JsonMembers): Invitation | null {
  if (typeof id !== "string" || !/^[0-9a-f]{16}$/.test(id) || typeof expiresAtMs !== "number") return null;
  return isUserKey(guest) && isUserKey(host) ? { id, guest, host, expiresAtMs } : null;
}

export function isUserKey(value: unknown): value is string {
  return typeof value === "string" && publicBytesOf(value) !== null;
}

function listOf<T>(value: unknown, read: (entry: JsonMembers) => T | null): readonly T[] | null {
  if (!Array.isArray(value)) return null;
  const all = value.map((entry: unknown) => (isObject(entry) ? read(entry) : null));
  return all.every((entry) => entry !== null) ? all : null;
}

function unreadable(path: string, why: string): MountaineerError {
  return new MountaineerError("fleet_server_failed", `${path} cannot be used: ${why}`);
}
