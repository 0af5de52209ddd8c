// The keys of `[incoming_auth]`: static tokens, and tokens that an authorization server signs.
import * as z from "zod";
import { REFERENCE_FORM, REFERENCE_FORMS, STORED_FORM } from "../../secrets/reference.ts";
import { parseLabel } from "../backend-values.ts";
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
} from "../sign-in-values.ts";
import {
  choiceKey,
  document,
  listDoc,
  numberKey,
  REFERENCE_EXPECTED,
  readReference,
  readText,
  textDoc,
} from "./schema-keys.ts";

/** Of `[server]`: what metadata and tokens call the gateway. */
export const publicUrlKey = document(
  readText(parsePublicUrl).optional(),
  textDoc({
    type: "address",
    expected: PUBLIC_URL_EXPECTED,
    absent: "the address that it listens at",
    meaning:
      "The endpoint's address as clients write it, where a proxy stands before the gateway. Requests may name its host, and tokens are for it.",
    example: '"https://mcp.example.com/mcp"',
  }),
);

function tokenKey(doc: {
  readonly absent: string | null;
  readonly meaning: string;
  readonly example: string;
}) {
  return textDoc({ type: "reference", expected: REFERENCE_EXPECTED, isSecret: true, ...doc });
}

export const userSchema = z.strictObject({
  name: document(
    readText(parseLabel),
    textDoc({ meaning: "Who it is, in logs and in the audit.", example: '"ann"' }),
  ),
  token: document(
    readReference(),
    tokenKey({
      absent: null,
      meaning: `What the client sends as \`Authorization: Bearer …\`, by reference: ${REFERENCE_FORMS}.`,
      example: `"\${ANN_TOKEN}"`,
    }),
  ),
  roles: document(
    z.array(readText(parseLabel)).default([]),
    listDoc({ absent: "none", meaning: "What policies know the user by.", example: '["developer"]' }),
  ),
});

/** The value of one scope in `scopes`. */
export const scopeSchema = document(
  z.array(readText(parseLabel)),
  listDoc({
    absent: "none",
    meaning: "The roles that this scope gives to whoever has it.",
    example: '["reader"]',
  }),
);

/** The value of one claim in `required_claims`. */
export const claimSchema = document(
  z.array(readText(parseClaimValue)).min(1),
  listDoc({
    absent: "none",
    meaning: 'What the claim may be; `["*"]`: anything, if it is there.',
    example: '["example.com"]',
  }),
);

export const incomingAuthSchema = z.strictObject({
  type: choiceKey(["anonymous", "local", "jwt", "oidc"], "anonymous", {
    meaning:
      "Who may come in: `anonymous` everybody on this machine, `local` who has a token of this file, `jwt` and `oidc` who has one that an authorization server signed, too. `oidc` finds the keys by the `issuer`, `jwt` is told where they are.",
  }),
  token: document(
    readReference().optional(),
    tokenKey({
      absent: "none",
      meaning: `The token of one user called \`local\` with the role \`local\`, by reference: \`${REFERENCE_FORM}\` or \`${STORED_FORM}\`.`,
      example: `"\${MOUNTAINEER_TOKEN}"`,
    }),
  ),
  issuer: document(
    readText(parseIssuer).optional(),
    textDoc({
      type: "address",
      expected: ISSUER_EXPECTED,
      absent: "required for `jwt` and `oidc`",
      meaning: "The authorization server, as its tokens name it in `iss`, to the letter.",
      example: '"https://login.example.com"',
    }),
  ),
  audience: document(
    z.array(readText(parseAudience)).min(1).optional(),
    listDoc({
      absent: "the gateway's own address",
      meaning:
        "Whom tokens are for: one of these stands in their `aud`. A token for anybody else is refused.",
      example: '["https://mcp.example.com/mcp"]',
    }),
  ),
  jwks: document(
    readText(parseKeysPlace).optional(),
    textDoc({
      type: "address or path",
      expected: KEYS_PLACE_EXPECTED,
      absent: "required for `jwt`",
      meaning:
        "Type `jwt`: where the issuer's keys are: an address, or a file with a JWKS or with one public key in PEM.",
      example: '"https://login.example.com/jwks"',
    }),
  ),
  algorithms: document(
    z.array(readText(parseAlgorithm)).min(1).optional(),
    listDoc({
      type: "list of algorithms",
      absent: "all of them",
      meaning: `How tokens may be signed: ${SIGNING_ALGORITHMS.join(", ")}.`,
      example: '["RS256", "ES256"]',
    }),
  ),
  leeway: numberKey({
    min: 0,
    max: 300,
    absent: 30,
    unit: "seconds",
    meaning: "How far the issuer's clock and this machine's may be apart.",
  }),
  required_scopes: document(
    z.array(readText(parseScope)).default([]),
    listDoc({
      absent: "none",
      meaning: "Scopes that every token needs; who comes without one is told which.",
      example: '["mcp"]',
    }),
  ),
  roles_claim: document(
    readText(parseClaimPath).optional(),
    textDoc({
      absent: "none",
      meaning: "The claim whose texts are roles, such as `roles`, `groups` or `realm_access.roles`.",
      example: '"roles"',
    }),
  ),
  name_claim: document(
    readText(parseClaimPath).optional(),
    textDoc({
      absent: "`sub`",
      meaning: "The claim that names the user in logs and in the audit; who it is are `iss` and `sub`.",
      example: '"email"',
    }),
  ),
  keys_max_age: numberKey({
    min: 60,
    max: 2_592_000,
    absent: 86_400,
    unit: "seconds",
    meaning: "How long the last keys are used while the issuer does not answer.",
  }),
  users: z.array(userSchema).default([]),
  scopes: z.record(readText(parseScope), scopeSchema).default({}),
  required_claims: z.record(readText(parseClaimPath), claimSchema).default({}),
});
