import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import type { AuthorizationConfig, PolicyConfig, ToolHint } from "../../../src/config/snapshot.ts";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import {
  type ClientHandle,
  OWNER,
  OWNER_IN_PERSON,
  type ServerRequest,
} from "../../../src/gateway/client-handle.ts";
import { errorReply, isError, type JsonObject, type Reply } from "../../../src/gateway/json-rpc.ts";
import type { AuditRecord } from "../../../src/gateway/middleware/audit.ts";
import { createAuthorization } from "../../../src/gateway/middleware/authorization.ts";
import { createConsentPrompt } from "../../../src/gateway/middleware/consent.ts";
import { compilePolicies } from "../../../src/gateway/middleware/policies.ts";
import { readLarge } from "../../../src/runtime/json/large-json.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { fc } from "../../support/properties.ts";
import { source } from "../catalog/sources.ts";
import { ask, callPort, client, policy, recordingServices, servingSet, user } from "./requests.ts";

const tool = (name: string, annotations?: JsonObject): JsonObject => ({
  name,
  description: name,
  inputSchema: { type: "object" },
  ...(annotations === undefined ? {} : { annotations }),
});
const empty = source("files", { prompts: ["p"], resources: ["u:a"] });
const SOURCES: readonly CatalogSource[] = [
  {
    ...empty,
    listings: {
      ...empty.listings,
      tools: [
        tool("read", { readOnlyHint: true }),
        tool("delete", { destructiveHint: true }),
        tool("append", { destructiveHint: false }),
        tool("plain"),
      ],
    },
  },
];

/** A client that can be asked, and answers so. */
function asked(
  answer: (question: ServerRequest) => Reply | Promise<Reply>,
  change: Partial<ClientHandle> = {},
) {
  const questions: ServerRequest[] = [];
  const request = async (...question: ServerRequest): Promise<Reply> => {
    questions.push(question);
    return answer(question);
  };
  return {
    questions,
    client: { ...client(user("ann")), capabilities: { elicitation: {} }, request, ...change },
  };
}
const untilWithdrawn = ([, , signal]: ServerRequest): Promise<Reply> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(errorReply(-32000, "withdrawn"))));
const says = (action: string) => (): Reply => ({ result: { action } });

const reworded = (sources: readonly CatalogSource[]): readonly CatalogSource[] =>
  sources.map((one) => ({
    ...one,
    listings: { ...one.listings, tools: one.listings.tools.map((tool) => ({ ...tool, title: "Other" })) },
  }));

function bench(authorization: Partial<AuthorizationConfig>, sources: readonly CatalogSource[] = SOURCES) {
  const services = recordingServices();
  const clock = createManualClock();
  const records: AuditRecord[] = [];
  const config = { path: "/a", maxSizeBytes: 1, keep: 1, includeArguments: false, redact: [] };
  const served = servingSet(sources, services, {
    authorization: { defaultEffect: "allow", policies: [], ...authorization },
    audit: { config, write: (record) => void records.push(record) },
    callMs: new Map([["files", 5_000]]),
    clock,
    clean: (text) => text.replaceAll("hunter2", "[redacted]"),
  });
  const call = (of: ClientHandle, name: string, given: JsonObject = {}, signal?: AbortSignal) =>
    ask(served, "tools/call", { name, arguments: given }, of, signal);
  const listed = (of: ClientHandle): unknown[] => {
    const { tools } = served.viewFor(of.principal).lists.tools;
    return Array.isArray(tools) ? tools.map(({ name }) => name) : [];
  };
  const { middleware } = createAuthorization({
    policies: compilePolicies({ defaultEffect: "allow", policies: [], ...authorization }),
    requestConsent: createConsentPrompt({
      clock,
      clean: (text) => text,
      callMs: () => 5_000,
      fromOwner: async () => "accept",
    }),
    countRefused: () => null,
    denied() {},
  });
  return { services, clock, records, served, call, listed, authorization: middleware };
}

