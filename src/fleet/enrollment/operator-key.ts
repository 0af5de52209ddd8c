// The operator's key on the machine that signs, and its replacement by the next one. At every instant this
// machine keeps the key that the fleet trusts, as `kept` or as `next`.
import type { HomeOptions } from "../../api/client/start-daemon.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import { publicBytes, userKey, userSeed } from "../keys/nkey.ts";
import { readTrust } from "../layer/operator-trust.ts";
import { changeFleet, readFleet } from "./fleet-folder.ts";
import {
  keptOrNewKey,
  type Membership,
  nextName,
  readMembership,
  storedAuthority,
  storedMachineKey,
  writeMembership,
} from "./membership.ts";

/** Name of the secret with the operator's key, if a person runs the server and keeps the key by hand. */
export const OPERATOR_SECRET = "fleet-operator";

/** The operator's stored key. Makes and stores one if there is none. */
export function ownOperatorKey(options: HomeOptions, secret: string): Promise<Buffer> {
  return keptOrNewKey(options, secret, (key) => key.toString("base64url"));
}

/**
 * The operator's keys on this machine, 32 private bytes each; `next` is null unless a replacement is in
 * progress. `secret`: the name under which `kept` is stored. Rejects with `secret_unavailable`.
 */
export async function operatorKeys(options: HomeOptions) {
  const membership = await readMembership(options.home);
  const secret = membership === null ? OPERATOR_SECRET : membership.operatorSecret;
  const kept = secret === null ? null : await storedMachineKey(options, secret);
  if (secret !== null && kept !== null) {
    return { secret, kept, next: await storedMachineKey(options, nextName(secret)) };
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

/** Resolves with the operator's next key, and makes one if no replacement is in progress. */
export async function nextOperatorKey(
  options: HomeOptions,
  keys: Awaited<ReturnType<typeof operatorKeys>>,
): Promise<Buffer> {
  return keys.next ?? keptOrNewKey(options, nextName(keys.secret), await keyFormat(options));
}

/**
 * Finishes an interrupted replacement if this machine trusts the next key already. `line`: the key in this machine's
 * configuration; null: none. Resolves with the current key.
 */
export async function settledOperatorKey(options: HomeOptions, line: string | null): Promise<Buffer> {
  const keys = await operatorKeys(options);
  if (keys.next === null) return keys.kept;
  const name = userKey(keys.next);
  const trust = line === null ? null : await readTrust(options.home, line);
  const counts = trust?.operator === name || trust?.earlier.includes(name) === true;
  if (!counts && !keys.kept.equals(keys.next)) return keys.kept;
  const store = openSecretStore(options);
  await store.set(keys.secret, (await keyFormat(options))(keys.next), null, options.signal);
  await recordOperator(options, publicBytes(keys.next).toString("base64url"));
  // Removes this secret last, so that a call after an interruption repeats all steps.
  await store.remove(nextName(keys.secret), options.signal);
  return keys.next;
}

/** Records the operator's public key, which invitation codes contain. */
async function recordOperator(options: HomeOptions, operator: string): Promise<void> {
  const { home, signal } = options;
  if ((await readFleet(home)) !== null) {
    await changeFleet(options, signal, (record) => ({ ...record, operator }));
  }
  const membership: Membership | null = await readMembership(home);
  if (membership === null) return;
  await writeMembership(home, { ...membership, operator }, (await storedAuthority(home)) ?? "");
}

/** How to write the operator's key: as a seed if a person keeps it, as base64url if a command made it. */
async function keyFormat({ home }: HomeOptions): Promise<(key: Buffer) => string> {
  return (await readMembership(home)) === null ? userSeed : (key) => key.toString("base64url");
}
