// The names of a home's secrets, found at once and without asking a keyring.
import { systemClock } from "../../runtime/time/clock.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";

/** Rejects with `secret_unavailable`. */
export async function keptSecretNames(home: string): Promise<readonly string[]> {
  const store = openSecretStore({ home, clock: systemClock, environment: process.env });
  return (await store.list()).map(({ name }) => name);
}
