// A machine's own record of the fleet that it is in or is joining: the server's address, and the name of the secret that
// holds its key.
import { randomBytes } from "node:crypto";
import { rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import type { HomeOptions } from "../../api/client/start-daemon.ts";
import { type FleetSection, isMachineName } from "../../config/values/fleet-values.ts";
import { keepPrivateFile, readIfPresent } from "../../runtime/files/durable-file.ts";
import { flag, object, reader, type TypeOf, text, textThat } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import { rawOfSeed, userSeed } from "../keys/nkey.ts";
import { isAddress } from "./join-code.ts";

const VERSION = 1;
const SECRET_DEADLINE_MS = 120_000;
const KEY_BYTES = 32;

const membershipShape = object({
  name: textThat("a machine's name", isMachineName),
  address: textThat("HOST:PORT", isAddress),
  /** SHA-256 of the certificate authority, hex. */
  authority: text,
  /** The name of the secret that holds this machine's key. */
  secret: text,
  /** True for the machine that made the fleet, or was about to. */
  isFounder: flag,
});
export type Membership = Readonly<TypeOf<typeof membershipShape>>;
const membershipOf = reader(membershipShape);

function membershipPaths(home: string): { folder: string; file: string; authority: string } {
  const folder = join(home, "fleet");
  return { folder, file: join(folder, "member.json"), authority: join(folder, "ca.pem") };
}

/** null: there is no record, or it cannot be used. */
export async function readMembership(home: string): Promise<Membership | null> {
  const { version, ...found } = jsonObject((await readIfPresent(membershipPaths(home).file)) ?? "") ?? {};
  return version === VERSION ? membershipOf(found) : null;
}

/** `pem`: the certificate authority of the server. */
export async function writeMembership(home: string, membership: Membership, pem: string): Promise<void> {
  const { file, authority } = membershipPaths(home);
  await keepPrivateFile(authority, pem);
  await keepPrivateFile(file, `${JSON.stringify({ version: VERSION, ...membership }, null, 2)}\n`);
}

export function sectionOf(home: string, { name, address, secret }: Membership): FleetSection {
  return {
    name,
    servers: [`tls://${address}`],
    credentials: `secret:${secret}`,
    tls_ca: membershipPaths(home).authority,
  };
}

/** The certificate authority, PEM; null: none is kept. */
export function storedAuthority(home: string): Promise<string | null> {
  return readIfPresent(membershipPaths(home).authority);
}

export async function freeName(options: HomeOptions, wanted: string): Promise<string> {
  const taken = new Set((await openSecretStore(options).list()).map(({ name }) => name));
  let name = wanted;
  for (let count = 2; taken.has(name); count++) name = `${wanted}-${count}`;
  return name;
}

/** null: there is no such secret. Rejects with `secret_unavailable`. */
function storedSecret(options: HomeOptions, secret: string): Promise<string | null> {
  const limits = { deadlineMs: SECRET_DEADLINE_MS, signal: options.signal };
  return openSecretStore(options).get(secret, limits);
}

/** A key's 32 private bytes; null: none is stored. Rejects with `secret_unavailable`. */
export async function storedMachineKey(options: HomeOptions, secret: string): Promise<Buffer | null> {
  const text = await storedSecret(options, secret);
  const key = text === null ? null : rawOfSeed(text.trim());
  return key?.length === KEY_BYTES ? key : null;
}

/** Like `storedMachineKey`, but makes and stores a key if none is stored. */
export async function storedOrNewKey(options: HomeOptions, secret: string): Promise<Buffer> {
  const before = await storedMachineKey(options, secret);
  if (before !== null) return before;
  const made = randomBytes(KEY_BYTES);
  await openSecretStore(options).set(secret, userSeed(made), null, options.signal);
  return made;
}

/** Removes the key first and the record last, so that an interrupted call can be repeated. */
export async function forgetMembership(options: HomeOptions): Promise<void> {
  const { home, signal } = options;
  const membership = await readMembership(home);
  if (membership !== null) await openSecretStore(options).remove(membership.secret, signal);
  const { folder, file, authority } = membershipPaths(home);
  for (const path of [authority, file]) await rm(path, { force: true });
  await rmdir(folder).catch(() => {});
}
