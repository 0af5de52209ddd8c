import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import type { AuthUser } from "../../../src/config/snapshot.ts";
import { ANONYMOUS, OWNER } from "../../../src/gateway/client-handle.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  isError,
  type Reply,
  type RpcError,
} from "../../../src/gateway/json-rpc.ts";
import type { Audit } from "../../../src/gateway/middleware/audit.ts";
import { type ChainParts, composeChain } from "../../../src/gateway/middleware/chain.ts";
import {
  ANYBODY,
  authenticateUsers,
  readLocalUsers,
  TokensUsed,
} from "../../../src/gateway/middleware/incoming-auth.ts";
import type { Authentication, Middleware } from "../../../src/gateway/middleware/middleware.ts";
import type { Effect, Policies } from "../../../src/gateway/middleware/policies.ts";
import { createRecovery } from "../../../src/gateway/middleware/recovery.ts";
import { sanitise } from "../../../src/gateway/middleware/sanitise.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { readLarge, writeJson } from "../../../src/runtime/json/large-json.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { source } from "../catalog/sources.ts";
import { AT_MCP, callPort, client, recordingServices, servingSet } from "./requests.ts";

const recovery = createRecovery({ logger: noopLogger, clean: (text) => text });
const request = {
  method: "tools/call",
  params: { name: "x" },
  handle: callPort(client()),
  signal: new AbortController().signal,
  served: servingSet([source("a", { tools: ["x"] })], recordingServices()),
};

function policiesBy(effect: () => Effect): Policies {
  return {
    decide: () => ({ conditional: [], otherwise: effect(), rule: "", isExplicit: true }),
    effectUnlisted: () => ({ effect: effect(), rule: "" }),
    isAllowed: () => effect() !== "deny",
    isNamedAllowed: () => false,
    isVisible: () => effect() !== "deny",
    rightsKey: () => "",
    hidesFromOwner: false,
  };
}

function traced(parts: Partial<ChainParts> = {}) {
  const trace: string[] = [];
  const tracing =
    (name: string): Middleware =>
    (next) =>
    async (passing) => {
      trace.push(`${name} in`);
      const reply = await next(passing);
      trace.push(`${name} out ${isError(reply) ? reply.error.code : "ok"}`);
      return reply;
    };
  const policies = policiesBy(() => {
    trace.push("asked");
    return "allow";
  });
  const audit: Audit = { middleware: tracing("audit"), denied: () => trace.push("denied") };
  const handle = composeChain({
    policies,
    requestConsent: async () => "unable",
    countRefused: () => null,
    limits: tracing("limit"),
    between: [tracing("telemetry")],
    audit,
    recovery,
    routing: async () => {
      trace.push("routing");
      return { result: {} };
    },
    ...parts,
  });
  return { trace, handle };
}

test("the chain runs authorization, rate limit, telemetry, audit, routing, in this order", async () => {
  const { trace, handle } = traced();
  await handle(request);
  assert.deepEqual(trace, [
    "asked",
    "limit in",
    "telemetry in",
    "audit in",
    "routing",
    "audit out ok",
    "telemetry out ok",
    "limit out ok",
  ]);
});

test("the chain: the audit sees recovery's result of a failure", async () => {
  const { trace, handle } = traced({
    routing: () => {
      throw new Error("boom");
    },
  });
  assert.deepEqual(await handle(request), errorReply(INTERNAL_ERROR, "internal error"));
  assert.ok(trace.includes("audit out -32603"));
});

test("the chain: a refused request is reported to the audit and stops there", async () => {
  const { trace, handle } = traced({ policies: policiesBy(() => "deny") });
  assert.deepEqual(await handle(request), errorReply(-32602, "Unknown tool: x"));
  assert.deepEqual(trace, ["denied"]);
});

