// Replaces this machine's key. The next key is kept beside the current one until the server accepts it, so that the
// server accepts the key in the machine's secret at every instant.
import { randomBytes } from "node:crypto";
import type { HomeOptions } from "../../api/client/start-daemon.ts";
import type { FleetConfig } from "../../config/snapshot.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import { rawOfSeed, userKey, userSeed } from "../keys/nkey.ts";
import { atFirstServer, connectToServer } from "../nats/connection.ts";
import { FleetConnectionError } from "../nats/fleet-connection-error.ts";
import { readAuthorityFile, readCredentials } from "../nats/sign-in.ts";
import { inboxOf, keyInbox, keySubject } from "../nats/subjects.ts";
import { readFleet, withKeys } from "./fleet-folder.ts";
import { readKeyRequest, writeKeyRequest } from "./key-exchange.ts";
import { exchangeKey } from "./key-requests.ts";
import {
  keptOrNewKey,
  type Membership,
  nextName,
  requireMembership,
  storedAuthority,
  storedMachineKey,
  storedSecret,
} from "./membership.ts";
import { openServerConnection, type ServerConnection } from "./server-connection.ts";

/**
 * Limit for one answer, ms. The machine with the NATS server answers only after it has written the fleet's record and
 * the NATS server has reloaded its configuration.
 */
const ANSWER_WITHIN_MS = 4_000;
/** Requests are repeated until this time has passed, ms. */
const ANSWERED_WITHIN_MS = 30_000;
const BETWEEN_ASKS_MS = 250;
const ATTEMPTS = 4;

export interface RotateOptions extends HomeOptions {
  /** Makes the running daemon sign in with the new key; resolves when it has, or when none runs. */
  readonly onKept: () => Promise<void>;
}

interface Exchange {
  readonly membership: Membership;
  /** The 32 private bytes of the current key. */
  readonly seed: Buffer;
  readonly next: Buffer;
  readonly pem: string;
}

/**
 * Replaces this machine's key, and resolves with the new one, `U…`. After an interruption, a second call continues. Rejects with `usage` if this
 * machine has not joined by a code, `fleet_unreachable`, `timed_out`, `lock_held` and `permission_denied`
 * (the server's machine refuses); the current key stays valid then.
 */
export function rotateKey(options: RotateOptions) {
  return withKeys(options, options.signal, () => rotateInTurn(options));
}

async function rotateInTurn(options: RotateOptions) {
  const { home, signal, onKept } = options;
  const membership = await requireMembership(home);
  const { name, secret } = membership;
  const seed = await storedMachineKey(options, secret);
  const pem = await storedAuthority(home);
  if (seed === null || pem === null) {
    throw new MountaineerError("secret_unavailable", "this machine's key is not kept here any more");
  }
  const store = openSecretStore(options);
  const next = await keptOrNewKey(options, nextName(secret));
  const exchange: Exchange = { membership, seed, next, pem };
  // The keys are equal if an earlier call was interrupted after the replacement; then only the steps below
  // are left.
  if (!seed.equals(next)) {
    if (!(await ask(options, exchange, "add"))) throw refused();
    if (!(await isAccepted(options, exchange, next))) throw refused();
    await store.set(secret, userSeed(next), null, signal);
  }
  await onKept();
  if (!(await ask(options, exchange, "use"))) throw refused();
  await store.remove(nextName(secret), signal);
  return { name, key: userKey(next) };
}

/** Resolves with whether the step is done. On the server's own machine no request is sent. */
async function ask(options: HomeOptions, exchange: Exchange, step: "add" | "use"): Promise<boolean> {
  const { home, clock, signal } = options;
  const { membership, seed, next } = exchange;
  const { name } = membership;
  const question = writeKeyRequest(step, name, seed, next);
  if ((await readFleet(home)) !== null) {
    const request = readKeyRequest(question, name);
    return request !== null && exchangeKey(options, name, request, signal);
  }
  const own = step === "add" ? seed : next;
  const untilMs = clock.monotonicMs() + ANSWERED_WITHIN_MS;
  for (;;) {
    try {
      await using link = await openOwn(options, exchange, own, keyInbox(name));
      if (link === null) return false;
      const answer = await link.ask(keySubject(name), question, ANSWER_WITHIN_MS);
      if (answer !== null) return jsonObject(answer)?.["done"] === true;
      throw new MountaineerError("timed_out", "the machine with the fleet's server does not answer", {
        hint: "its daemon must run, in this version or a later one; this machine's old key stays valid",
        retry: "later",
      });
    } catch (error) {
      // Tries again: repeating a step is harmless, and the daemon on the server's machine may be linked again
      // soon.
      const passes = error instanceof MountaineerError && error.retry === "later";
      if (!passes) throw error;
      // If only the answer was lost, the server shows that the step is done.
      if (await isDone(options, exchange, step)) return true;
      if (clock.monotonicMs() >= untilMs) throw error;
    }
    await clock.sleep(BETWEEN_ASKS_MS, signal);
  }
}

