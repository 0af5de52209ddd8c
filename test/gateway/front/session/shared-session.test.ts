// Sessions that several machines share: their ids, what stands for these elsewhere, and as whom a client acts.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ANONYMOUS, type Principal } from "../../../../src/gateway/client-port.ts";
import { forwardedHeaders, readForwarded } from "../../../../src/gateway/front/http/forwarding.ts";
import { Session } from "../../../../src/gateway/front/session/session.ts";
import { openSessionFile } from "../../../../src/gateway/front/session/session-file.ts";
import {
  actingPrincipal,
  checkOf,
  holderOf,
  newSessionId,
  proofOf,
} from "../../../../src/gateway/front/session/session-record.ts";
import { SessionStore } from "../../../../src/gateway/front/session/session-store.ts";
import {
  ANYBODY,
  authenticateUsers,
  readLocalUsers,
  TokensUsed,
} from "../../../../src/gateway/middleware/incoming-auth.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { createScriptedGateway } from "../scripted-gateway.ts";

const ANN: Principal = { kind: "user", name: "ann", roles: ["dev", "ops"] };
const SIGNED: Principal = { kind: "user", id: '["https://issuer","1"]', name: "ann", roles: ["dev"] };

test("G1 an id says who holds its session, and nothing else is taken for one that does", () => {
  const id = newSessionId("desktop");
  assert.match(id, /^desktop\.[\w-]{32}$/u);
  assert.equal(holderOf(id), "desktop");
  for (const other of [newSessionId(null), "desktop.short", `a.b.${"x".repeat(32)}`, `*.${"x".repeat(32)}`]) {
    assert.equal(holderOf(other), null, other);
  }
  const proof = proofOf(id);
  assert.equal(new Set([id, proof, checkOf(proof), checkOf(id)]).size, 4);
});

test("G1 a client of another machine acts as the same one alone, with no role that it lacks on either", () => {
  const users = [
    { name: "ann", token: { kind: "environment", variable: "ANN" }, roles: ["dev", "ops"] },
  ] as const;
  const known = authenticateUsers(readLocalUsers(users, { ANN: "t" }, () => {}, new TokensUsed()));
  const roles = (said: Principal, own: Principal, served = known): readonly string[] | null =>
    actingPrincipal(said, own, served)?.roles ?? null;
  assert.deepEqual(roles({ ...ANN, roles: ["ops", "dev", "admin"] }, ANN), ["dev", "ops"]);
  assert.deepEqual(roles({ ...ANN, roles: ["ops"] }, ANN), ["ops"]);
  // It had fewer in its last request, and has all again.
  assert.deepEqual(roles(ANN, { ...ANN, roles: ["ops"] }), ["dev", "ops"]);
  assert.equal(actingPrincipal({ ...ANN }, ANN, known), ANN);
  assert.deepEqual([roles({ ...ANN, name: "bob" }, ANN), roles(ANONYMOUS, ANN)], [null, null]);
  assert.equal(roles(ANN, ANONYMOUS), null);
  // Nobody is let in here without a token any more, nor is who was taken out of the configuration.
  assert.equal(roles(ANONYMOUS, ANONYMOUS), null);
  assert.deepEqual(roles(ANONYMOUS, ANONYMOUS, ANYBODY), ["anonymous"]);
  const eve = { ...ANN, name: "eve" };
  assert.deepEqual([roles(eve, eve), roles(SIGNED, ANN), roles(ANN, SIGNED)], [null, null, null]);
  assert.deepEqual(roles({ ...SIGNED, roles: ["dev", "admin"] }, SIGNED, ANYBODY), ["dev"]);
});