function textOf(reply: Reply): string {
  if (isError(reply)) return reply.error.message;
  return JSON.stringify(reply.result["content"]);
}

async function paramsOf(text: string): Promise<{ readonly arguments: JsonObject }> {
  const message = (await readLarge(Buffer.from(`{"params":{"arguments":${text}}}`))).parse();
  return (message as { readonly params: { readonly arguments: JsonObject } }).params;
}

test("E2 E4 a person sees the arguments of a large call, and is asked about none that cannot be shown", async () => {
  const b = bench({ destructive: "ask" });
  const a = asked(says("accept"));
  const pad = Array.from({ length: 90 }, (_, at) => `"p${at}":"${"x".repeat(60_000)}"`).join();
  const long = await paramsOf(`{"path":"/srv","\\u0070ath":"/etc",${pad}}`);
  await b.call(a.client, "delete", long.arguments);
  assert.match(String(a.questions[0]?.[1]?.["message"]), /\npath: "\/etc"\n/);
  const many = Array.from({ length: 100_001 }, (_, at) => `"${at}":0`).join();
  const dear = await paramsOf(`{"path":"/etc",${many}}`);
  const refused = await b.call(a.client, "delete", dear.arguments);
  assert.match(textOf(refused), /values are more than the 100,000/);
  assert.equal(a.questions.length, 1);
});

test("E2 a destructive tool is listed, asked about at the calling client, and run when accepted", async () => {
  const b = bench({ destructive: "ask" });
  const a = asked(says("accept"));
  assert.deepEqual(b.listed(a.client), ["read", "delete", "append", "plain"]);
  const given = { path: "/srv/a\u202e", key: "hunter2", long: "x".repeat(50_000) };
  assert.ok(!isError(await b.call(a.client, "delete", given)));
  assert.equal(b.services.calls.length, 1);
  const [[method, params] = []] = a.questions;
  assert.equal(method, "elicitation/create");
  assert.deepEqual(params?.["requestedSchema"], { type: "object", properties: {} });
  assert.equal(params?.["mode"], "form");
  const [head, ...lines] = String(params?.["message"]).split("\n");
  assert.equal(head, "Allow the tool delete of files? It may change or delete things.");
  assert.deepEqual(lines.slice(0, 2), ['path: "/srv/a\\u{202e}"', 'key: "[redacted]"']);
  assert.ok((lines[2] ?? "").length < 400);
  assertEach(b.records, ({ outcome, consent: answer }) => [outcome, answer], [["ok", "accept"]]);
});

test("E2 an argument named like the mark of an omission is shown as any other", async () => {
  const b = bench({ destructive: "ask" });
  const a = asked(says("accept"));
  await b.call(a.client, "delete", { path: "/srv", "[cut]": "all" });
  const [[, params] = []] = a.questions;
  assert.deepEqual(String(params?.["message"]).split("\n").slice(1), ['path: "/srv"', '[cut]: "all"']);
});

test("E2 a person agrees once to a call of several rounds, and each call is another one", async () => {
  const b = bench({ destructive: "ask" });
  const a = asked(says("accept"));
  const agreed: string[] = [];
  const agree = (to: string) => void agreed.push(to);
  const handle = { ...callPort(a.client), agree };
  const request = {
    method: "tools/call",
    params: { name: "delete", arguments: {} },
    handle,
    signal: new AbortController().signal,
    served: b.served,
  };
  await b.served.handle(request);
  assert.deepEqual([a.questions.length, agreed.length], [1, 1]);
  await b.served.handle({ ...request, consent: "accept", consentFor: String(agreed[0]) });
  assert.deepEqual([a.questions.length, b.services.calls.length], [1, 2]);
  await b.served.handle(request);
  assert.equal(a.questions.length, 2);
  const changes: readonly Parameters<typeof bench>[] = [
    [{ destructive: "ask" }, SOURCES.map((one) => ({ ...one, backend: `${one.backend}2` }))],
    [{ destructive: "ask" }, reworded(SOURCES)],
    [{ policies: [policy("ask", { resources: ["tool:delete"] })] }],
  ];
  for (const changed of changes) {
    const other = bench(...changed);
    const { length } = a.questions;
    await other.served.handle({
      ...{ ...request, served: other.served },
      ...{ consent: "accept", consentFor: String(agreed[0]) },
    });
    assert.equal(
      a.questions.length,
      length + 1,
      "another server, definition or rule is a question of its own",
    );
  }
  const unwilling = asked(says("decline"));
  await b.served.handle({
    ...request,
    handle: { ...callPort(unwilling.client), agree },
  });
  assert.equal(agreed.length, 5);
});

