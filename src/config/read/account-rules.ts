// The rules of servers at which each user has an own account (`accounts = "each"`), and of the users' own secrets.
import { isUserName, USER_FORM } from "../../secrets/reference.ts";
import { isCredentialHeader } from "../values/backend-names.ts";
import type { Finding, KeyPath } from "../values/mistakes.ts";
import { parseSecretText } from "../values/secret-text.ts";
import { asTable, has, invalidValue, listIn, missingKey, type Table, unexpectedKey } from "./tables.ts";

/** `servers`: the backend, or its routes, with their places in the file. */
export function accountFindings(
  backend: Table,
  at: KeyPath,
  servers: readonly (readonly [Table, KeyPath])[],
  hasSessionKey: boolean,
): Finding[] {
  const isEach = backend["accounts"] === "each";
  const findings = servers.flatMap(([server, path]) => [
    ...misplacedFindings(server, path),
    ...(isEach ? serverFindings(server, path) : usedFindings(server, path, ONLY_EACH)),
  ]);
  if (!isEach) return findings;
  if (hasSessionKey) {
    const hint = "gateways that share sessions would each renew a person's sign-in; leave out `session_key`";
    findings.push(invalidValue([...at, "accounts"], "`each` beside `server.session_key`", '`"one"`', hint));
  }
  if (backend["replace"] === "stop-first") {
    const hint = "a program that cannot run twice cannot run once for each user";
    findings.push(
      invalidValue([...at, "replace"], '`stop-first` with `accounts = "each"`', "`overlap`", hint),
    );
  }
  return findings;
}

const ONLY_EACH = 'a user\'s own secret is for servers with `accounts = "each"`';

function serverFindings(server: Table, at: KeyPath): Finding[] {
  const findings: Finding[] = [];
  const uses = usedFindings(server, at, "").length > 0;
  if (asTable(server["auth"])?.["type"] === "client-credentials") {
    const hint = "the gateway would sign in as itself, for all; leave out `type`, and each user signs in";
    findings.push(
      unexpectedKey([...at, "auth", "type"], '`client-credentials` with `accounts = "each"`', hint),
    );
  }
  if (Object.keys(asTable(server["headers"]) ?? {}).some(isCredentialHeader) && !uses) {
    const hint = "without one, all users are the same at the server";
    findings.push(missingKey([...at, "headers"], `a header with \`${USER_FORM}\``, hint));
  }
  if (has(server, "command") && uses && !has(server, "sandbox")) {
    const hint = "without one, the program of one user reads the variables of another's in /proc";
    findings.push(missingKey([...at, "sandbox"], `a sandbox, as \`env\` has a \`${USER_FORM}\``, hint));
  }
  return findings;
}

function usedFindings(server: Table, at: KeyPath, hint: string): Finding[] {
  return ["env", "headers"].flatMap((table) =>
    Object.entries(asTable(server[table]) ?? {}).flatMap(([name, value]) =>
      namesUserSecret(value)
        ? [invalidValue([...at, table, name], `a \`${USER_FORM}\``, "no such reference", hint)]
        : [],
    ),
  );
}

/** Arguments can be read by every user of the machine, and addresses are shown. */
function misplacedFindings(server: Table, at: KeyPath): Finding[] {
  const texts = [
    ...["command", "url", "cwd"].map((key) => [[...at, key], server[key]] as const),
    ...listIn(server, "args").map((text, index) => [[...at, "args", index], text] as const),
  ];
  const hint = "give the server the secret in `env` or `headers`";
  return texts.flatMap(([path, text]) =>
    typeof text === "string" && text.includes("${user:")
      ? [invalidValue(path, `a \`${USER_FORM}\``, "no user's secret", hint)]
      : [],
  );
}

function namesUserSecret(value: unknown): boolean {
  const reading = typeof value === "string" ? parseSecretText(value) : null;
  return (
    reading?.ok === true &&
    reading.value.some((part) => typeof part !== "string" && part.kind === "stored" && isUserName(part.name))
  );
}