test("G1 after a restart a session is found by its proof, then by its id, and the file holds neither", async (t) => {
  const path = join(await temporaryFolder(t), "sessions.jsonl");
  const clock = createManualClock();
  const start = async () => {
    const file = openSessionFile({ path, clock, logger: silentLogger });
    const store = new SessionStore({ gateway: createScriptedGateway(), clock, logger: silentLogger, file });
    await store.restore();
    return { file, store };
  };
  const first = await start();
  const id = newSessionId("desktop");
  const client = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "x" } } as const;
  const session = first.store.open({ id, principal: SIGNED, ...client });
  assert.equal(await first.store.save(session), true);
  assert.equal(first.store.findShared(proofOf(id), SIGNED), session);
  assert.equal(first.store.findShared(proofOf(id), ANN), "foreign");
  assert.equal(first.store.findShared(checkOf(proofOf(id)), SIGNED), null);
  await first.store.end(0, "over");
  await first.file[Symbol.asyncDispose]();
  const text = await readFile(path, "utf8");
  assert.ok(!text.includes(id) && !text.includes(proofOf(id)) && text.includes(checkOf(proofOf(id))));
  const { store, file } = await start();
  assert.equal(store.findShared(proofOf(id), { ...SIGNED, id: "other" }), "foreign");
  const woken = store.findShared(proofOf(id), { ...SIGNED, roles: ["dev", "admin"] });
  assert.ok(woken instanceof Session);
  assert.deepEqual(woken.principal.roles, ["dev"]);
  assert.equal(store.find(id, SIGNED), woken);
  store.remove(woken);
  assert.deepEqual([store.find(id, SIGNED), store.findShared(proofOf(id), SIGNED)], [null, null]);
  await store.end(0, "over");
  await file[Symbol.asyncDispose]();
});

test("G1 what one machine says less of a client is no less of what the next one says, and hides no withdrawal", () => {
  const clock = createManualClock();
  const own: Principal = { ...SIGNED, roles: ["dev", "ops"] };
  let isTakenBack = false;
  const gateway = createScriptedGateway();
  const { served } = gateway;
  // The proof of a token is with whom it let in alone, and in no copy.
  const now = { ...served, isWithdrawn: (who: Principal) => isTakenBack && who === own };
  Object.defineProperty(gateway, "served", { value: now });
  const store = new SessionStore({ gateway, clock, logger: silentLogger });
  const id = newSessionId("desktop");
  const client = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "x" } } as const;
  const session = store.open({ id, principal: own, ...client });
  const rolesOf = (roles: readonly string[]): unknown => {
    const found = store.findShared(proofOf(id), { ...SIGNED, roles });
    return found instanceof Session ? found.principal.roles : found;
  };
  assert.deepEqual(rolesOf(["dev"]), ["dev"]);
  assert.deepEqual(rolesOf(["ops"]), ["ops"]);
  assert.deepEqual(rolesOf(["ops", "dev", "admin"]), ["dev", "ops"]);
  assert.deepEqual(rolesOf(["dev"]), ["dev"]);
  isTakenBack = true;
  assert.equal(rolesOf(["dev"]), "foreign");
  session.end("over");
});

test("G1 the head that goes to another machine has no token and no id, and is read as a stranger's", () => {
  const proof = proofOf("desktop.x");
  const secrets = {
    authorization: "Bearer secret",
    "mcp-session-id": "secret",
    cookie: "secret",
    "x-any": "secret",
  };
  const given = { host: "gateway.example", accept: "*/*", "last-event-id": "e", ...secrets };
  const request = { url: "/mcp", headers: given } as unknown as Parameters<typeof forwardedHeaders>[0];
  const headers = forwardedHeaders(request, ANN, proof);
  assert.ok(!JSON.stringify(headers).includes("secret"));
  assert.deepEqual([headers["accept"], headers["last-event-id"]], ["*/*", "e"]);
  const read = { ...headers } as Record<string, string>;
  assert.deepEqual(readForwarded(read), { proof, caller: ANN });
  const caller = (value: unknown): Record<string, string> => ({
    ...read,
    "mountaineer-caller": Buffer.from(JSON.stringify(value)).toString("base64url"),
  });
  const wrong: readonly Record<string, string>[] = [
    {},
    { ...read, "mountaineer-session": "x" },
    { ...read, "mountaineer-caller": "x" },
    caller({ ...ANN, kind: "owner" }),
    caller({ ...ANN, kind: "machine" }),
    caller({ ...ANN, name: "a\nb" }),
    caller({ ...ANN, name: 1 }),
    caller({ ...ANN, id: 1 }),
    caller({ ...ANN, roles: "dev" }),
    caller({ ...ANN, roles: [1] }),
    caller({ ...ANN, roles: Array.from({ length: 257 }, () => "r") }),
    caller({ ...ANN, name: "x".repeat(1_025) }),
    caller({ ...SIGNED, kind: "anonymous" }),
  ];
  for (const head of wrong) assert.equal(readForwarded(head), null, JSON.stringify(head));
});
