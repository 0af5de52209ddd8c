// What the machine with the fleet's server remembers: who is a member, and who is invited. `fleet.json`, versioned.
import { isMachineName } from "../../config/values/fleet-values.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import {
  list,
  matching,
  number,
  numberThat,
  object,
  optional,
  reader,
  type TypeOf,
  textThat,
} from "../../runtime/shape.ts";
import { type JsonMembers, jsonObject } from "../../runtime/text/json-object.ts";
import { publicBytesOf } from "../keys/nkey.ts";
import { isAddress } from "./join-code.ts";

const VERSION = 1;

const machineName = textThat("a machine's name", isMachineName);
const userKeyShape = textThat("U…", isUserKey);

const memberShape = object({
  name: machineName,
  key: userKeyShape,
  /** Lets it in, too, until it is used and takes the place of `key`. */
  nextKey: optional(userKeyShape),
});
export type FleetMember = TypeOf<typeof memberShape>;

const invitationShape = object({
  id: matching(/^[0-9a-f]{16}$/, "16 hex digits"),
  /** Who asks signs in with it. */
  guest: userKeyShape,
  /** Who answers. */
  host: userKeyShape,
  /** Wall clock, ms. */
  expiresAtMs: number,
});
export type Invitation = TypeOf<typeof invitationShape>;

const recordShape = object({
  version: numberThat("1", (version) => version === VERSION),
  /** As the other machines reach it. */
  address: textThat("HOST:PORT", isAddress),
  /** SHA-256 of the certificate authority. */
  authority: matching(/^[0-9a-f]{64}$/, "64 hex digits"),
  /** Ed25519, base64url. */
  operator: textThat("a key", (key) => Buffer.from(key, "base64url").length === 32),
  /** Which certificates of its folder the server uses: from 1, by when they were made. */
  certificates: numberThat("a count from 1", (many) => Number.isSafeInteger(many) && many >= 1),
  /** What this machine is called itself. */
  home: machineName,
  members: list(memberShape),
  invitations: list(invitationShape),
});
export type FleetRecord = Omit<TypeOf<typeof recordShape>, "version">;
const readRecord = reader(recordShape);

/** Equal for two names that people take for one. */
export function memberOf({ members }: FleetRecord, name: string): FleetMember | undefined {
  return members.find((member) => member.name.toLowerCase() === name.toLowerCase());
}

export function recordText(record: FleetRecord): string {
  return `${JSON.stringify({ version: VERSION, ...record }, null, 2)}\n`;
}

/** Throws `fleet_server_failed` for what was not written by `recordText`: it decides who comes in, so nothing is guessed. */
export function parseRecord(text: string, path: string): FleetRecord {
  const found: JsonMembers = { certificates: 1, ...jsonObject(text) };
  if (Number(found["version"]) > VERSION) throw unreadable(path, "a newer version wrote it");
  const read = readRecord(found);
  if (read === null) throw unreadable(path, "it is not as it was written");
  const { version: _, ...record } = read;
  return record;
}

function isUserKey(key: string): boolean {
  return publicBytesOf(key) !== null;
}

function unreadable(path: string, why: string): MountaineerError {
  return new MountaineerError("fleet_server_failed", `${path} cannot be used: ${why}`);
}