test("the chain: a failure of any part is an answer, and admits no request", async () => {
  const boom = (): never => {
    throw new Error("boom");
  };
  for (const parts of [
    { policies: policiesBy(boom) },
    { policies: policiesBy(() => "ask"), requestConsent: boom },
    { between: [() => boom] },
    { audit: { middleware: () => boom, denied: boom } },
  ] satisfies Partial<ChainParts>[]) {
    const { trace, handle } = traced(parts);
    assert.deepEqual(await handle(request), errorReply(INTERNAL_ERROR, "internal error"));
    assert.ok(!trace.includes("routing"));
  }
});

test("E2 the chain: a request that needs a person's consent passes only with it, and the audit records it", async () => {
  const policies = policiesBy(() => "ask");
  const { trace, handle } = traced({ policies, requestConsent: async () => "accept" });
  assert.deepEqual(await handle(request), { result: {} });
  assert.ok(trace.includes("routing"));
  for (const parts of [{ policies }, { policies, requestConsent: async () => "decline" as const }]) {
    const refused = traced(parts);
    const reply = await refused.handle(request);
    assert.ok("result" in reply && reply.result["isError"] === true);
    assert.deepEqual(refused.trace, ["denied"]);
  }
});

test("the chain: a disabled part is not in it", async () => {
  const { trace, handle } = traced({ policies: null, limits: null, between: [], audit: null });
  assert.deepEqual(await handle(request), { result: {} });
  assert.deepEqual(trace, ["routing"]);
});

const clean = (text: string): string => text.replaceAll("hunter2", "[redacted]");
const emptyRequest = {
  method: "tools/call",
  params: {},
  handle: callPort(client()),
  signal: new AbortController().signal,
  served: servingSet([], recordingServices()),
};
const recovering = (answer: () => unknown) => {
  const logger = createRecordingLogger();
  const handle = createRecovery({ logger, clean })(
    // What is not allowed to be is the point here.
    () => answer() as Promise<Reply>,
  );
  return { logger, reply: () => handle(emptyRequest) };
};

for (const [how, answer] of [
  [
    "throws",
    () => {
      throw new Error("boom in /etc/hidden with hunter2");
    },
  ],
  ["rejects", () => Promise.reject(new Error("boom in /etc/hidden with hunter2"))],
  ["rejects with no error at all", () => Promise.reject("boom hunter2")],
] as const)
  test(`recovery: a call that ${how} is an internal error, with the detail in the log only`, async () => {
    const { logger, reply } = recovering(answer);
    assert.deepEqual(await reply(), errorReply(INTERNAL_ERROR, "internal error"));
    const detail = String(logger.lines[0]?.fields["error"]);
    assert.match(detail, /boom/);
    assert.equal(/chain\.test/.test(detail), how !== "rejects with no error at all", "it says where");
    assert.doesNotMatch(detail, /hunter2/);
  });

test("recovery: the log has the first 4,000 characters of a long error", async () => {
  const { logger, reply } = recovering(() => Promise.reject(new Error("x".repeat(9_000))));
  await reply();
  assert.equal(String(logger.lines[0]?.fields["error"]).length, 4_000);
});

test("recovery: an error that is nested too deep to be written is refused by name", async () => {
  let data: unknown = null;
  for (let depth = 0; depth < 100_000; depth++) data = [data];
  const { reply } = recovering(() => Promise.resolve({ error: { code: -1, message: "no", data } }));
  const { error } = (await reply()) as { readonly error: RpcError };
  assert.equal(error.message, "it is nested too deep to be written as JSON");
});

test("recovery: a server's error that repeats our secret is reported without it, any other as the very object", async () => {
  const told = errorReply(-32010, "401 for Bearer hunter2", {
    headers: { authorization: "hunter2" },
    n: 1,
  });
  assert.deepEqual(
    await recovering(() => Promise.resolve(told)).reply(),
    errorReply(-32010, "401 for Bearer [redacted]", { headers: { authorization: "[redacted]" }, n: 1 }),
  );
  const inData = errorReply(-32010, "no", ["hunter2"]);
  assert.deepEqual(
    await recovering(() => Promise.resolve(inData)).reply(),
    errorReply(-32010, "no", ["[redacted]"]),
  );
  const harmlessError = errorReply(-32010, "no such page", { page: 7 });
  assert.equal(await recovering(() => Promise.resolve(harmlessError)).reply(), harmlessError);
});