test("E4 asking for consent: a call whose client returned with the consent was counted then, and any other call is counted now", async () => {
  const b = bench({ destructive: "ask" });
  const a = asked(says("accept"));
  const counted: unknown[] = [];
  const { authorization } = b;
  const handle = authorization(async (request) => {
    counted.push(request.hasUsedQuota);
    return { result: {} };
  });
  const request = {
    method: "tools/call",
    params: { name: "delete", arguments: {} },
    signal: new AbortController().signal,
    served: b.served,
  };
  await handle({ ...request, handle: { ...callPort(a.client), agree() {} } });
  await handle({ ...request, handle: callPort(a.client) });
  // The owner's answer came in no request of this client.
  await handle({ ...request, handle: { ...callPort(client(user("ann"))), agree() {} } });
  assert.deepEqual(counted, [true, undefined, undefined]);
});

test("E2 parts left out of a question are counted, and shortened ones are marked", async () => {
  const linesFor = async (given: JsonObject): Promise<readonly string[]> => {
    const a = asked(says("accept"));
    await bench({ destructive: "ask" }).call(a.client, "delete", given);
    return String(a.questions[0]?.[1]?.["message"]).split("\n").slice(1);
  };
  const many = Object.fromEntries(Array.from({ length: 23 }, (_, index) => [`a${index}`, index]));
  const lines = await linesFor(many);
  assert.deepEqual([lines.length, lines.at(-1)], [21, "and 3 more arguments, not shown"]);
  const [long, short] = await linesFor({ long: "x".repeat(400), short: "y" });
  assert.match(long ?? "", /…\s?\(shortened\)$/);
  assert.equal(short, 'short: "y"');
  // More than is looked at: what comes after it is not shown, however little it is.
  const huge = Object.fromEntries(["a", "b", "c", "d", "e"].map((name) => [name, "x".repeat(5_000)]));
  const bounded = await linesFor({ ...huge, path: "/srv/secret" });
  assert.equal(bounded.filter((line) => line.startsWith("path")).length, 0);
  assert.match(bounded.at(-1) ?? "", /^and [12] more arguments?, not shown$/);
  assert.ok(!bounded.some((line) => line.startsWith("[cut]")));
});

test("E2 a call that is not destructive needs no consent; silence is read as the configuration says", async () => {
  const a = asked(says("decline"));
  const strict = bench({ destructive: "ask" });
  for (const name of ["read", "append"]) await strict.call(a.client, name);
  assert.equal(a.questions.length, 0);
  await strict.call(a.client, "plain");
  assert.equal(a.questions.length, 1);
  await bench({ destructive: "ask", unannotated: "harmless" }).call(a.client, "plain");
  assert.equal(a.questions.length, 1);
});

test("E2 a call that was to run as a task, and that a person declines, is an error: there is no task", async () => {
  const b = bench({ destructive: "ask" });
  const reply = await ask(b.served, "tools/call", { name: "plain", task: {} }, asked(says("decline")).client);
  assert.ok(isError(reply) && /declined it/u.test(reply.error.message));
});

