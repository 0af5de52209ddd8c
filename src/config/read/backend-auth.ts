// `[backends.NAME.auth]`: the rules between its keys.
import { isCredentialHeader } from "../values/backend-names.ts";
import type { Finding, KeyPath } from "../values/mistakes.ts";
import { asTable, has, missingKey, type Table, unexpectedKey } from "./tables.ts";

/** Keys that only make sense when a person signs in. */
const FOR_PEOPLE = ["client_metadata_url", "client_name", "redirect_port", "redirect_host"] as const;

/** Errors in combinations of the section's keys. Errors in single values are reported elsewhere. */
export function backendAuthFindings(backend: Table, at: KeyPath): Finding[] {
  const auth = asTable(backend["auth"]);
  if (auth === null) return [];
  const path: KeyPath = [...at, "auth"];
  const header = Object.keys(asTable(backend["headers"]) ?? {}).find(isCredentialHeader);
  const found = [
    ...(auth["type"] === "client-credentials" ? machineFindings(auth, path) : personFindings(auth, path)),
    ...documentFindings(auth, path),
  ];
  if (header === undefined) return found;
  const hint = "the token of the sign-in goes there; remove one of the two";
  return [
    ...found,
    {
      path: [...at, "headers", header],
      at: "key",
      found: `\`${header}\` beside \`auth\``,
      expected: "one way to sign in",
      hint,
    },
  ];
}

function personFindings(auth: Table, path: KeyPath): Finding[] {
  const found: Finding[] = [];
  if (has(auth, "private_key")) {
    const hint = 'it goes with type "client-credentials"';
    found.push(unexpectedKey([...path, "private_key"], `\`private_key\` with type \`oauth\``, hint));
  }
  if (has(auth, "client_secret") && !has(auth, "client_id")) {
    found.push(missingKey([...path, "client_id"], "the id that `client_secret` belongs to"));
  }
  if (has(auth, "client_id") && has(auth, "client_metadata_url")) {
    const hint = "keep the one that the authorization server knows";
    found.push(
      unexpectedKey([...path, "client_metadata_url"], `\`client_metadata_url\` with \`client_id\``, hint),
    );
  }
  return found;
}

function machineFindings(auth: Table, path: KeyPath): Finding[] {
  const found: Finding[] = [];
  if (!has(auth, "client_id"))
    found.push(missingKey([...path, "client_id"], "the id that the gateway signs in with"));
  if (!has(auth, "client_secret") && !has(auth, "private_key")) {
    found.push(missingKey([...path, "client_secret"], "`client_secret` or `private_key`"));
  }
  // Required, because without a person at the sign-in no one would see which server gets the secret.
  if (!has(auth, "issuer"))
    found.push(missingKey([...path, "issuer"], "the authorization server that gets the secret"));
  if (has(auth, "client_secret") && has(auth, "private_key")) {
    found.push(
      unexpectedKey(
        [...path, "private_key"],
        `\`private_key\` with \`client_secret\``,
        "keep one of the two",
      ),
    );
  }
  for (const key of FOR_PEOPLE) {
    if (has(auth, key))
      found.push(
        unexpectedKey(
          [...path, key],
          `\`${key}\` with type \`client-credentials\``,
          "no person signs in there",
        ),
      );
  }
  return found;
}

function documentFindings(auth: Table, path: KeyPath): Finding[] {
  const text = auth["client_metadata_url"];
  const url = typeof text === "string" ? URL.parse(text) : null;
  if (url === null || (url.protocol === "https:" && url.pathname !== "/")) return [];
  const expected = "an address that begins with `https://` and has a path";
  const hint = "authorization servers refuse others as client ids";
  return [{ path: [...path, "client_metadata_url"], at: "value", found: "another address", expected, hint }];
}
