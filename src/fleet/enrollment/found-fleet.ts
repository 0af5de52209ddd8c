// Makes a fleet on this machine: its folder, its server, and this machine as the first member.
import { readFile } from "node:fs/promises";
import type { HomeOptions } from "../../api/client/start-daemon.ts";
import type { FleetSection } from "../../config/values/fleet-values.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import { BUCKET_STREAM } from "../fleet-session.ts";
import { userKey } from "../keys/nkey.ts";
import { STREAM_NAME_IN_USE } from "../nats/connection.ts";
import { inboxOf } from "../nats/subjects.ts";
import { folderPaths, makeFleet, readFleet, withFolder } from "./fleet-folder.ts";
import type { FleetRecord } from "./fleet-record.ts";
import {
  freeName,
  type Membership,
  readMembership,
  sectionOf,
  storedAuthority,
  storedOrNewKey,
  writeMembership,
} from "./membership.ts";
import { openServerConnection } from "./server-connection.ts";
import { findServerProgram, reloadServer, runningServer } from "./server-process.ts";

const ANSWER_WITHIN_MS = 5_000;

export interface FoundOptions extends HomeOptions {
  readonly name: string;
  /** HOST:PORT: the server's address for other machines. */
  readonly address: string;
  readonly writeSection: (section: FleetSection) => Promise<void>;
}

/**
 * Resolves when the server answers and this machine is a member. After an interruption, a second call continues.
 * Rejects with `program_unavailable`, `fleet_server_failed`, `secret_unavailable`, and with `usage` if this machine
 * is in a fleet with another server.
 */
export async function foundFleet(options: FoundOptions): Promise<Membership> {
  const { home, name, address, signal, environment, writeSection } = options;
  await findServerProgram(environment["PATH"] ?? "");
  const { membership, seed } = await withFolder(options, signal, async () => {
    const before = await readMembership(home);
    const found = await readFleet(home);
    if (before !== null && found === null && !before.isFounder) {
      throw new MountaineerError("usage", "this machine is in a fleet, or was about to join one", {
        hint: "mountaineer fleet leave removes it",
      });
    }
    const isNever = found !== null && before !== null && (await neverRan(options, before, found));
    return found === null || isNever ? begun(options, before) : takenUp(options, before, found);
  });
  await reloadServer(options, signal);
  await makeBucket(options, membership, seed, (await storedAuthority(home)) ?? "");
  if (membership.name !== name || membership.address !== address) {
    throw new MountaineerError(
      "usage",
      `the fleet was begun as ${membership.name} at ${membership.address}`,
      {
        hint: "repeat the command with that name and address; or end that fleet first: mountaineer fleet leave",
      },
    );
  }
  await writeSection(sectionOf(home, membership));
  return membership;
}

/**
 * Whether the fleet may be created again, for another address or name: it has no other member, and its server does not
 * run.
 */
async function neverRan(
  { home, name, address }: FoundOptions,
  { isFounder }: Membership,
  record: FleetRecord,
): Promise<boolean> {
  if (record.home === name && record.address === address) return false;
  return isFounder && record.members.length === 1 && (await runningServer(home)) === null;
}

interface Begun {
  readonly membership: Membership;
  readonly seed: Buffer;
}

async function begun(options: FoundOptions, before: Membership | null): Promise<Begun> {
  const { home, name, address } = options;
  const secret = before?.secret ?? (await freeName(options, "fleet-key"));
  // The name of the secret is recorded first, so that `fleet leave` finds the key to remove.
  const draft = { name, address, authority: "", secret, isFounder: true };
  await writeMembership(home, draft, "");
  const seed = await storedOrNewKey(options, secret);
  const members = [{ name, key: userKey(seed) }];
  const record = await makeFleet(options, { address, home: name, members });
  return { membership: await written(options, draft, record), seed };
}

/**
 * Continues with a fleet that an earlier call has made here, even if that call was interrupted. Rejects with
 * `fleet_server_failed` if this machine does not have the fleet's keys.
 */
async function takenUp(
  options: FoundOptions,
  before: Membership | null,
  record: FleetRecord,
): Promise<Begun> {
  if (before === null || !before.isFounder) {
    throw new MountaineerError(
      "fleet_server_failed",
      "the fleet's server is here, but its keys are missing",
      {
        hint: "mountaineer fleet leave --dissolve removes it",
      },
    );
  }
  const seed = await storedOrNewKey(options, before.secret);
  if (!record.members.some(({ key }) => key === userKey(seed))) {
    throw new MountaineerError("fleet_server_failed", "the fleet's server does not know this machine's key", {
      hint: "mountaineer fleet leave --dissolve removes it",
    });
  }
  return { membership: await written(options, before, record), seed };
}

async function written(
  { home }: FoundOptions,
  draft: Membership,
  { address, authority, home: name }: FleetRecord,
): Promise<Membership> {
  const membership = { ...draft, name, address, authority };
  const pem = await readFile(folderPaths(home).authority, "utf8");
  await writeMembership(home, membership, pem);
  return membership;
}

/**
 * Makes the bucket, which only the server's own machine is allowed to do. It forbids roll-ups, by which a hostile
 * member could remove the entries of others. An existing bucket is left unchanged.
 */
async function makeBucket(
  { signal }: FoundOptions,
  { name, address }: Membership,
  seed: Buffer,
  authority: string,
): Promise<void> {
  await using connection = await openServerConnection(
    { address, authority, seed, inbox: inboxOf(name) },
    signal,
  );
  if (connection === null) throw failed("it does not know this machine");
  const subject = `$JS.API.STREAM.CREATE.${BUCKET_STREAM.name}`;
  const answer = await connection.request(subject, JSON.stringify(BUCKET_STREAM), ANSWER_WITHIN_MS);
  const { error } = jsonObject(answer ?? "") ?? { error: "no answer" };
  if (error === undefined || objectOf(error)["err_code"] === STREAM_NAME_IN_USE) return;
  throw failed(
    `JetStream does not make the bucket: ${String(objectOf(error)["description"] ?? "no answer")}`,
  );
}

function failed(why: string): MountaineerError {
  return new MountaineerError("fleet_server_failed", `the server runs, but cannot be used: ${why}`);
}
