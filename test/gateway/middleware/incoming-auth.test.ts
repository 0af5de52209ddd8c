import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AuthUser } from "../../../src/config/snapshot.ts";
import { ANONYMOUS, OWNER } from "../../../src/gateway/client-port.ts";
import {
  ANYBODY,
  authenticateUsers,
  readLocalUsers,
  TokensUsed,
} from "../../../src/gateway/middleware/incoming-auth.ts";
import type { Authentication } from "../../../src/gateway/middleware/middleware.ts";

const authUser = (name: string, variable: string, ...roles: string[]): AuthUser => ({
  name,
  token: { kind: "environment", variable },
  roles,
});
type Values = Readonly<Record<string, string>>;
const local = (
  users: readonly AuthUser[],
  values: Values,
  redact: (secret: string) => void = () => {},
  used = new TokensUsed(),
) => {
  const authenticator = authenticateUsers(readLocalUsers(users, values, redact, used));
  return {
    ...authenticator,
    authenticate(headers: Readonly<Record<string, string>>): Authentication {
      const answer = authenticator.authenticate(headers);
      assert.ok(!(answer instanceof Promise), "tokens of the configuration are known at once");
      return answer;
    },
  };
};
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe("anonymous", () => {
  const open = ANYBODY;

  test("everybody comes in as nobody in particular, whatever they say", () => {
    for (const headers of [{}, bearer("x"), { authorization: "nonsense" }]) {
      assert.deepEqual(open.authenticate(headers), { ok: true, principal: ANONYMOUS });
    }
  });

  test("who was a user is anonymous now, the owner stays the owner", () => {
    assert.equal(open.refresh({ kind: "user", name: "ann", roles: ["admin"] }), ANONYMOUS);
    assert.equal(open.refresh(ANONYMOUS), ANONYMOUS);
    assert.equal(open.refresh(OWNER), OWNER);
  });
});

describe("local", () => {
  const environment = { ANN: "ann's token", BOB: "b0b", EMPTY: "", ACCENT: "clé" };
  const users = local(
    [
      authUser("ann", "ANN", "admin"),
      authUser("bob", "BOB"),
      authUser("carl", "UNSET"),
      authUser("dora", "EMPTY"),
      authUser("eve", "ACCENT"),
    ],
    environment,
  );

  test("a token tells who it is", () => {
    const ann = { kind: "user", name: "ann", roles: ["admin"] };
    assert.deepEqual(users.authenticate(bearer("ann's token")), { ok: true, principal: ann });
    const bob = { kind: "user", name: "bob", roles: [] };
    assert.deepEqual(users.authenticate({ authorization: "bEARER   b0b  " }), { ok: true, principal: bob });
  });

  test("a token is compared by its bytes, which a header carries as Latin-1", () => {
    assert.ok(users.authenticate(bearer(Buffer.from("clé", "utf8").toString("latin1"))).ok);
    assert.ok(!users.authenticate(bearer("\u0162\u0130b")).ok);
  });

  test("nothing else comes in", () => {
    const refused = [
      {},
      bearer(""),
      bearer(" "),
      bearer("b0"),
      bearer("b0b0"),
      bearer("B0B"),
      bearer("undefined"),
      bearer("${UNSET}"),
      { authorization: "b0b" },
      { authorization: "Basic b0b" },
      { authorization: "Bearerb0b" },
      bearer("x".repeat(10_000)),
    ];
    for (const headers of refused) {
      const answer = users.authenticate(headers);
      assert.ok(!answer.ok, JSON.stringify(headers));
      assert.doesNotMatch(answer.reason, /b0b|ann/);
    }
  });

  test("who has no token cannot come in, and the variable is named", () => {
    assert.deepEqual(users.missing, ["UNSET", "EMPTY"]);
    assert.equal(users.refresh({ kind: "user", name: "carl", roles: [] }), null);
    assert.equal(users.refresh({ kind: "user", name: "dora", roles: [] }), null);
  });

  test("E1 a token is taken back when nobody has it any more: by another value, by its user's end", () => {
    const used = new TokensUsed();
    const values = { OLD: "old", NEW: "new" };
    const none = (): void => {};
    const before = local([authUser("ann", "OLD")], values, none, used).authenticate(bearer("old"));
    assert.ok(before.ok);
    const { principal } = before;
    const now = (...now: readonly AuthUser[]) => {
      const next = local(now, values, none, used);
      return [next.refresh(principal)?.roles ?? null, next.isWithdrawn(principal)];
    };
    assert.deepEqual(now(authUser("ann", "OLD", "reader")), [["reader"], false]);
    assert.deepEqual(now(authUser("ann", "OLD"), authUser("ann-next", "NEW")), [[], false]);
    assert.deepEqual(now(authUser("anna", "OLD")), [null, false]);
    assert.deepEqual(now(authUser("ann", "NEW")), [null, true]);
    assert.deepEqual(now(authUser("ben", "NEW")), [null, true]);
    const open = [ANONYMOUS, OWNER].map((one) => local([], {}, none, used).isWithdrawn(one));
    assert.deepEqual([...open, ANYBODY.isWithdrawn(principal)], [false, false, false]);
  });

  test("B7 the same person comes with new roles, a stranger not at all", () => {
    assert.deepEqual(users.refresh({ kind: "user", name: "ann", roles: ["old"] })?.roles, ["admin"]);
    assert.equal(users.refresh({ kind: "user", name: "zoe", roles: [] }), null);
    assert.equal(users.refresh(ANONYMOUS), null);
    assert.equal(users.refresh(OWNER), OWNER);
  });

  test("of two users with one token the first counts, and nobody comes in where there are none", () => {
    const twins = local([authUser("a", "T"), authUser("b", "T")], { T: "t" });
    const answer = twins.authenticate(bearer("t"));
    assert.equal(answer.ok && answer.principal.name, "a");
    assert.ok(!local([], {}).authenticate(bearer("t")).ok);
  });

  test("every token is told to whoever keeps secrets out of logs", () => {
    const told: string[] = [];
    local([authUser("ann", "ANN"), authUser("dora", "EMPTY")], environment, (secret) => told.push(secret));
    assert.deepEqual(told, ["ann's token"]);
  });
});
