// Refresh tokens, and what is kept of grants: through lost answers, full disks and restarts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Grants, type NewGrant } from "../../../src/gateway/client-sign-in/grants.ts";
import { sha256Of } from "../../../src/runtime/files/sha256.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { storeInMemory } from "./rig.ts";

const GIVEN: NewGrant = {
  user: "ann",
  entry: "e",
  client: { id_sha256: sha256Of("client"), name: "A Client", answers_to: "https://client.example" },
  resource: "http://127.0.0.1:9000/mcp",
  backends: null,
  read_only: false,
};

async function open(store = storeInMemory(), clock = createManualClock(Date.UTC(2026, 0, 1))) {
  const grants = new Grants({ clock, logger: noopLogger, store });
  grants.isOfUser = () => true;
  await grants.load();
  const refresh = async (token: string, client = "client", resource: string | null = null) => {
    const refreshed = await grants.refresh(token, client, resource);
    return refreshed.kind === "tokens" ? refreshed.tokens : refreshed.kind;
  };
  /** A refresh that has to succeed. */
  const next = async (token: string) => {
    const tokens = await refresh(token);
    assert.ok(typeof tokens !== "string", `refused: ${tokens}`);
    return tokens;
  };
  return { grants, store, clock, refresh, next };
}

test("E1 eight processes that refresh one token at once get the same successor, which works for all of them", async () => {
  const { grants, next } = await open();
  const first = await grants.begin(GIVEN);
  const answers = await Promise.all(Array.from({ length: 8 }, () => next(first.refresh)));
  assert.equal(new Set(answers.map((answer) => JSON.stringify(answer))).size, 1);
  const [one] = answers;
  assert.ok(one !== undefined);
  assert.notEqual(one.refresh, first.refresh);
  for (const { access } of [first, one]) assert.equal(grants.byAccess(Buffer.from(access))?.user, "ann");
  await next(one.refresh);
});

test("E1 a refresh token is taken again for two minutes, until its successor was used; after that it ends the grant", async () => {
  const late = await open();
  const first = await late.grants.begin(GIVEN);
  await late.next(first.refresh);
  for (const ms of [30_000, 40_000, 49_000]) {
    await late.clock.advance(ms);
    await late.next(first.refresh);
  }
  await late.clock.advance(1_000);
  assert.equal(await late.refresh(first.refresh), "reused");
  assert.deepEqual(late.grants.list, []);
  const used = await open();
  const begun = await used.grants.begin(GIVEN);
  const second = await used.next(begun.refresh);
  const third = await used.next(second.refresh);
  assert.equal(await used.refresh(begun.refresh), "reused");
  assert.equal(used.grants.byAccess(Buffer.from(third.access)), null);
});

test("E1 a token that was never issued, or belongs to another program, ends no grant", async () => {
  const { grants, refresh, next } = await open();
  const { refresh: token } = await grants.begin(GIVEN);
  const [, id = "", secret = ""] = /^mtr_(.{12})_(.*)$/.exec(token) ?? [];
  for (const wrong of [
    "",
    "x",
    token.slice(0, -1),
    `mtr_${id}_${"A".repeat(43)}`,
    `mtr_${"A".repeat(12)}_${secret}`,
  ])
    assert.equal(await refresh(wrong), "refused", wrong);
  assert.equal(await refresh(token, "other client"), "refused");
  assert.equal(await refresh(token, "client", "https://other.example/mcp"), "other_resource");
  assert.equal(await grants.revoke(token, "other client"), null);
  await next(token);
});

test("E1 killed between the write and the answer, a client that asks again gets what was written", async () => {
  const { grants, store, clock, next } = await open();
  const { refresh: token } = await grants.begin(GIVEN);
  const lost = await next(token);
  const after = await open(store, clock);
  assert.deepEqual(await after.next(token), lost);
  assert.equal(after.grants.byAccess(Buffer.from(lost.access))?.user, "ann");
  await after.next(lost.refresh);
});

test("E1 the stored grants contain no token, and a full disk rotates none", async () => {
  const { grants, store, refresh, next } = await open();
  const first = await grants.begin(GIVEN);
  store.isFull = true;
  await assert.rejects(refresh(first.refresh), /no space/);
  await assert.rejects(grants.begin(GIVEN), /no space/);
  assert.match(grants.unsavedBecause ?? "", /no space/);
  store.isFull = false;
  const second = await next(first.refresh);
  for (const token of [first.access, first.refresh, second.access, second.refresh])
    for (const part of token.split("_")) assert.ok(part.length < 16 || !store.written?.includes(part));
  store.isFull = true;
  const ids = grants.list.map(({ id }) => id);
  await assert.rejects(grants.end(ids), /no space/);
  assert.deepEqual(grants.list, [], "revoked all the same");
});

test("E1 access lasts an hour, and a grant ends ninety days after its last use", async () => {
  const { grants, clock, next, refresh } = await open();
  const first = await grants.begin(GIVEN);
  await clock.advance(3_600_000);
  assert.equal(grants.byAccess(Buffer.from(first.access)), null);
  const second = await next(first.refresh);
  await clock.advance(89 * 86_400_000);
  const third = await next(second.refresh);
  await clock.advance(90 * 86_400_000);
  assert.deepEqual([grants.list, await refresh(third.refresh)], [[], "refused"]);
});

test("E4 a user's grant beyond the hundredth evicts only that user's own, the one unused for longest", async () => {
  const { grants, clock, next } = await open();
  const other = await grants.begin({ ...GIVEN, user: "ben" });
  const tokens = [];
  for (let count = 0; count < 100; count += 1) {
    tokens.push(await grants.begin(GIVEN));
    await clock.advance(1);
  }
  await next(tokens[0]?.refresh ?? "");
  await grants.begin(GIVEN);
  assert.equal(grants.list.length, 101);
  const isThere = (token?: { readonly access: string }) =>
    grants.byAccess(Buffer.from(token?.access ?? "")) !== null;
  assert.deepEqual([isThere(tokens[0]), isThere(tokens[1]), isThere(other)], [true, false, true]);
});
