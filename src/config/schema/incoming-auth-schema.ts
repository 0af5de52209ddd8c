// The keys of `[incoming_auth]`: static tokens, and tokens that an authorization server signs.
import { describeAddress } from "../values/mistakes.ts";
import { textReader } from "../values/names.ts";
import {
  ISSUER_EXPECTED,
  KEYS_SOURCE_EXPECTED,
  ORIGIN_EXPECTED,
  PUBLIC_URL_EXPECTED,
  parseAlgorithm,
  parseAudience,
  parseClaimPath,
  parseClaimValue,
  parseIssuer,
  parseKeysSource,
  parseOrigin,
  parsePublicUrl,
  parseScope,
  SIGNING_ALGORITHMS,
} from "../values/sign-in-values.ts";
import { choiceKey, defaulted, numberKey, optional, required, toggleKey } from "./schema-keys.ts";
import { listOf, open, table } from "./tables.ts";
import { label, list, reference, text } from "./value-types.ts";

/** A key of `[server]`: the gateway's address in metadata and tokens. */
export const publicUrlKey = optional("access", text("plain", parsePublicUrl, { describe: describeAddress }), {
  type: "address",
  expected: PUBLIC_URL_EXPECTED,
  absent: "the address that it listens at",
  meaning: "The address for clients behind a proxy. Requests may name its host; tokens are issued for it.",
  example: '"https://mcp.example.com/mcp"',
});

/** A key of `[server]`: the web pages that may use the gateway. */
export const allowedOriginsKey = defaulted("access", list(text("plain", parseOrigin)), [], {
  type: "list of origins",
  expected: `a list of ${ORIGIN_EXPECTED}`,
  absent: "none",
  meaning: "Origins of web pages that may use MCP here.",
  example: '["http://localhost:6274"]',
});

const untilKey = text(
  "plain",
  textReader(
    (written) => /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z$/.test(written) && Date.parse(written) > 0,
    "a time in UTC such as `2026-01-31T12:00:00Z`",
  ),
  { type: "time" },
);

const userKeys = {
  name: required("access", label, { meaning: "The user's name in logs and in the audit.", example: '"ann"' }),
  token: required("access", reference, {
    meaning: "The token that the client sends as `Authorization: Bearer …`.",
    example: `"\${ANN_TOKEN}"`,
  }),
  roles: defaulted("access", list(label), [], {
    absent: "none",
    meaning: "The user's roles in policies.",
    example: '["developer"]',
  }),
  old_token: optional("access", reference, {
    absent: "none",
    meaning:
      "The token before `token`, accepted until `old_until`. `mountaineer users renew` writes both keys.",
    example: `"secret:ann-token"`,
  }),
  old_until: optional("access", untilKey, {
    absent: "required for `old_token`",
    meaning: "When `old_token` ends.",
    example: '"2026-01-31T12:00:00Z"',
  }),
};

const scopeKey = required("access", list(label), {
  absent: "none",
  meaning: "The roles that this scope grants.",
  example: '["reader"]',
});

const claimKey = required("access", list(text("plain", parseClaimValue), { fewest: 1 }), {
  absent: "none",
  meaning: 'Allowed values of the claim; `["*"]`: any value.',
  example: '["example.com"]',
});

export const incomingAuthKeys = {
  type: choiceKey("access", ["anonymous", "local", "jwt", "oidc"], "anonymous", {
    meaning:
      "`anonymous`: everybody on this machine; `local`: users of this file; `jwt`, `oidc`: also signed tokens, with keys from `jwks` or `issuer`.",
  }),
  token: optional("access", reference, {
    absent: "none",
    meaning: "The token of one user called `local` with the role `local`.",
    example: `"\${MOUNTAINEER_TOKEN}"`,
  }),
  issuer: optional("access", text("plain", parseIssuer, { describe: describeAddress }), {
    type: "address",
    expected: ISSUER_EXPECTED,
    absent: "required for `jwt` and `oidc`",
    meaning: "The authorization server, exactly as in the tokens' `iss`.",
    example: '"https://login.example.com"',
  }),
  audience: optional("access", list(text("plain", parseAudience), { fewest: 1 }), {
    absent: "the gateway's own address",
    meaning: "Accepted audiences (`aud`), of which a token has one.",
    example: '["https://mcp.example.com/mcp"]',
  }),
  jwks: optional("access", text("plain", parseKeysSource, { describe: describeAddress }), {
    type: "address or path",
    expected: KEYS_SOURCE_EXPECTED,
    absent: "required for `jwt`",
    meaning: "Type `jwt`: the issuer's keys, at an address or in a file (JWKS or PEM).",
    example: '"https://login.example.com/jwks"',
  }),
  algorithms: optional("access", list(text("plain", parseAlgorithm), { fewest: 1 }), {
    type: "list of algorithms",
    absent: "all of them",
    meaning: `How tokens may be signed: ${SIGNING_ALGORITHMS.join(", ")}.`,
    example: '["RS256", "ES256"]',
  }),
  leeway: numberKey("access", {
    min: 0,
    max: 300,
    absent: 30,
    unit: "seconds",
    meaning: "The allowed difference between the issuer's clock and this machine's.",
  }),
  required_scopes: defaulted("access", list(text("plain", parseScope)), [], {
    absent: "none",
    meaning: "Scopes that every token must have; a refusal names the missing one.",
    example: '["mcp"]',
  }),
  roles_claim: optional("access", text("plain", parseClaimPath), {
    absent: "none",
    meaning: "The claim that lists roles, such as `roles`, `groups` or `realm_access.roles`.",
    example: '"roles"',
  }),
  name_claim: optional("access", text("plain", parseClaimPath), {
    absent: "`sub`",
    meaning: "The claim that names the user in logs and in the audit.",
    example: '"email"',
  }),
  keys_max_age: numberKey("access", {
    min: 60,
    max: 2_592_000,
    absent: 86_400,
    unit: "seconds",
    meaning: "How long to use the last known keys while the issuer does not answer.",
  }),
  oauth: toggleKey("access", true, "Type `local`: let programs that only know OAuth ask for access."),
  users: listOf("users", table("One block per user with a token.", userKeys)),
  scopes: open(
    "The roles that a token's scope grants, by the scope's name, besides `scope:NAME`.",
    parseScope,
    scopeKey,
  ),
  required_claims: open(
    "Claims that a token must also have, by name. For `jwt` and `oidc`.",
    parseClaimPath,
    claimKey,
  ),
};
