// Enrollment of a machine, its side: joins a fleet. Sends a request with a code, and is a member once the NATS server
// accepts this machine's key. The membership is recorded before the request, so that an interrupted join can continue.

import type { HomeOptions } from "../../api/client/start-daemon.ts";
import type { FleetSection } from "../../config/values/fleet-values.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { inboxOf } from "../nats/subjects.ts";
import { readFleet, withFolder } from "./fleet-folder.ts";
import { type JoinCode, joinKeys } from "./join-code.ts";
import {
  type JoinContext,
  type JoinOutcome,
  newRequest,
  type RefusedBecause,
  readOutcome,
  writeRequest,
} from "./join-messages.ts";
import {
  forgetMembership,
  freeName,
  type Membership,
  readMembership,
  sectionOf,
  storedAuthority,
  storedMachineKey,
  storedOrNewKey,
  writeMembership,
} from "./membership.ts";
import { guestInbox, joinSubject } from "./server-config.ts";
import { fetchAuthority, openServerConnection } from "./server-connection.ts";

/**
 * Limit for the answer, ms. The other machine answers only after it has written its record and its server has
 * reloaded the configuration.
 */
const ANSWER_WITHIN_MS = 40_000;
const SECRET_NAME = "fleet-key";

export interface JoinOptions extends HomeOptions {
  readonly code: JoinCode;
  readonly name: string;
  /**
   * Writes the `[fleet]` section. If this fails, the machine is a member all the same, and a repeated join
   * writes the section.
   */
  readonly writeSection: (section: FleetSection) => Promise<void>;
}

/**
 * Joins a fleet. Rejects with `join_refused` (the code is no longer valid, the name is taken, another server answers):
 * nothing is changed then. After `fleet_unreachable` and `timed_out`, a second call continues.
 */
export async function joinFleet(options: JoinOptions): Promise<Membership> {
  const { home, signal, writeSection } = options;
  return withFolder(options, signal, async () => {
    if ((await readFleet(home)) !== null) {
      throw new MountaineerError("usage", "this machine runs a fleet's server itself", {
        hint: "mountaineer fleet leave removes that server",
      });
    }
    const membership = (await resumed(options)) ?? (await requestMembership(options));
    await writeSection(sectionOf(home, membership));
    return membership;
  });
}

/**
 * Resolves with the membership if an earlier call was interrupted after the server had accepted this machine;
 * otherwise with null.
 */
async function resumed(options: JoinOptions): Promise<Membership | null> {
  const { home, code, name, signal } = options;
  const before = await readMembership(home);
  if (before === null || before.name !== name || before.authority !== code.authority.toString("hex"))
    return null;
  const [seed, authority] = [await storedMachineKey(options, before.secret), await storedAuthority(home)];
  if (seed === null || authority === null) return null;
  const { address } = before;
  const connection = await openServerConnection({ address, authority, seed, inbox: inboxOf(name) }, signal);
  await connection?.[Symbol.asyncDispose]();
  return connection === null ? null : before;
}

async function requestMembership(options: JoinOptions): Promise<Membership> {
  const { home, clock, code, name, signal } = options;
  if (clock.wallMs() >= code.expiresAtMs) {
    throw refused("the code has expired", "ask for a new one, or check this machine's clock");
  }
  const pem = await fetchAuthority(code.address, code.authority, signal);
  const before = await readMembership(home);
  const membership: Membership = {
    name,
    address: code.address,
    authority: code.authority.toString("hex"),
    secret: before?.secret ?? (await freeName(options, SECRET_NAME)),
    isFounder: false,
  };
  await writeMembership(home, membership, pem);
  const seed = await storedOrNewKey(options, membership.secret);
  const outcome = await sendRequest(options, membership, pem, seed);
  if (!outcome.joined) {
    if (outcome.why === "failed") {
      throw new MountaineerError("timed_out", "the other machine could not finish: check its terminal", {
        hint: "then run the same command here again",
        retry: "later",
      });
    }
    await forgetMembership(options);
    throw refusal(outcome.why, name);
  }
  const own = { address: code.address, authority: pem, seed, inbox: inboxOf(name) };
  const connection = await openServerConnection(own, signal);
  if (connection === null)
    throw refused("the server does not know this machine, although it was let in", null);
  await connection[Symbol.asyncDispose]();
  return membership;
}

async function sendRequest(
  { code, signal }: JoinOptions,
  { name, address, authority }: Membership,
  pem: string,
  seed: Buffer,
): Promise<JoinOutcome> {
  const keys = joinKeys(code.secret);
  const context: JoinContext = { id: keys.id, authority };
  const guest = { address, authority: pem, seed: keys.login, inbox: guestInbox(keys.id) };
  await using connection = await openServerConnection(guest, signal);
  if (connection === null) return { joined: false, why: "used" };
  const request = newRequest(name, seed);
  const question = writeRequest(request, context, keys.proof, seed);
  const answer = await connection.request(joinSubject(keys.id), question, ANSWER_WITHIN_MS);
  if (answer === null) return { joined: false, why: "expired" };
  return readOutcome(answer, request, context, keys.proof) ?? { joined: false, why: "not_proved" };
}

function refusal(why: Exclude<RefusedBecause, "failed">, name: string): MountaineerError {
  const newInvitation = "ask for a new one: mountaineer fleet invite";
  const reasons: Record<typeof why, readonly [message: string, hint: string | null]> = {
    name_taken: [`the fleet has a machine called ${name} already`, "choose another name: --name NAME"],
    not_proved: ["the code does not match the fleet: it was changed on its way", null],
    expired: ["no machine waits for this code now", newInvitation],
    used: ["the code was used already, or withdrawn", newInvitation],
  };
  return refused(...reasons[why]);
}

function refused(message: string, hint: string | null): MountaineerError {
  return new MountaineerError("join_refused", `${message}; nothing was changed`, { hint });
}
