// What a machine keeps of the fleet it is in, or is joining: where the server is, and which secret holds its own key. The
// key itself is a kept secret.
import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { HomeOptions } from "../../api/client/start-daemon.ts";
import { type FleetSection, isMachineName } from "../../config/values/fleet-values.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { keepPrivateFile, readIfPresent } from "../../runtime/files/durable-file.ts";
import { nullable, object, reader, type TypeOf, text, textThat } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import { publicKeyText, rawOfSeed, userSeed } from "../keys/nkey.ts";
import { isAddress } from "./join-code.ts";

const VERSION = 1;
const SECRET_DEADLINE_MS = 120_000;

const membershipShape = object({
  name: textThat("a machine's name", isMachineName),
  address: textThat("HOST:PORT", isAddress),
  /** SHA-256 of the certificate authority, hex. */
  authority: text,
  /** Ed25519, base64url: whose word counts in this fleet. */
  operator: text,
  /** The name under which this machine's key is kept. */
  secret: text,
  /** The same of the operator's key; null but on the machine where the fleet began. */
  operatorSecret: nullable(text),
});
export type Membership = Readonly<TypeOf<typeof membershipShape>>;
const membershipOf = reader(membershipShape);

function membershipPaths(home: string): { folder: string; file: string; authority: string } {
  const folder = join(home, "fleet");
  return { folder, file: join(folder, "member.json"), authority: join(folder, "ca.pem") };
}

/** Null: there is none, or it cannot be used. */
export async function readMembership(home: string): Promise<Membership | null> {
  const { version, ...found } = jsonObject((await readIfPresent(membershipPaths(home).file)) ?? "") ?? {};
  return version === VERSION ? membershipOf({ operatorSecret: null, ...found }) : null;
}

/** The same where there must be one; rejects with `usage`. */
export async function requireMembership(home: string): Promise<Membership> {
  const membership = await readMembership(home);
  if (membership !== null) return membership;
  throw new MountaineerError("usage", "this machine is in no fleet");
}

/** `pem`: the certificate authority. */
export async function writeMembership(home: string, membership: Membership, pem: string): Promise<void> {
  const { file, authority } = membershipPaths(home);
  await keepPrivateFile(authority, pem);
  await keepPrivateFile(file, `${JSON.stringify({ version: VERSION, ...membership }, null, 2)}\n`);
}

/** What `[fleet]` says of it. */
export function sectionOf(home: string, { name, address, secret, operator }: Membership): FleetSection {
  return {
    name,
    servers: [`tls://${address}`],
    credentials: `secret:${secret}`,
    tls_ca: membershipPaths(home).authority,
    operator: publicKeyText(Buffer.from(operator, "base64url")),
  };
}

/** The certificate authority as it is kept; null: it is not. */
export function keptAuthority(home: string): Promise<string | null> {
  return readIfPresent(membershipPaths(home).authority);
}

/** Under which the key is kept that takes the place of another one, until it has. */
export function nextName(secret: string): string {
  return `${secret}-next`;
}

/** A name for a secret that nobody has taken yet. */
export async function freeName(options: HomeOptions, wanted: string): Promise<string> {
  const taken = new Set((await openSecretStore(options).list()).map(({ name }) => name));
  let name = wanted;
  for (let count = 2; taken.has(name); count++) name = `${wanted}-${count}`;
  return name;
}

/** Null: none is kept. Rejects with `secret_unavailable`. */
export function keptSecret(options: HomeOptions, secret: string): Promise<string | null> {
  const limits = { deadlineMs: SECRET_DEADLINE_MS, signal: options.signal };
  return openSecretStore(options).get(secret, limits);
}

/** The 32 bytes of this machine's key; null: none is kept. Rejects with `secret_unavailable`. */
export async function keptSeed(options: HomeOptions, secret: string): Promise<Buffer | null> {
  const seed = await keptSecret(options, secret);
  return seed === null ? null : rawOfSeed(seed);
}

/** The same, made where there is none. It never leaves this machine. */
export async function ownSeed(options: HomeOptions, secret: string): Promise<Buffer> {
  const before = await keptSeed(options, secret);
  if (before !== null) return before;
  const made = randomBytes(32);
  await openSecretStore(options).set(secret, userSeed(made), null, options.signal);
  return made;
}

/** Forgets the keys, and then what told of them: cut off in between, it is done again. */
export async function forgetMembership(options: HomeOptions): Promise<void> {
  const { home, signal } = options;
  const membership = await readMembership(home);
  const store = openSecretStore(options);
  if (membership !== null) {
    for (const secret of [membership.secret, membership.operatorSecret]) {
      if (secret === null) continue;
      for (const name of [nextName(secret), secret]) await store.remove(name, signal);
    }
  }
  await rm(membershipPaths(home).folder, { recursive: true, force: true });
}
