// Makes a new key for this machine: kept beside the old one, let in by the server, and only then in its place. At every
// instant the key that is kept under the machine's secret opens the server.
import { randomBytes } from "node:crypto";
import type { HomeOptions } from "../../api/client/start-daemon.ts";
import type { FleetConfig } from "../../config/snapshot.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import { rawOfSeed, userKey, userSeed } from "../keys/nkey.ts";
import { connectToServer } from "../nats/connection.ts";
import { LinkFailure } from "../nats/link-failure.ts";
import { readCredentials, readSignIn } from "../nats/sign-in.ts";
import { inboxOf, keyInbox, keySubject } from "../nats/subjects.ts";
import { readFleet, withKeys } from "./fleet-folder.ts";
import { readKeyRequest, writeKeyRequest } from "./key-exchange.ts";
import { exchangeKey } from "./key-requests.ts";
import {
  keptAuthority,
  keptSecret,
  keptSeed,
  type Membership,
  nextName,
  requireMembership,
} from "./membership.ts";
import { openLink, type ServerLink } from "./server-link.ts";

/** The other side has to write, and its server to read. */
const ANSWER_WITHIN_MS = 4_000;
/** It is asked again until then. */
const ANSWERED_WITHIN_MS = 30_000;
const BETWEEN_ASKS_MS = 250;
const ATTEMPTS = 4;

export interface RotateOptions extends HomeOptions {
  /** Has what runs here sign in with the new key; resolves when it does, or when nothing runs. */
  readonly onKept: () => Promise<void>;
}

export interface Rotated {
  readonly name: string;
  /** `U…`. */
  readonly key: string;
}

interface Exchange {
  readonly membership: Membership;
  /** Of the one that is kept. */
  readonly seed: Buffer;
  readonly next: Buffer;
  readonly pem: string;
}

/**
 * Cut off at any instant, the same again goes on. Rejects with `usage` where this machine has not joined by a code,
 * `fleet_unreachable`, `timed_out`, `lock_held` and `permission_denied` (the server's machine does not let it); the old key
 * is good then.
 */
export function rotateKey(options: RotateOptions): Promise<Rotated> {
  return withKeys(options, options.signal, () => rotateInTurn(options));
}

async function rotateInTurn(options: RotateOptions): Promise<Rotated> {
  const { home, signal, onKept } = options;
  const membership = await requireMembership(home);
  const { name, secret } = membership;
  const seed = await keptSeed(options, secret);
  const pem = await keptAuthority(home);
  if (seed === null || pem === null) {
    throw new MountaineerError("secret_unavailable", "this machine's key is not kept here any more");
  }
  const store = openSecretStore(options);
  const next = await nextSeed(options, secret);
  const exchange: Exchange = { membership, seed, next, pem };
  // Cut off after it was in its place, the rest alone is done.
  if (!seed.equals(next)) {
    if (!(await ask(options, exchange, "add"))) throw refused();
    if (!(await opens(options, exchange, next))) throw refused();
    await store.set(secret, userSeed(next), null, signal);
  }
  await onKept();
  if (!(await ask(options, exchange, "use"))) throw refused();
  await store.remove(nextName(secret), signal);
  return { name, key: userKey(next) };
}

async function nextSeed(options: HomeOptions, secret: string): Promise<Buffer> {
  const before = rawOfSeed((await keptSecret(options, nextName(secret))) ?? "");
  if (before !== null) return before;
  const made = randomBytes(32);
  await openSecretStore(options).set(nextName(secret), userSeed(made), null, options.signal);
  return made;
}

/** Whether it is done. The server's machine asks nobody. */
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
        hint: "its daemon must run, in this version or a later one; this machine's old key is good as before",
        retry: "later",
      });
    } catch (error) {
      // Asked twice, it is so; and a daemon that begins its link anew is back soon.
      const passes = error instanceof MountaineerError && error.retry === "later";
      if (!passes) throw error;
      // The answer may be lost with a connection that was cut: what the server does tells it, too.
      if (await isSo(options, exchange, step)) return true;
      if (clock.monotonicMs() >= untilMs) throw error;
    }
    await clock.sleep(BETWEEN_ASKS_MS, signal);
  }
}

