// Makes a new key for a machine whose server a person runs: the new one is kept beside the old one until that server lets
// it in, and takes its place then.
import { randomBytes } from "node:crypto";
import type { HomeOptions } from "../../api/client/start-daemon.ts";
import type { FleetConfig } from "../../config/snapshot.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import { readCredentials } from "../credentials.ts";
import { rawOfSeed, userKey, userSeed } from "../keys/nkey.ts";
import { LinkFailure } from "../link-failure.ts";
import { connectToServer } from "../nats-session.ts";
import { readSignIn } from "../sign-in.ts";
import { withKeys } from "./fleet-folder.ts";
import { keptSecret, nextName } from "./membership.ts";

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
  return withKeys(options, options.signal, () => rotateInTurn(options, config));
}

async function rotateInTurn(options: HomeOptions, config: FleetConfig): Promise<ByHand> {
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
