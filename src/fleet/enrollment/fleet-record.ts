// The record of a fleet on its server's machine, `fleet.json`: members and open invitations.
import { isMachineName } from "../../config/values/fleet-values.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import {
  list,
  matching,
  number,
  numberThat,
  object,
  reader,
  type TypeOf,
  textThat,
} from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { userKeyShape } from "../keys/nkey.ts";
import { isAddress } from "./join-code.ts";

const VERSION = 1;

const machineName = textThat("a machine's name", isMachineName);

const memberShape = object({ name: machineName, key: userKeyShape });
type FleetMember = TypeOf<typeof memberShape>;

const invitationShape = object({
  id: matching(/^[0-9a-f]{16}$/, "16 hex digits"),
  /** `U…`: the key with which the machine that joins signs in. */
  guest: userKeyShape,
  /** `U…`: the key of the command that made the code and now waits for the machine to join. */
  host: userKeyShape,
  /** Wall clock, ms. */
  expiresAtMs: number,
});
const recordShape = object({
  version: numberThat("1", (version) => version === VERSION),
  /** The server's address for other machines. */
  address: textThat("HOST:PORT", isAddress),
  /** SHA-256 of the certificate authority. */
  authority: matching(/^[0-9a-f]{64}$/, "64 hex digits"),
  /** The name of the machine that runs the server. */
  home: machineName,
  members: list(memberShape),
  invitations: list(invitationShape),
});
export type FleetRecord = Omit<TypeOf<typeof recordShape>, "version">;
const readRecord = reader(recordShape);

/** Finds a member by name, ignoring case: people do not tell names apart that differ only in case. */
export function memberOf({ members }: FleetRecord, name: string): FleetMember | undefined {
  return members.find((member) => member.name.toLowerCase() === name.toLowerCase());
}

export function recordText(record: FleetRecord): string {
  return `${JSON.stringify({ version: VERSION, ...record }, null, 2)}\n`;
}

/** Throws `fleet_server_failed` for a damaged record: it decides who is admitted, so nothing is guessed. */
export function parseRecord(text: string, path: string): FleetRecord {
  const found = jsonObject(text);
  if (Number(found?.["version"]) > VERSION) throw unreadable(path, "a newer version wrote it");
  const read = readRecord(found);
  if (read === null) throw unreadable(path, "it is not as it was written");
  const { version: _, ...record } = read;
  return record;
}

function unreadable(path: string, why: string): MountaineerError {
  return new MountaineerError("fleet_server_failed", `${path} cannot be used: ${why}`);
}
