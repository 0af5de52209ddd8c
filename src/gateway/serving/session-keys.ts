// The keys of session ids: those of `[server].session_key`, which several machines have in common, and the home's own.
import { type KeyObject, randomBytes } from "node:crypto";
import {
  referenceKey,
  resolveReference,
  type SecretReference,
  type SecretValues,
} from "../../secrets/reference.ts";
import { type SessionKeys, sessionKeyOf } from "../frontend/session/sealed-session.ts";
import type { SessionSecret } from "./gateway-contract.ts";

export interface ConfiguredKeys {
  /** In the file's order. */
  readonly keys: readonly KeyObject[];
  /** References whose value is not set. */
  readonly missing: readonly string[];
}

/** `redact` gets each value, so that no log line shows one. */
export function configuredKeys(
  references: readonly SecretReference[],
  { environment, redact }: { readonly environment: SecretValues; readonly redact: (secret: string) => void },
): ConfiguredKeys {
  const keys: KeyObject[] = [];
  const missing: string[] = [];
  for (const reference of references) {
    const found = resolveReference(reference, environment);
    if (found.ok && found.value !== "") {
      redact(found.value);
      keys.push(sessionKeyOf(found.value));
    } else missing.push(referenceKey(reference));
  }
  return { keys, missing };
}

/**
 * The first configured key seals, else the home's. All open, so that keys are replaced one machine after the other, and
 * without a loss where they are new.
 */
export function sessionKeys(
  rules: () => { readonly sessionKeys: ConfiguredKeys },
  secret: () => SessionSecret = ownSecret(),
): () => SessionKeys {
  let made: { readonly of: readonly [ConfiguredKeys, Buffer]; readonly keys: SessionKeys } | null = null;
  return () => {
    const [configured, { bytes }] = [rules().sessionKeys, secret()];
    if (made?.of[0] === configured && made.of[1] === bytes) return made.keys;
    const own = sessionKeyOf(bytes);
    const keys = { seals: configured.keys[0] ?? own, opens: [...configured.keys, own] };
    made = { of: [configured, bytes], keys };
    return keys;
  };
}

/** Ends with this process. */
function ownSecret(): () => SessionSecret {
  const secret = { bytes: randomBytes(32), unsavedBecause: null };
  return () => secret;
}