for (const [answer, says_, told] of [
  [says("decline"), "decline", /declined it/u],
  [says("cancel"), "cancel", /gave no answer/u],
  [says("whatever"), "unable", /cannot be asked/u],
  [(): Reply => errorReply(-32603, "no"), "unable", /cannot be asked/u],
] as const)
  test(`E2 asking for consent: an answer that is ${says_} refuses, and is in the audit`, async () => {
    const b = bench({ destructive: "ask" });
    const reply = await b.call(asked(answer).client, "delete");
    assert.ok(!isError(reply) && reply.result["isError"] === true);
    assert.match(textOf(reply), told);
    assert.equal(b.services.calls.length, 0);
    assertEach(b.records, ({ outcome, consent: of }) => [outcome, of], [["denied", says_]]);
  });

test("E2 a client that did not declare elicitation is refused, with the reason", async () => {
  const b = bench({ destructive: "ask" });
  for (const capabilities of [{}, { elicitation: { url: {} } }, { elicitation: true }]) {
    const a = asked(says("accept"), { capabilities });
    const reply = await b.call(a.client, "delete");
    assert.match(textOf(reply), /needs the consent of a person, and this client cannot be asked/u);
    assert.equal(a.questions.length, 0);
  }
  assert.equal(b.services.calls.length, 0);
});

test("E2 no one waits longer than a call may take", async () => {
  const b = bench({ destructive: "ask" });
  const a = asked(untilWithdrawn);
  const reply = b.call(a.client, "delete");
  await settle();
  await b.clock.advance(4_999);
  await settle();
  assert.equal(a.questions[0]?.[2].aborted, false);
  await b.clock.advance(1);
  assert.match(textOf(await reply), /did not answer in time/u);
  assert.equal(b.records[0]?.consent, "timeout");
});

test("E2 a call that is cancelled withdraws its question", async () => {
  const b = bench({ destructive: "ask" });
  const a = asked(untilWithdrawn);
  const abort = new AbortController();
  const reply = b.call(a.client, "delete", {}, abort.signal);
  await settle();
  abort.abort("the client cancelled");
  assert.ok(!isError(await reply));
  assert.equal(a.questions[0]?.[2].aborted, true);
  assert.equal(b.services.calls.length, 0);
  const late = asked(says("cancel"));
  await b.call(late.client, "delete", {}, abort.signal);
  assert.equal(late.questions[0]?.[2].aborted, true, "it was cancelled before the question");
});

test("E2 after an answer nothing of a question is left", async () => {
  const b = bench({ destructive: "ask" });
  const a = asked(says("accept"));
  const { signal } = new AbortController();
  await b.call(a.client, "delete", {}, signal);
  assert.equal(b.clock.pendingTimers, 0);
  assert.deepEqual(getEventListeners(signal, "abort"), []);
});

test("E2 eight questions wait at one client, the ninth call is refused, and later ones are asked again", async () => {
  const b = bench({ destructive: "ask" });
  const gate = Promise.withResolvers<Reply>();
  const a = asked(() => gate.promise);
  const calls = Array.from({ length: 8 }, () => b.call(a.client, "delete"));
  await settle();
  assert.match(textOf(await b.call(a.client, "delete")), /8 other questions wait/u);
  const other = asked(says("accept"));
  assert.ok(!isError(await b.call(other.client, "delete")), "another client is another person");
  gate.resolve({ result: { action: "accept" } });
  await Promise.all(calls);
  assert.equal(b.services.calls.length, 9);
  await b.call(a.client, "delete");
  assert.equal(a.questions.length, 9);
});

