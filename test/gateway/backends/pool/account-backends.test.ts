// Instances of users' accounts at one server: how many there are, which one ends for another's, and who gets none.
import assert from "node:assert/strict";
import { it } from "node:test";
import { accountOf, textReference, userSecretName } from "../../../../src/secrets/reference.ts";
import { eventually } from "../../../support/eventually.ts";
import { settle } from "../../../support/manual-clock.ts";
import { bench } from "./backend-pool-bench.ts";
import { backendConfig, callOf, createClient, errorText } from "./scripted-instance.ts";

it("E1 64 users have an instance at a server: the longest unused one ends for another's, and none with a call that waits", async () => {
  const b = bench();
  const users = Array.from({ length: 66 }, (_, at) => `u${at}`);
  const accounts = new Map(users.map((name) => [name, { id: `${name}@1`, before: null }]));
  b.pool.apply([backendConfig("a", { accounts: "each" })], { drainTimeoutMs: 30_000, accounts });
  await settle();
  const call = (user: string, account = `${user}@1`) => {
    const principal = { kind: "user", name: user, roles: [], user, account } as const;
    return b.pool.call("a", callOf({ ...createClient(user), principal }));
  };
  const waiting = users.slice(0, 64).map((user) => call(user));
  await eventually(async () => b.starts() === 65);
  assert.match(errorText(await call("u64")), /runs for 64 users already/);
  const [owners, first, second] = b.script.started;
  for (const one of [first, second]) {
    one?.becomeReady();
    await settle();
    one?.answer();
  }
  assert.ok((await waiting[0]) !== undefined && (await waiting[1]) !== undefined);
  void call("u64");
  await eventually(async () => first?.isClosed === true);
  assert.equal(owners?.isClosed, false);
  assert.equal(second?.isClosed, false);

  assert.match(errorText(await call("u1", "u1@earlier")), /the account has ended here/);
  assert.match(errorText(await b.call()), /only for users of the file/, "a call without a client");
});

it("E1 the text of a user's secret names no digest of a token", () => {
  const name = userSecretName("user:key", accountOf("a@b", "0123abcd"));
  assert.equal(textReference({ kind: "stored", name }), "${user:key}");
});
