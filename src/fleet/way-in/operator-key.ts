// The operator's key on the machine that signs: where it is kept, and how the next one takes its place there. At every
// instant one of the two that are kept is the key that counts.
import { randomBytes } from "node:crypto";
import type { HomeOptions } from "../../api/client/start-daemon.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import { publicBytes, rawOfSeed, userKey, userSeed } from "../keys/nkey.ts";
import { readTrust } from "../layer/operator-trust.ts";
import { changeFleet, readFleet } from "./fleet-folder.ts";
import {
  keptAuthority,
  keptSecret,
  type Membership,
  nextName,
  readMembership,
  writeMembership,
} from "./membership.ts";

/** Where no command has begun the fleet: as a person keeps it. */
export const OPERATOR_SECRET = "fleet-operator";
const KEY_BYTES = 32;

export interface OperatorKeys {
  /** Its name among the secrets. */
  readonly secret: string;
  /** The 32 private bytes. */
  readonly kept: Buffer;
  /** Of the one that is to take its place, or has done so and is not yet in it; null: there is none. */
  readonly next: Buffer | null;
}

/** Made where there is none. */
export async function ownOperatorKey(options: HomeOptions, secret: string): Promise<Buffer> {
  const before = await keptKey(options, secret);
  if (before !== null) return before;
  const made = randomBytes(KEY_BYTES);
  await openSecretStore(options).set(secret, made.toString("base64url"), null, options.signal);
  return made;
}

/** With what this machine signs for its fleet. Rejects with `secret_unavailable`. */
export async function operatorKeys(options: HomeOptions): Promise<OperatorKeys> {
  const membership = await readMembership(options.home);
  const secret = membership === null ? OPERATOR_SECRET : membership.operatorSecret;
  const kept = secret === null ? null : await keptKey(options, secret);
  if (secret !== null && kept !== null) {
    return { secret, kept, next: await keptKey(options, nextName(secret)) };
  }
  throw new MountaineerError(
    "secret_unavailable",
    "the operator's key of this fleet is not on this machine",
    {
      hint:
        membership === null
          ? "where the fleet's server is run by hand: keep the seed (SU…) with `mountaineer secret set fleet-operator`"
          : "do it on the machine where `mountaineer fleet init` was typed",
    },
  );
}

/** The key that takes the place of the one that is kept: made and kept beside it, or found there. */
export async function nextOperatorKey(options: HomeOptions, keys: OperatorKeys): Promise<Buffer> {
  if (keys.next !== null) return keys.next;
  const made = randomBytes(KEY_BYTES);
  await openSecretStore(options).set(
    nextName(keys.secret),
    await keyText(options, made),
    null,
    options.signal,
  );
  return made;
}

/**
 * Puts the next key in its place where it counts already, by `line` (of this machine's file; null: it has none): what was
 * cut off goes on. Resolves with the key that counts, and changes nothing where there is no next one.
 */
export async function settledOperatorKey(options: HomeOptions, line: string | null): Promise<Buffer> {
  const keys = await operatorKeys(options);
  if (keys.next === null) return keys.kept;
  const name = userKey(keys.next);
  const trust = line === null ? null : await readTrust(options.home, line);
  const counts = trust?.operator === name || trust?.earlier.includes(name) === true;
  if (!counts && !keys.kept.equals(keys.next)) return keys.kept;
  const store = openSecretStore(options);
  await store.set(keys.secret, await keyText(options, keys.next), null, options.signal);
  await writeDown(options, publicBytes(keys.next).toString("base64url"));
  // Last: as long as it is there, all of this is done again.
  await store.remove(nextName(keys.secret), options.signal);
  return keys.next;
}

/** What codes carry from now on. */
async function writeDown(options: HomeOptions, operator: string): Promise<void> {
  const { home, signal } = options;
  if ((await readFleet(home)) !== null) {
    await changeFleet(options, signal, (record) => ({ ...record, operator }));
  }
  const membership: Membership | null = await readMembership(home);
  if (membership === null) return;
  await writeMembership(home, { ...membership, operator }, (await keptAuthority(home)) ?? "");
}

/** As a person keeps it, a seed; as a command made it, its bytes. */
async function keyText(options: HomeOptions, key: Buffer): Promise<string> {
  return (await readMembership(options.home)) === null ? userSeed(key) : key.toString("base64url");
}

async function keptKey(options: HomeOptions, secret: string): Promise<Buffer | null> {
  const text = await keptSecret(options, secret);
  const key = text === null ? null : (rawOfSeed(text.trim()) ?? Buffer.from(text, "base64url"));
  return key?.length === KEY_BYTES ? key : null;
}