test("E2 `refuse` hides destructive tools, even from the owner's agents; a person's own call needs no consent", async () => {
  const b = bench({ destructive: "refuse" });
  const owner = asked(says("accept"), { principal: OWNER });
  const person = asked(says("accept"), { principal: OWNER_IN_PERSON });
  assert.deepEqual(b.listed(client(user("ann"))), ["read", "append"]);
  assert.deepEqual(b.listed(owner.client), ["read", "append"]);
  assert.match(textOf(await b.call(owner.client, "delete")), /Unknown tool/u);
  assert.ok(!isError(await b.call(person.client, "delete")));
  const asking = bench({ destructive: "ask" });
  await asking.call(person.client, "delete");
  assert.equal(person.questions.length, 0);
  await asking.call(owner.client, "delete");
  assert.equal(owner.questions.length, 1);
});

test("E2 a policy that names annotations is final; one that does not leaves destructive tools to `destructive`", async () => {
  const b = bench({
    destructive: "refuse",
    defaultEffect: "deny",
    policies: [
      policy("allow", { resources: ["tool:delete"], annotations: ["destructive"], roles: ["admin"] }),
      policy("ask", { annotations: ["not_read_only"], roles: ["agent"] }),
      policy("allow", { annotations: ["read_only"] }),
      policy("allow", { roles: ["admin"] }),
    ],
  });
  assert.deepEqual(b.listed(client(user("a", "admin"))), ["read", "delete", "append"]);
  assert.deepEqual(b.listed(client(user("b", "agent"))), ["read", "delete", "append", "plain"]);
  assert.deepEqual(b.listed(client(user("c"))), ["read"]);
  const agent = asked(says("accept"), { principal: user("b", "agent") });
  for (const name of ["read", "append", "delete"]) await b.call(agent.client, name);
  assert.equal(agent.questions.length, 2);
  assert.equal(b.services.calls.length, 3);
  const { prompts } = b.served.viewFor(user("c")).lists.prompts;
  assert.deepEqual(prompts, [], "annotations fit tools alone");
});

test("E2 a list includes entries that are refused only for some arguments, and the call's own arguments decide", async () => {
  const b = bench({
    defaultEffect: "deny",
    policies: [
      policy("deny", { resources: ["tool:*"], arguments: { path: ["/srv/secret/*"] } }),
      policy("ask", { resources: ["tool:delete"], arguments: { path: ["/srv/*"] } }),
      policy("allow", { resources: ["tool:read"], arguments: { path: ["/srv/*", "/tmp/*"] } }),
      policy("deny", { resources: ["tool:append"], arguments: { path: ["/*"] } }),
    ],
  });
  const a = asked(says("accept"));
  assert.deepEqual(b.listed(a.client), ["read", "delete"]);
  const outcome = async (name: string, path: unknown): Promise<string> => {
    const before = a.questions.length;
    const reply = await b.call(a.client, name, { path });
    return isError(reply) ? "refused" : a.questions.length > before ? "asked" : "run";
  };
  assert.equal(await outcome("read", "/srv/a"), "run");
  assert.equal(await outcome("read", "/tmp/a"), "run");
  assert.equal(await outcome("read", "/etc/passwd"), "refused");
  assert.equal(await outcome("read", "/srv/../etc/passwd"), "refused");
  assert.equal(await outcome("read", "/srv/secret/a"), "refused");
  assert.equal(await outcome("read", ["/tmp/a", "/srv/secret/a"]), "refused");
  assert.equal(await outcome("delete", "/srv/a"), "asked");
  assert.equal(await outcome("delete", "/tmp/a"), "refused");
  assert.equal(await outcome("read", undefined), "refused");
});

test("E2 prompts and resources may need consent, completion and leaving do not", async () => {
  const b = bench({ policies: [policy("ask", { resources: ["prompt:*", "resource:*"] })] });
  const a = asked(says("decline"));
  assert.match(textOf(await ask(b.served, "prompts/get", { name: "p" }, a.client)), /prompt p was not run/u);
  assert.match(textOf(await ask(b.served, "resources/read", { uri: "u:a" }, a.client)), /was not run/u);
  assert.equal(a.questions.length, 2);
  const reference = { ref: { type: "ref/prompt", name: "p" }, argument: {} };
  await ask(b.served, "completion/complete", reference, a.client);
  await ask(b.served, "resources/unsubscribe", { uri: "u:a" }, a.client);
  assert.equal(a.questions.length, 2);
  assert.equal(b.services.calls.length, 2);
});

