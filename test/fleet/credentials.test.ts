import assert from "node:assert/strict";
import { test } from "node:test";
import { readCredentials } from "../../src/fleet/credentials.ts";
import { makeKey } from "./nats-rig.ts";

const { seed } = makeKey();
const JWT = "eyJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJzdWIiOiJVIn0.c2lnbmF0dXJl";
const CREDS = `-----BEGIN NATS USER JWT-----
${JWT}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;

test("G1 a machine signs in with the seed of an nkey, or with the text of a .creds file", () => {
  assert.deepEqual(readCredentials(seed), { kind: "nkey", seed });
  assert.deepEqual(readCredentials(`\n${seed}\n`), { kind: "nkey", seed });
  assert.deepEqual(readCredentials(CREDS), { kind: "jwt", jwt: JWT, seed });
  assert.deepEqual(readCredentials(CREDS.replaceAll("\n", "\r\n")), { kind: "jwt", jwt: JWT, seed });
});

const WRONG: readonly [what: string, text: string][] = [
  ["nothing", ""],
  ["a password", "hunter2"],
  ["an account's seed", seed.replace(/^SU/, "SA")],
  ["half a seed", seed.slice(0, 30)],
  ["a public key", makeKey().publicKey],
  ["a JWT without its seed", CREDS.slice(0, 150)],
  ["a seed where the JWT goes", CREDS.replace(JWT, seed)],
  ["many dashes", "-----BEGIN ".repeat(20_000)],
];

for (const [what, text] of WRONG) {
  test(`G1 ${what} is no credentials`, () => {
    assert.equal(readCredentials(text), null);
  });
}
