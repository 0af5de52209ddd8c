// The format of `secrets.json`: each secret's name with its value, or with the keyring that holds it.
import { MountaineerError } from "../runtime/errors.ts";
import { isSecretName } from "./reference.ts";

export type SecretRecord =
  | { readonly kept: "file"; readonly value: string }
  | { readonly kept: "secret-service" | "keychain" };

/** By name. */
export type SecretFile = ReadonlyMap<string, SecretRecord>;

const VERSION = 1;

/** Rejects what is not of this form with `secret_unavailable`; its content is never shown. */
export function parseSecretFile(text: string, path: string): SecretFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw strange(path, "it is not JSON");
  }
  if (typeof value !== "object" || value === null || !("version" in value)) {
    throw strange(path, "it is not a file of secrets");
  }
  if (value.version !== VERSION) throw strange(path, "another version of Mountaineer wrote it");
  if (!("secrets" in value) || typeof value.secrets !== "object" || value.secrets === null) {
    throw strange(path, "it has no secrets");
  }
  const file = new Map<string, SecretRecord>();
  for (const [name, entry] of Object.entries(value.secrets)) {
    const record = recordOf(entry);
    if (record === null || !isSecretName(name)) throw strange(path, "one of its entries is not a secret");
    file.set(name, record);
  }
  return file;
}

export function secretFileText(file: SecretFile): string {
  return `${JSON.stringify({ version: VERSION, secrets: Object.fromEntries(file) }, null, 2)}\n`;
}

function recordOf(entry: unknown): SecretRecord | null {
  if (typeof entry !== "object" || entry === null || !("kept" in entry)) return null;
  const { kept } = entry;
  if (kept === "secret-service" || kept === "keychain") return { kept };
  return kept === "file" && "value" in entry && typeof entry.value === "string"
    ? { kept, value: entry.value }
    : null;
}

function strange(path: string, why: string): MountaineerError {
  return new MountaineerError("secret_unavailable", `${path} cannot be understood: ${why}`, {
    hint: "it is left as it is; move it away to begin anew, and set the secrets again",
  });
}