type Outcome = "refused" | "asked" | "run";
const PATHS = ["/srv/a", "/etc/b", "/srv/../etc/b", undefined] as const;
type Path = (typeof PATHS)[number];
const HINTS: Readonly<Record<string, readonly ToolHint[]>> = {
  read: ["read_only", "not_destructive"],
  delete: ["not_read_only", "destructive"],
  append: ["not_read_only", "not_destructive"],
};

/** What the documentation says, worked out by hand. */
function expected(
  { defaultEffect, destructive, policies }: AuthorizationConfig,
  name: string,
  path: Path,
): Outcome {
  const hints = name === "plain" ? HINTS["delete"] : HINTS[name];
  const careful = (effect: PolicyConfig["effect"]): Outcome => {
    if (effect === "deny") return "refused";
    if (effect === "ask") return "asked";
    if (!hints?.includes("destructive") || destructive === "allow") return "run";
    return destructive === "ask" ? "asked" : "refused";
  };
  for (const { effect, roles, annotations = null, arguments: patterns = null } of policies) {
    if (roles !== null && !roles.includes("a")) continue;
    if (annotations !== null && !annotations.every((hint) => hints?.includes(hint))) continue;
    const [glob] = patterns?.["path"] ?? [];
    const isUnclear = path === "/srv/../etc/b" && glob !== "*";
    const fits =
      path !== undefined && (glob === "*" || path === "/srv/a" || (isUnclear && effect !== "allow"));
    if (patterns !== null && !fits) continue;
    if (annotations === null) return careful(effect);
    return effect === "deny" ? "refused" : effect === "ask" ? "asked" : "run";
  }
  return careful(defaultEffect);
}

test("E2 under any policies a call is run, asked about or refused as documented, and every entry that is not always refused is listed", async () => {
  const hint = fc.constantFrom<ToolHint>("read_only", "not_read_only", "destructive", "not_destructive");
  const anyPolicy: fc.Arbitrary<Required<PolicyConfig>> = fc.record({
    effect: fc.constantFrom("allow", "deny", "ask"),
    roles: fc.constantFrom(null, ["a"], ["b"]),
    resources: fc.constant(null),
    methods: fc.constant(null),
    users: fc.constant(null),
    backends: fc.constant(null),
    annotations: fc.option(fc.array(hint, { maxLength: 2 })),
    arguments: fc.constantFrom(null, { path: ["/srv/*"] }, { path: ["*"] }),
  });
  const rules: fc.Arbitrary<Omit<Required<AuthorizationConfig>, "ask" | "unannotated">> = fc.record({
    defaultEffect: fc.constantFrom("allow", "deny"),
    destructive: fc.constantFrom("allow", "ask", "refuse"),
    policies: fc.array(anyPolicy, { maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(rules, async (authorization) => {
      const b = bench(authorization);
      const a = asked(says("accept"), { principal: user("ann", "a") });
      const listed = b.listed(a.client);
      for (const name of ["read", "delete", "append", "plain"]) {
        const outcomes = new Set<Outcome>();
        for (const path of PATHS) {
          const before = a.questions.length;
          const reply = await b.call(a.client, name, path === undefined ? {} : { path });
          const outcome = isError(reply) ? "refused" : a.questions.length > before ? "asked" : "run";
          assert.equal(outcome, expected(authorization, name, path), `${name} ${path}`);
          outcomes.add(outcome);
        }
        if (outcomes.has("run") || outcomes.has("asked")) assert.ok(listed.includes(name), name);
      }
    }),
    { numRuns: 300 },
  );
});
