// This machine's key for the NATS server: it is made here, and stays among the secrets.
import { nkeys } from "@nats-io/transport-node";
import type { HomeOptions } from "../api/client/start-daemon.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { openSecretStore } from "../secrets/secret-store.ts";
import { readCredentials } from "./nats/sign-in.ts";
import { userLine } from "./permissions.ts";

const SECRET_DEADLINE_MS = 120_000;

/**
 * The machine's public key, and its line in the server's configuration. If no secret has this name, a key is made and
 * stored. Rejects with `secret_unavailable`, and with `usage` if the secret is not the seed of an nkey.
 */
export async function machineKey(options: HomeOptions, machine: string, secret: string) {
  const { signal } = options;
  const store = openSecretStore(options);
  const stored = await store.get(secret, { deadlineMs: SECRET_DEADLINE_MS, signal });
  const credentials = stored === null ? null : readCredentials(stored);
  if (stored !== null && credentials?.kind !== "nkey")
    throw new MountaineerError(
      "usage",
      `the secret ${secret} is not the seed of an nkey; nothing was changed`,
    );
  const pair =
    credentials === null ? nkeys.createUser() : nkeys.fromSeed(new TextEncoder().encode(credentials.seed));
  if (stored === null) await store.set(secret, new TextDecoder().decode(pair.getSeed()), null, signal);
  const key = pair.getPublicKey();
  return { name: machine, key, line: userLine(machine, key), made: stored === null };
}
