// Owns texts with references to secrets, on their way to a backend: every reference becomes its value, or its name is
// told as missing.
import type { SecretText } from "../../../config/snapshot.ts";
import { resolveReference } from "../../../secrets/reference.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** The variables that are not set, each once, in order. */
interface MissingSecrets {
  readonly ok: false;
  readonly missing: readonly string[];
}

interface ResolvedText {
  readonly ok: true;
  readonly value: string;
  /** The values that came from references: never to be shown or logged. */
  readonly secrets: readonly string[];
}

interface ResolvedRecord {
  readonly ok: true;
  readonly values: Readonly<Record<string, string>>;
  /** As of `ResolvedText`. */
  readonly secrets: readonly string[];
}

/** Only the caller may show or keep what this returns. */
export function resolveSecretText(text: SecretText, environment: Environment): ResolvedText | MissingSecrets {
  const record = resolveSecretRecord({ text }, environment);
  return record.ok ? { ok: true, value: record.values["text"] ?? "", secrets: record.secrets } : record;
}

/** As `resolveSecretText`, of environment variables or headers; tells all that is missing at once. */
export function resolveSecretRecord(
  texts: Readonly<Record<string, SecretText>>,
  environment: Environment,
): ResolvedRecord | MissingSecrets {
  const missing = new Set<string>();
  const secrets = new Set<string>();
  // Without a prototype, so that a variable may be called `__proto__`.
  const values: Record<string, string> = Object.create(null);
  for (const [name, text] of Object.entries(texts)) {
    let value = "";
    for (const part of text) {
      if (typeof part === "string") {
        value += part;
        continue;
      }
      const found = resolveReference(part, environment);
      if (!found.ok) missing.add(found.missing);
      else {
        value += found.value;
        if (found.value !== "") secrets.add(found.value);
      }
    }
    values[name] = value;
  }
  return missing.size > 0
    ? { ok: false, missing: [...missing] }
    : { ok: true, values, secrets: [...secrets] };
}
