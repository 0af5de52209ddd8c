// The rules of `[backend_defaults]`: its variables reach every program, so none of them may hold a secret.
import { isSecretVariable } from "../values/backend-names.ts";
import type { Finding, KeyPath } from "../values/mistakes.ts";
import { parseSecretText, type SecretText } from "../values/secret-text.ts";
import { asTable, invalidValue, type Table } from "./tables.ts";

const SECTION = "backend_defaults";

/** The errors of variables that all programs get. No message shows a value. */
export function backendDefaultsFindings(file: Table): Finding[] {
  const env = asTable(asTable(file[SECTION])?.["env"]) ?? {};
  return Object.entries(env).flatMap(([name, value]) => {
    const reading = typeof value === "string" ? parseSecretText(value) : null;
    const found = reading?.ok === true ? secretIn(name, reading.value) : null;
    return found === null ? [] : [secretFinding([SECTION, "env", name], found)];
  });
}

function secretFinding(path: KeyPath, found: string): Finding {
  const hint =
    "every server gets this variable: give a secret to those that need it, in `[backends.NAME.env]`";
  return invalidValue(path, found, "a value without secrets", hint);
}

/** The secret in a variable, by its kind or the name of a variable; null: there is none. */
function secretIn(name: string, text: SecretText): string | null {
  const references = text.filter((part) => typeof part !== "string");
  if (references.some(({ kind }) => kind === "stored")) return "a stored secret";
  if (references.some((part) => part.kind === "environment" && isSecretVariable(part.variable)))
    return "a reference to a variable that is called like a secret";
  return isSecretVariable(name) && text.length > 0 ? "a variable that is called like a secret" : null;
}