/** True if the server accepts the next key (after `add`), or no longer accepts the old one (after `use`). */
async function isDone(options: HomeOptions, exchange: Exchange, step: "add" | "use"): Promise<boolean> {
  const { seed, next } = exchange;
  if (step === "add") return isAccepted(options, exchange, next);
  return !seed.equals(next) && !(await isAccepted(options, exchange, seed));
}

async function isAccepted(options: HomeOptions, exchange: Exchange, seed: Buffer): Promise<boolean> {
  await using link = await openOwn(options, exchange, seed, inboxOf(exchange.membership.name));
  return link !== null;
}

/**
 * Signs in with the key `seed`; resolves with null if the server does not know this key. Tries several times, because a
 * server that reloads also refuses known keys.
 */
async function openOwn(
  { clock, signal }: HomeOptions,
  { membership: { address }, pem }: Exchange,
  seed: Buffer,
  inbox: string,
): Promise<ServerConnection | null> {
  for (let attempt = 1; ; attempt += 1) {
    const link = await openServerConnection({ address, authority: pem, seed, inbox }, signal);
    if (link !== null || attempt === ATTEMPTS) return link;
    await clock.sleep(BETWEEN_ASKS_MS, signal);
  }
}

function refused(): MountaineerError {
  return new MountaineerError(
    "permission_denied",
    "the machine with the fleet's server refuses the new key",
    {
      hint: "is this machine still a member? its old key stays valid",
    },
  );
}

// Replaces the key of a machine whose server a person runs: the next key is kept beside the current one until that server
// accepts it, and then replaces it.

/**
 * Begins or continues to replace the machine's key `before` by the new one, `key` (both `U…`); `waitsFor`: why the
 * server does not accept the new key yet, null if the key is replaced. Rejects with `secret_unavailable`, with
 * `lock_held`, or with `usage` if the credentials are not an nkey among the secrets.
 */
export function rotateByHand(options: HomeOptions, config: FleetConfig) {
  return withKeys(options, options.signal, () => rotateByHandInTurn(options, config));
}

async function rotateByHandInTurn(options: HomeOptions, config: FleetConfig) {
  const { credentials } = config;
  const secret = credentials.kind === "stored" ? credentials.name : null;
  const text = secret === null ? null : await storedSecret(options, secret);
  const own = text === null ? null : readCredentials(text);
  const seed = own?.kind === "nkey" ? rawOfSeed(own.seed) : null;
  if (secret === null || seed === null) {
    throw new MountaineerError("usage", "[fleet].credentials is no nkey that is kept as a secret here", {
      hint: "whoever made them makes new ones: then mountaineer secret set NAME, and mountaineer reload",
    });
  }
  const store = openSecretStore(options);
  const name = nextName(secret);
  const kept = rawOfSeed(((await storedSecret(options, name)) ?? "").trim());
  const next = kept ?? randomBytes(32);
  const keys = { before: userKey(seed), key: userKey(next) };
  if (kept === null) await store.set(name, userSeed(next), null, options.signal);
  const waitsFor = kept === null ? "the server does not know it yet" : await refusal(options, config, next);
  if (waitsFor !== null) return { ...keys, waitsFor };
  await store.set(secret, userSeed(next), null, options.signal);
  await store.remove(name, options.signal);
  return { ...keys, waitsFor: null };
}

/** Returns why no server accepts the key; null if a server accepts it. */
async function refusal(
  { clock, signal }: HomeOptions,
  config: FleetConfig,
  seed: Buffer,
): Promise<string | null> {
  const { name, servers } = config;
  const credentials = { kind: "nkey", seed: userSeed(seed) } as const;
  try {
    await atFirstServer(servers, async (server) => {
      const authority = await readAuthorityFile({ config, clock }, signal);
      const connection = await connectToServer({ server, name, credentials, authority, clock }, signal);
      await connection.close();
    });
    return null;
  } catch (error) {
    if (error instanceof FleetConnectionError) return error.message;
    throw error;
  }
}