/** False where it cannot be told. */
async function isSo(options: HomeOptions, exchange: Exchange, step: "add" | "use"): Promise<boolean> {
  const { seed, next } = exchange;
  if (step === "add") return opens(options, exchange, next);
  return !seed.equals(next) && !(await opens(options, exchange, seed));
}

async function opens(options: HomeOptions, exchange: Exchange, seed: Buffer): Promise<boolean> {
  await using link = await openOwn(options, exchange, seed, inboxOf(exchange.membership.name));
  return link !== null;
}

/** Null: the server knows no such key. While it reads its configuration again, it may say so of one that it knows. */
async function openOwn(
  { clock, signal }: HomeOptions,
  { membership: { address }, pem }: Exchange,
  seed: Buffer,
  inbox: string,
): Promise<ServerLink | null> {
  for (let attempt = 1; ; attempt += 1) {
    const link = await openLink({ address, authority: pem, seed, inbox }, signal);
    if (link !== null || attempt === ATTEMPTS) return link;
    await clock.sleep(BETWEEN_ASKS_MS, signal);
  }
}

function refused(): MountaineerError {
  return new MountaineerError(
    "permission_denied",
    "the machine with the fleet's server refuses the new key",
    {
      hint: "is this machine a member still? its old key is good as before",
    },
  );
}

// Makes a new key for a machine whose server a person runs: the new one is kept beside the old one until that server lets
// it in, and takes its place then.

export interface ByHand {
  /** `U…`: what the server knows this machine by until now. */
  readonly before: string;
  /** `U…` */
  readonly key: string;
  /** Null: it opens the server, and is in its place now. Else why it does not yet. */
  readonly waitsFor: string | null;
}

/** Rejects with `usage` where the credentials are no nkey that is kept here, with `secret_unavailable` and `lock_held`. */
export function rotateByHand(options: HomeOptions, config: FleetConfig): Promise<ByHand> {
  return withKeys(options, options.signal, () => rotateByHandInTurn(options, config));
}

async function rotateByHandInTurn(options: HomeOptions, config: FleetConfig): Promise<ByHand> {
  const { credentials } = config;
  const secret = credentials.kind === "stored" ? credentials.name : null;
  const text = secret === null ? null : await keptSecret(options, secret);
  const own = text === null ? null : readCredentials(text);
  const seed = own?.kind === "nkey" ? rawOfSeed(own.seed) : null;
  if (secret === null || seed === null) {
    throw new MountaineerError("usage", "[fleet].credentials is no nkey that is kept as a secret here", {
      hint: "whoever made them makes new ones: then mountaineer secret set NAME, and mountaineer reload",
    });
  }
  const store = openSecretStore(options);
  const name = nextName(secret);
  const kept = rawOfSeed(((await keptSecret(options, name)) ?? "").trim());
  const next = kept ?? randomBytes(32);
  const keys = { before: userKey(seed), key: userKey(next) };
  if (kept === null) await store.set(name, userSeed(next), null, options.signal);
  const waitsFor = kept === null ? "the server does not know it yet" : await refusal(options, config, next);
  if (waitsFor !== null) return { ...keys, waitsFor };
  await store.set(secret, userSeed(next), null, options.signal);
  await store.remove(name, options.signal);
  return { ...keys, waitsFor: null };
}

/** Null: it opens one of the servers. */
async function refusal(
  { clock, signal }: HomeOptions,
  config: FleetConfig,
  seed: Buffer,
): Promise<string | null> {
  let why = "";
  const variable = "NEXT";
  const reading = {
    config: { tlsCa: config.tlsCa, credentials: { kind: "environment", variable } as const },
    values: { [variable]: userSeed(seed) },
    clock,
    redact: () => {},
  };
  for (const server of config.servers) {
    try {
      const { credentials, authority } = await readSignIn(reading, signal);
      const connection = await connectToServer(
        { server, name: config.name, credentials, authority, clock },
        signal,
      );
      await connection.close();
      return null;
    } catch (error) {
      if (!(error instanceof LinkFailure)) throw error;
      why = error.message;
    }
  }
  return why;
}
