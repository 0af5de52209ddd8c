import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { ANONYMOUS, OWNER } from "../../../src/gateway/client-port.ts";
import { isError } from "../../../src/gateway/json-rpc.ts";
import {
  authenticateUsers,
  NO_TOKEN,
  readLocalUsers,
  TokensUsed,
} from "../../../src/gateway/middleware/incoming-auth.ts";
import { FIRST_WINS, source } from "../catalog/sources.ts";
import { ask, client, recordingServices, servingSet, user } from "../middleware/requests.ts";

describe("the serving set", () => {
  const sources = [source("a", { tools: ["read", "write"], prompts: ["p"] })];
  const onlyRead = {
    defaultEffect: "deny",
    policies: [{ effect: "allow", roles: ["reader"], resources: ["tool:read"], methods: null }],
  } as const;

  test("knows who comes, by the authentication it was built with", () => {
    const authentication = authenticateUsers(
      readLocalUsers(
        [{ name: "ann", token: { kind: "environment", variable: "T" }, roles: ["reader"] }],
        { T: "t" },
        () => {},
        new TokensUsed(),
      ),
    );
    const served = servingSet(sources, recordingServices(), { authentication });
    assert.deepEqual(served.authenticate({ authorization: "Bearer t" }), {
      ok: true,
      principal: user("ann", "reader"),
    });
    assert.deepEqual(served.authenticate({}), { ok: false, reason: NO_TOKEN });
    assert.deepEqual(served.refresh(user("ann", "gone")), user("ann", "reader"));
    assert.equal(served.refresh(ANONYMOUS), null);
    assert.equal(served.refresh(OWNER), OWNER);
  });

  test("tells whom a resource's changes concern by the policies it was built with", () => {
    const files = [source("a", { resources: ["x://open", "x://secret"] })];
    const authorization = {
      defaultEffect: "deny",
      policies: [{ effect: "allow", roles: ["reader"], resources: ["resource:x://open*"], methods: null }],
    } as const;
    assert.equal(servingSet(files, recordingServices()).mayBeNotified(ANONYMOUS, "x://secret"), true);
    const users = [
      { name: "ann", token: { kind: "environment", variable: "T" }, roles: ["reader"] },
      { name: "ben", token: { kind: "environment", variable: "U" }, roles: ["writer"] },
    ] as const;
    const authentication = authenticateUsers(
      readLocalUsers(users, { T: "t", U: "u" }, () => {}, new TokensUsed()),
    );
    const guarded = servingSet(files, recordingServices(), { authorization, authentication });
    const mayHear = (uri: string) =>
      [user("ann"), user("ben", "reader"), user("gone", "reader"), OWNER].map((who) =>
        guarded.mayBeNotified(who, uri),
      );
    assert.deepEqual(mayHear("x://open"), [true, false, false, true]);
    assert.deepEqual(mayHear("x://open/part"), [true, false, false, true]);
    assert.deepEqual(mayHear("x://secret"), [false, false, false, true]);
  });

  test("B11 tells where a tool that is in no list is only those who may call it", () => {
    const away = buildCatalog([source("b", { tools: ["read", "other"] })], FIRST_WINS);
    const open = servingSet(sources, recordingServices(), { away });
    const found = (served: typeof open, ...roles: string[]) =>
      ["read", "other", "none"].map((tool) => served.backendAway(user("u", ...roles), tool));
    assert.deepEqual(found(open), [null, "b", null], "what is published is not away");
    const guarded = servingSet([], recordingServices(), { away, authorization: onlyRead });
    assert.deepEqual(found(guarded, "reader"), ["b", null, null]);
    assert.deepEqual(found(guarded), [null, null, null]);
    assert.equal(guarded.backendAway(OWNER, "other"), "b");
  });

  test("tells nobody of a resource that filters took away", () => {
    const resources = ["x://open", "x://secret"];
    const without = (...deny: string[]) => {
      const files = source("a", { resources, filters: { resources: { allow: null, deny } } });
      return servingSet([files], recordingServices());
    };
    assert.equal(without("*").mayBeNotified(ANONYMOUS, "x://open"), false);
    const served = without("x://secret*");
    const heard = ["x://open", "x://open/part", "x://secret", "x://secret/part"].filter((uri) =>
      served.mayBeNotified(ANONYMOUS, uri),
    );
    assert.deepEqual(heard, ["x://open", "x://open/part"]);
  });

  test("B7 digests differ exactly for whom an edit of the policies changes what is visible", () => {
    const before = servingSet(sources, recordingServices());
    const after = servingSet(sources, recordingServices(), { authorization: onlyRead });
    const digests = (served: typeof before, ...roles: string[]) => ({
      ...served.viewFor(user("u", ...roles)).digests,
    });
    assert.deepEqual(digests(after, "reader").resources, digests(before, "reader").resources);
    assert.notEqual(digests(after, "reader").tools, digests(before, "reader").tools);
    assert.notEqual(digests(after, "reader").tools, digests(after).tools);
    assert.deepEqual({ ...after.viewFor(OWNER).digests }, digests(before));
  });

  test("B7 digests do not differ for a catalog built anew of the same lists", () => {
    const conflict = { strategy: "prefix", separator: "_", order: [], longestName: 46 } as const;
    const first = servingSet(sources, recordingServices(), { conflict }).viewFor(ANONYMOUS);
    const relisted = structuredClone(sources);
    const second = servingSet(relisted, recordingServices(), { conflict }).viewFor(ANONYMOUS);
    assert.notEqual(second, first);
    assert.deepEqual({ ...second.digests }, { ...first.digests });
  });

  test("a request is judged by what the client is at that moment", async () => {
    const served = servingSet(sources, recordingServices(), { authorization: onlyRead });
    const allowed = async (...roles: string[]): Promise<boolean> =>
      !isError(await ask(served, "tools/call", { name: "read" }, client(user("ann", ...roles))));
    assert.deepEqual([await allowed("reader"), await allowed()], [true, false]);
  });
});
