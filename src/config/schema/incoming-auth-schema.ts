// The keys of `[incoming_auth]`: static tokens, and tokens that an authorization server signs.
import { REFERENCE_FORM, REFERENCE_FORMS, STORED_FORM } from "../../secrets/reference.ts";
import { describeAddress } from "../values/mistakes.ts";
import {
  ISSUER_EXPECTED,
  KEYS_PLACE_EXPECTED,
  PUBLIC_URL_EXPECTED,
  parseAlgorithm,
  parseAudience,
  parseClaimPath,
  parseClaimValue,
  parseIssuer,
  parseKeysPlace,
  parsePublicUrl,
  parseScope,
  SIGNING_ALGORITHMS,
} from "../values/sign-in-values.ts";
import { choiceKey, defaulted, numberKey, optional, required } from "./schema-keys.ts";
import { listOf, open, table } from "./tables.ts";
import { label, list, reference, text } from "./value-types.ts";

/** A key of `[server]`: the gateway's address in metadata and tokens. */
export const publicUrlKey = optional("access", text("plain", parsePublicUrl, { describe: describeAddress }), {
  type: "address",
  expected: PUBLIC_URL_EXPECTED,
  absent: "the address that it listens at",
  meaning:
    "The endpoint's address as clients write it, where a proxy stands before the gateway. Requests may name its host, and tokens are for it.",
  example: '"https://mcp.example.com/mcp"',
});

const userKeys = {
  name: required("access", label, { meaning: "Who it is, in logs and in the audit.", example: '"ann"' }),
  token: required("access", reference, {
    meaning: `What the client sends as \`Authorization: Bearer …\`, by reference: ${REFERENCE_FORMS}.`,
    example: `"\${ANN_TOKEN}"`,
  }),
  roles: defaulted("access", list(label), [], {
    absent: "none",
    meaning: "What policies know the user by.",
    example: '["developer"]',
  }),
};

const scopeKey = required("access", list(label), {
  absent: "none",
  meaning: "The roles that this scope gives.",
  example: '["reader"]',
});

const claimKey = required("access", list(text("plain", parseClaimValue), { fewest: 1 }), {
  absent: "none",
  meaning: 'What the claim may be; `["*"]`: anything, if it is there.',
  example: '["example.com"]',
});

export const incomingAuthKeys = {
  type: choiceKey("access", ["anonymous", "local", "jwt", "oidc"], "anonymous", {
    meaning:
      "Who may come in: `anonymous` everybody on this machine, `local` who has a token of this file, `jwt` and `oidc` who has one that an authorization server signed, too. `oidc` finds the keys by the `issuer`, `jwt` is told where they are.",
  }),
  token: optional("access", reference, {
    absent: "none",
    meaning: `The token of one user called \`local\` with the role \`local\`, by reference: \`${REFERENCE_FORM}\` or \`${STORED_FORM}\`.`,
    example: `"\${MOUNTAINEER_TOKEN}"`,
  }),
  issuer: optional("access", text("plain", parseIssuer, { describe: describeAddress }), {
    type: "address",
    expected: ISSUER_EXPECTED,
    absent: "required for `jwt` and `oidc`",
    meaning: "The authorization server, as its tokens name it in `iss`, to the letter.",
    example: '"https://login.example.com"',
  }),
  audience: optional("access", list(text("plain", parseAudience), { fewest: 1 }), {
    absent: "the gateway's own address",
    meaning: "Whom tokens are for: one of these stands in their `aud`. A token for anybody else is refused.",
    example: '["https://mcp.example.com/mcp"]',
  }),
  jwks: optional("access", text("plain", parseKeysPlace, { describe: describeAddress }), {
    type: "address or path",
    expected: KEYS_PLACE_EXPECTED,
    absent: "required for `jwt`",
    meaning:
      "Type `jwt`: where the issuer's keys are: an address, or a file with a JWKS or with one public key in PEM.",
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
    meaning: "How far the issuer's clock and this machine's may be apart.",
  }),
  required_scopes: defaulted("access", list(text("plain", parseScope)), [], {
    absent: "none",
    meaning: "Scopes that every token needs; the refusal names the missing one.",
    example: '["mcp"]',
  }),
  roles_claim: optional("access", text("plain", parseClaimPath), {
    absent: "none",
    meaning: "The claim whose texts are roles, such as `roles`, `groups` or `realm_access.roles`.",
    example: '"roles"',
  }),
  name_claim: optional("access", text("plain", parseClaimPath), {
    absent: "`sub`",
    meaning: "The claim that names the user in logs and in the audit; who it is are `iss` and `sub`.",
    example: '"email"',
  }),
  keys_max_age: numberKey("access", {
    min: 60,
    max: 2_592_000,
    absent: 86_400,
    unit: "seconds",
    meaning: "How long the last keys are used while the issuer does not answer.",
  }),
  users: listOf("users", table("One block per user who has a token.", userKeys)),
  scopes: open(
    "The roles that a scope of a token gives, by the scope's name. Each scope NAME is the role `scope:NAME`, too.",
    parseScope,
    scopeKey,
  ),
  required_claims: open(
    "What a token must say besides, by the claim's name. For `jwt` and `oidc`.",
    parseClaimPath,
    claimKey,
  ),
};
