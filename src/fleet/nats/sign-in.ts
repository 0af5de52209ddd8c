// The credentials and the certificate authority with which a machine signs in, read again for each attempt.
import { readFile } from "node:fs/promises";
import type { FleetConfig } from "../../config/snapshot.ts";
import { errorText } from "../../runtime/errors.ts";
import { type Clock, settlesWithin } from "../../runtime/time/clock.ts";
import { oneMissingText, resolveReference, type SecretValues } from "../../secrets/reference.ts";
import { FleetConnectionError } from "./fleet-connection-error.ts";

const READ_MS = 3_000;

export interface SignInOptions {
  readonly config: Pick<FleetConfig, "credentials" | "tlsCa">;
  readonly values: SecretValues;
  readonly clock: Clock;
  readonly redact: (secret: string) => void;
}

export type SignIn = Awaited<ReturnType<typeof readSignIn>>;

/**
 * Reads the credentials and the certificate authority. Rejects with a `FleetConnectionError`, or with the signal's
 * reason.
 */
export async function readSignIn(options: SignInOptions, signal: AbortSignal) {
  return { credentials: credentialsOf(options), authority: await readAuthorityFile(options, signal) };
}

function credentialsOf({ config, values, redact }: SignInOptions): Credentials {
  const secret = resolveReference(config.credentials, values);
  if (!secret.ok) {
    throw new FleetConnectionError(
      oneMissingText(secret.missing),
      "mountaineer fleet key makes a key, if [fleet].credentials names a secret",
    );
  }
  const credentials = readCredentials(secret.value);
  if (credentials === null) {
    throw new FleetConnectionError(
      "[fleet].credentials is neither the seed of an nkey (SU…) nor the text of a .creds file",
    );
  }
  redact(credentials.seed);
  if (credentials.kind === "jwt") redact(credentials.jwt);
  return credentials;
}

/**
 * Reads the PEM file that `tls_ca` names. Resolves with null if the server is checked against the CAs that Node
 * knows; rejects as `readSignIn` does.
 */
export async function readAuthorityFile(
  { clock, config }: { readonly config: Pick<FleetConfig, "tlsCa">; readonly clock: Clock },
  signal: AbortSignal,
): Promise<string | null> {
  if (config.tlsCa === null) return null;
  const reading = readFile(config.tlsCa, { encoding: "utf8", signal });
  reading.catch(() => {});
  try {
    if (await settlesWithin(clock, READ_MS, reading)) return await reading;
  } catch (error) {
    signal.throwIfAborted();
    throw new FleetConnectionError(`[fleet].tls_ca cannot be read: ${errorText(error)}`);
  }
  throw new FleetConnectionError("[fleet].tls_ca cannot be read: the disk does not answer");
}

export type Credentials =
  | { readonly kind: "nkey"; readonly seed: string }
  | { readonly kind: "jwt"; readonly jwt: string; readonly seed: string };

const SEED = /^SU[A-Z2-7]{56}$/;
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const BLOCK = /-{3,}BEGIN [^-\r\n]+-{3,}\s+(\S+)\s+-{3,}END [^-\r\n]+-{3,}/g;

/** Reads the seed of an nkey, or the text of a .creds file; null: the text is neither. */
export function readCredentials(secret: string): Credentials | null {
  const text = secret.trim();
  if (SEED.test(text)) return { kind: "nkey", seed: text };
  const [jwt, seed] = [...text.slice(0, LONGEST).matchAll(BLOCK)].map(([, content = ""]) => content);
  if (jwt === undefined || seed === undefined || !JWT.test(jwt) || !SEED.test(seed)) return null;
  return { kind: "jwt", jwt, seed };
}

const LONGEST = 64 * 1024;
