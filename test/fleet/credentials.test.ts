import assert from "node:assert/strict";
import { test } from "node:test";
import { readCredentials } from "../../src/fleet/credentials.ts";
import { eventually } from "../support/eventually.ts";
import { makeKey, needsNats, startMember, startNats } from "./nats-rig.ts";
import { makeOperator } from "./operator-mode.ts";

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

test(
  "G1 a server in operator mode takes the .creds file of its account, in one line too, and no other",
  needsNats,
  async (t) => {
    const operator = makeOperator();
    const rig = await startNats(t, { users: operator.config });
    const member = (name: string, secret: string) => startMember(t, rig, name, { secret });
    const laptop = member("laptop", operator.creds("laptop"));
    const desktop = member("desktop", operator.creds("desktop").replaceAll("\n", " "));
    await eventually(() => laptop.sees("desktop").presence === "here");
    await eventually(() => desktop.sees("laptop").presence === "here");
    for (const wrong of [makeOperator().creds("nas"), rig.key("nas").seed]) {
      const nas = member("nas", wrong);
      await eventually(() => /refuses the credentials/.test(nas.report().link.last_error ?? ""));
    }
  },
);

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
