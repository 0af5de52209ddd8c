// The rules between keys of `[incoming_auth]` and `[server]`. The rules read the file's unchecked values.
import { isLoopback, parseListenAddress } from "../values/host.ts";
import { type Finding, type KeyPath, pathText, quoted } from "../values/mistakes.ts";
import { isKeysAddress, SUBJECT_PREFIX } from "../values/sign-in-values.ts";
import {
  asTable,
  has,
  invalidValue,
  isOnShare,
  listIn,
  missingKey,
  pathOf,
  type RuleContext,
  repeatFindings,
  type Table,
  unexpectedKey,
  unmatched,
} from "./tables.ts";

/** The configuration keys for tokens that an authorization server signed. */
const SIGNED_KEYS = [
  "issuer",
  "audience",
  "jwks",
  "algorithms",
  "required_scopes",
  "roles_claim",
  "name_claim",
  "scopes",
  "required_claims",
] as const;
const ANY_ADDRESS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** All errors in combinations of the keys for the sign-in and for the listening address. */
export function incomingAuthFindings(file: Table, context: RuleContext): Finding[] {
  const auth = asTable(file["incoming_auth"]) ?? {};
  const server = asTable(file["server"]) ?? {};
  return [
    ...userFindings(auth),
    ...signedFindings(auth),
    ...keysFileFindings(auth, file, context),
    ...listenFindings(server, auth),
    ...resourceFindings(server, auth),
  ];
}

function userFindings(auth: Table): Finding[] {
  const users = listIn(auth, "users");
  const hasToken = has(auth, "token");
  const type = auth["type"] ?? "anonymous";
  if (type === "anonymous") {
    const keys = [...(hasToken ? ["token"] : []), ...(users.length > 0 ? ["users"] : [])];
    return keys.map((key) => wrongType(key, "anonymous", 'set `type` to "local", or remove it'));
  }
  const findings: Finding[] = [];
  if (
    type === "local" &&
    users.length === 0 &&
    !hasToken &&
    (Array.isArray(auth["users"]) || !has(auth, "users"))
  ) {
    const hint = "add `token` here, or a block `[[incoming_auth.users]]`";
    const expected = "a user with a token";
    findings.push(missingKey(["incoming_auth", "users"], expected, hint));
  }
  const named = users.map((user, index) => {
    const path: KeyPath = ["incoming_auth", "users", index];
    return { name: asTable(user)?.["name"], path, text: pathText(path) };
  });
  const ofToken = { name: "local", path: [], text: "`incoming_auth.token`" };
  const repeated = repeatFindings(
    hasToken ? [ofToken, ...named] : named,
    ({ name }) => name,
    ({ name, path }, { text }) =>
      invalidValue([...path, "name"], `${quoted(String(name))}, the name of ${text}`, "a unique name"),
  );
  return [...findings, ...repeated, ...users.flatMap(tokenFindings)];
}

function tokenFindings(user: unknown, index: number): Finding[] {
  const written = asTable(user) ?? {};
  const at = (key: string): KeyPath => ["incoming_auth", "users", index, key];
  const findings: Finding[] = [];
  if (has(written, "old_token") !== has(written, "old_until")) {
    const [missing, expected] = has(written, "old_token")
      ? ["old_until", "when the old token ends"]
      : ["old_token", "the token that ends then"];
    findings.push(missingKey(at(missing), expected, "`mountaineer users renew` writes both"));
  }
  if (String(written["name"]).startsWith(SUBJECT_PREFIX)) {
    const hint = "in policies, that means a person of an issuer";
    findings.push(
      invalidValue(at("name"), quoted(String(written["name"])), `a name without \`${SUBJECT_PREFIX}\``, hint),
    );
  }
  return findings;
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : Object.keys(asTable(value) ?? { some: 1 }).length === 0;
}

function signedFindings(auth: Table): Finding[] {
  const type = auth["type"] ?? "anonymous";
  if (type === "anonymous" || type === "local") {
    return SIGNED_KEYS.filter((key) => has(auth, key) && !isEmpty(auth[key])).map((key) =>
      wrongType(key, type, 'set `type` to "jwt" or "oidc", or remove it'),
    );
  }
  if (type !== "jwt" && type !== "oidc") return [];
  const at = (key: string): KeyPath => ["incoming_auth", key];
  const findings: Finding[] = [];
  if (!has(auth, "issuer")) {
    const hint = `type \`${type}\` needs \`issuer\``;
    const expected = "the address of the authorization server";
    findings.push(missingKey(at("issuer"), expected, hint));
  }
  if (type === "oidc" && has(auth, "jwks")) {
    const hint = 'the issuer says where its keys are; set `type` to "jwt" to say it here';
    findings.push(wrongType("jwks", type, hint));
  }
  if (type === "jwt" && !has(auth, "jwks")) {
    const hint = 'or set `type` to "oidc", and the issuer says where they are';
    const expected = "where the issuer's keys are";
    findings.push(missingKey(at("jwks"), expected, hint));
  }
  return findings;
}

/**
 * Reports a file of public keys that is on a share. The daemon reads this file itself, and must never wait for a
 * share.
 */
function keysFileFindings(auth: Table, file: Table, context: RuleContext): Finding[] {
  const text = auth["jwks"];
  const path = typeof text !== "string" || isKeysAddress(text) ? null : pathOf(text, context);
  if (path === null || !isOnShare(path, file, context)) return [];
  const hint = "a share that hangs would keep everybody out";
  const expected = "a file that is not on a share";
  return [invalidValue(["incoming_auth", "jwks"], "a file on a share", expected, hint)];
}

function listenFindings(server: Table, auth: Table): Finding[] {
  const { host } = server;
  if (typeof host !== "string" || !parseListenAddress(host).ok || isLoopback(host)) return [];
  if ((auth["type"] ?? "anonymous") !== "anonymous") return [];
  const found = `${quoted(host)}, an address beyond this machine, with everybody let in`;
  const hint = 'a bind beyond loopback needs auth: set `incoming_auth.type` to "local"';
  const expected = "an address such as `127.0.0.1`, or `[incoming_auth]`";
  return [unmatched(["server", "host"], found, expected, hint)];
}

/**
 * Reports a server that listens on all addresses (`0.0.0.0`, `::`) with neither `public_url` nor `audience`: tokens
 * are issued for one name of the gateway, and then nothing says which.
 */
function resourceFindings(server: Table, auth: Table): Finding[] {
  const { host } = server;
  if (typeof host !== "string" || !ANY_ADDRESS.has(host)) return [];
  if (auth["type"] !== "jwt" && auth["type"] !== "oidc") return [];
  if (has(server, "public_url") || has(auth, "audience")) return [];
  const found = `${quoted(host)} without a name that tokens could be for`;
  const expected = "`public_url` here, or `incoming_auth.audience`";
  const hint = "write the address that clients use";
  return [unmatched(["server", "host"], found, expected, hint)];
}

function wrongType(key: string, type: string, hint: string): Finding {
  return unexpectedKey(["incoming_auth", key], `\`${key}\` with type \`${type}\``, hint);
}