test("E5 recovery: a secret in a server's large error is found, in any notation of the server", async () => {
  const pad = `"${"x".repeat(60_000)}",`.repeat(90);
  const text = `{"error":{"code":-1,"message":"no","data":[{"m":[${pad}"hunte\\u00722"]}]}}`;
  const told = (await readLarge(Buffer.from(text))).parse() as Reply;
  const { error } = (await recovering(() => Promise.resolve(told)).reply()) as { readonly error: RpcError };
  assert.match(writeJson(error), /"\[redacted\]"\]\}\]\}$/);
});

test("recovery: an error of ours is reported in its own words, on one line, without secrets", async () => {
  const { reply } = recovering(() => {
    throw new MountaineerError("timed_out", `no answer for hunter2\n${"x".repeat(9_000)}`);
  });
  assert.deepEqual(await reply(), errorReply(INTERNAL_ERROR, "no answer for [redacted]"));
});

test("recovery: a well-formed answer passes as the very object, including a server's own error", async () => {
  for (const answer of [
    { result: {} },
    { result: { content: [], isError: true, unknown: 1 } },
    { error: { code: -1, message: "line one\nline two /a/path", data: { deep: [1] }, more: true } },
  ]) {
    const { logger, reply } = recovering(() => Promise.resolve(answer));
    assert.equal(await reply(), answer);
    assert.deepEqual(logger.lines, []);
  }
});

test("recovery: a malformed one is repaired as far as possible", async () => {
  const malformed = "the answer was malformed";
  for (const [answer, expected] of [
    [undefined, errorReply(INTERNAL_ERROR, malformed)],
    [null, errorReply(INTERNAL_ERROR, malformed)],
    ["text", errorReply(INTERNAL_ERROR, malformed)],
    [{}, errorReply(INTERNAL_ERROR, malformed)],
    [{ result: null }, errorReply(INTERNAL_ERROR, malformed)],
    [{ result: [] }, errorReply(INTERNAL_ERROR, malformed)],
    [{ error: "no" }, errorReply(INTERNAL_ERROR, malformed)],
    [{ error: { code: "E1", message: "why" } }, errorReply(INTERNAL_ERROR, "why")],
    [{ error: { code: -5, data: 1 } }, errorReply(-5, malformed, 1)],
    [{ error: { code: 1.5, message: "x" } }, errorReply(INTERNAL_ERROR, "x")],
    [
      { error: { code: "E1", message: "hunter2\nx", data: ["hunter2"] } },
      errorReply(INTERNAL_ERROR, "[redacted]", ["[redacted]"]),
    ],
    [{ result: {}, error: { code: 1, message: "both" } }, errorReply(1, "both")],
  ] as const) {
    const { logger, reply } = recovering(() => Promise.resolve(answer));
    assert.deepEqual(await reply(), expected, JSON.stringify(answer));
    assert.equal(logger.lines.length, 1);
  }
});

test("texts for clients are one line of at most 2,000 characters, harmless to a terminal", () => {
  assert.equal(sanitise("broken\n    at call (/x/y.ts:1:2)"), "broken");
  assert.equal(sanitise("a\u001b[31mb"), "a\\x1b[31mb");
  assert.equal(sanitise("x".repeat(1_000_000)).length, 2_000);
  assert.equal(sanitise("\u0007".repeat(5_000)).length, 2_000);
});

