// The side that invites: makes a code, and admits one machine that uses it.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { whenAborted } from "../../runtime/abort.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { userKey } from "../keys/nkey.ts";
import { changeFleet, type FleetContext, folderPaths } from "./fleet-folder.ts";
import { type FleetRecord, memberOf } from "./fleet-record.ts";
import { joinKeys, writeJoinCode } from "./join-code.ts";
import {
  type JoinContext,
  type JoinOutcome,
  type JoinRequest,
  type RefusedBecause,
  readRequest,
  writeOutcome,
} from "./join-messages.ts";
import { guestInbox, joinSubject } from "./server-config.ts";
import { openServerConnection, type ServerConnection } from "./server-connection.ts";
import { ensureServer, reloadServer } from "./server-process.ts";

const SECRET_BYTES = 16;
/** How long the server may take to deliver the last answer, ms. */
const FAREWELL_MS = 500;

export interface InviteOptions extends FleetContext {
  readonly validMs: number;
  readonly signal: AbortSignal;
  /** Gets the code as soon as a machine can join with it. */
  readonly onCode: (code: string, expiresAtMs: number) => void;
}

/**
 * Resolves with the name of the machine that joined, or null when the code has expired. The code is useless afterwards,
 * because only this call answers it. Rejects with `fleet_server_failed`, `fleet_unreachable`, and the signal's reason.
 */
export async function invite(options: InviteOptions): Promise<string | null> {
  const { home, clock, validMs, signal, onCode } = options;
  const secret = randomBytes(SECRET_BYTES);
  const keys = joinKeys(secret);
  const hostSeed = randomBytes(32);
  const expiresAtMs = Math.floor((clock.wallMs() + validMs) / 1000) * 1000;
  await ensureServer(options, signal);
  const opened = { id: keys.id, guest: userKey(keys.login), host: userKey(hostSeed), expiresAtMs };
  const record = await changeFleet(options, signal, (now) => ({
    ...now,
    invitations: [...now.invitations, opened],
  }));
  try {
    await reloadServer(options, signal);
    const { address, authority } = record;
    const context: JoinContext = { id: keys.id, authority };
    const pem = await readFile(folderPaths(home).authority, "utf8");
    const connection = await openServerConnection(
      { address, authority: pem, seed: hostSeed, inbox: guestInbox(keys.id) },
      signal,
    );
    if (connection === null)
      throw new MountaineerError("fleet_server_failed", "the server does not know who invites");
    await using _connection = connection;
    const over = new AbortController();
    const admission = createAdmission(options, context, expiresAtMs);
    await connection.serve(joinSubject(keys.id), async (text) => {
      const request = readRequest(text, context, keys.proof);
      if (request === null) return "{}";
      const outcome = await admission.admit(request);
      return writeOutcome(outcome, request, context, keys.proof);
    });
    const timer = clock.setTimer(expiresAtMs - clock.wallMs(), () => over.abort());
    try {
      onCode(
        writeJoinCode({
          address,
          authority: Buffer.from(authority, "hex"),
          secret,
          expiresAtMs,
        }),
        expiresAtMs,
      );
      const ended = AbortSignal.any([over.signal, signal]);
      const joined = await Promise.race([
        admission.joined,
        whenAborted(ended).then(() => admission.lastJoined()),
      ]);
      signal.throwIfAborted();
      if (joined !== null) await farewell(options, connection);
      return joined;
    } finally {
      timer[Symbol.dispose]();
    }
  } finally {
    await withdraw(options, keys.id);
  }
}

/**
 * Waits until the server has delivered the answer, because the withdrawal of the invitation ends the other
 * machine's connection.
 */
async function farewell({ clock, signal }: InviteOptions, connection: ServerConnection): Promise<void> {
  await connection.flush();
  await clock.sleep(FAREWELL_MS, signal);
}

/** Removes the invitation, even after the signal has aborted. */
async function withdraw(options: InviteOptions, id: string): Promise<void> {
  const { signal } = new AbortController();
  const without = (now: FleetRecord): FleetRecord => ({
    ...now,
    invitations: now.invitations.filter((one) => one.id !== id),
  });
  await changeFleet(options, signal, without);
  await reloadServer(options, signal);
}

/** Admits one machine. The machine may repeat its request, if it has missed the answer. */
function createAdmission(options: InviteOptions, context: JoinContext, expiresAtMs: number) {
  const { clock, signal } = options;
  const admittedName = Promise.withResolvers<string>();
  admittedName.promise.catch(() => {});
  let admitted: JoinRequest | null = null;
  let turn: Promise<unknown> = Promise.resolve();

  const admitNow = async (request: JoinRequest): Promise<JoinOutcome> => {
    if (admitted !== null) {
      const isSame = admitted.key === request.key && admitted.name === request.name;
      return isSame ? { joined: true } : { joined: false, why: "used" };
    }
    if (clock.wallMs() >= expiresAtMs) return { joined: false, why: "expired" };
    try {
      await changeFleet(options, signal, (now) => withMember(now, request, context.id));
    } catch (error) {
      if (error instanceof Refused) return { joined: false, why: error.why };
      admittedName.reject(error);
      return { joined: false, why: "failed" };
    }
    admitted = request;
    try {
      await reloadServer(options, signal);
    } catch (error) {
      // The machine is in the record already, so the server's next reload makes it a member.
      admittedName.reject(new MountaineerError("fleet_server_failed", errorText(error), { cause: error }));
      return { joined: false, why: "failed" };
    }
    admittedName.resolve(request.name);
    return { joined: true };
  };

  return {
    /** Resolves with the name of the admitted machine; rejects if the admission could not be recorded. */
    joined: admittedName.promise,
    /**
     * After the code has expired, waits for a request in progress. Resolves with the name of the admitted machine;
     * null if none was admitted.
     */
    async lastJoined(): Promise<string | null> {
      await turn;
      return admitted?.name ?? null;
    },
    admit(request: JoinRequest): Promise<JoinOutcome> {
      const mine = turn.then(() => admitNow(request));
      turn = mine.catch(() => {});
      return mine;
    },
  };
}

class Refused extends Error {
  readonly why: RefusedBecause;
  constructor(why: RefusedBecause) {
    super(why);
    this.why = why;
  }
}

/**
 * Adds the member to the record. A member with the same key is a machine whose join was interrupted; it may
 * join again.
 */
function withMember(now: FleetRecord, { name, key }: JoinRequest, id: string): FleetRecord {
  if (!now.invitations.some((one) => one.id === id)) throw new Refused("expired");
  const twin = memberOf(now, name);
  if (twin !== undefined && twin.key !== key) throw new Refused("name_taken");
  const others = now.members.filter((member) => member !== twin && member.key !== key);
  return { ...now, members: [...others, { name, key }] };
}