test("texts for clients contain no secret, not even half of one at the cut, nor the installation path", () => {
  const secret = "s3cret".repeat(10);
  const clean = (text: string): string => text.replaceAll(secret, "[redacted]");
  assert.doesNotMatch(sanitise(`${"x".repeat(1_980)}${secret}`, clean), /s3cret/);
  const here = resolve(import.meta.dirname, "../../..");
  assert.equal(sanitise(`cannot read ${here}/src/x.ts`), "cannot read src/x.ts");
});

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
  const authenticator = authenticateUsers(readLocalUsers(users, values, redact, used, Date.now));
  return {
    ...authenticator,
    authenticate(headers: Readonly<Record<string, string>>): Authentication {
      const answer = authenticator.authenticate(headers, AT_MCP);
      assert.ok(!(answer instanceof Promise), "tokens of the configuration are known at once");
      return answer;
    },
  };
};
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

const open = ANYBODY;

test("anonymous: every client is admitted without an identity, whatever it sends", () => {
  for (const headers of [{}, bearer("x"), { authorization: "nonsense" }])
    assert.deepEqual(open.authenticate(headers, AT_MCP), { ok: true, principal: ANONYMOUS });
});

test("anonymous: a former user is anonymous now, the owner stays the owner", () => {
  assert.equal(open.refresh({ kind: "user", name: "ann", roles: ["admin"] }), ANONYMOUS);
  assert.equal(open.refresh(ANONYMOUS), ANONYMOUS);
  assert.equal(open.refresh(OWNER), OWNER);
});

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

test("E1 local: of two users of one name, the first is the one of another daemon", () => {
  const two = local([authUser("ann", "ANN", "admin"), authUser("ann", "BOB")], environment);
  assert.deepEqual(two.refresh({ kind: "user", name: "ann", roles: [] })?.roles, ["admin"]);
});

test("E1 local: a person with a token of an issuer is not the user of the same name", () => {
  assert.equal(users.refresh({ kind: "user", id: "[]", name: "ann", roles: [] }), null);
});

test("local: a token identifies its user", () => {
  const ann = { kind: "user", name: "ann", user: "ann", roles: ["admin"] };
  assert.partialDeepStrictEqual(users.authenticate(bearer("ann's token")), { ok: true, principal: ann });
  const bob = { kind: "user", name: "bob", user: "bob", roles: [] };
  const authorization = "bEARER   b0b  ";
  assert.partialDeepStrictEqual(users.authenticate({ authorization }), { ok: true, principal: bob });
});

test("local: a token is compared by its bytes, which a header sends as Latin-1", () => {
  assert.ok(users.authenticate(bearer(Buffer.from("clé", "utf8").toString("latin1"))).ok);
  assert.ok(!users.authenticate(bearer("\u0162\u0130b")).ok);
});

test("local: nothing else is accepted", () => {
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

test("local: a user without a token is not admitted, and the variable is named", () => {
  assert.deepEqual(users.missing, ["UNSET", "EMPTY"]);
  assert.equal(users.refresh({ kind: "user", name: "carl", roles: [] }), null);
  assert.equal(users.refresh({ kind: "user", name: "dora", roles: [] }), null);
});

test("E1 local: a token is withdrawn when no user has it: by another value, by its user's end", () => {
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

test("B7 local: the same person returns with new roles, a stranger not at all", () => {
  assert.deepEqual(users.refresh({ kind: "user", name: "ann", roles: ["old"] })?.roles, ["admin"]);
  assert.equal(users.refresh({ kind: "user", name: "zoe", roles: [] }), null);
  assert.equal(users.refresh(ANONYMOUS), null);
  assert.equal(users.refresh(OWNER), OWNER);
});

test("local: of two users with one token the first counts, and without users no one is admitted", () => {
  const twins = local([authUser("a", "T"), authUser("b", "T")], { T: "t" });
  const answer = twins.authenticate(bearer("t"));
  assert.equal(answer.ok && answer.principal.name, "a");
  assert.ok(!local([], {}).authenticate(bearer("t")).ok);
});

test("local: every token is reported to the redactor of logs", () => {
  const told: string[] = [];
  local([authUser("ann", "ANN"), authUser("dora", "EMPTY")], environment, (secret) => told.push(secret));
  assert.deepEqual(told, ["ann's token"]);
});
