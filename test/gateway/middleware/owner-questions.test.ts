// Calls whose client cannot ask wait for the owner: through the chain, with a clock of the test.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { AuthorizationConfig } from "../../../src/config/snapshot.ts";
import { type ClientHandle, OWNER, type Principal } from "../../../src/gateway/client-handle.ts";
import { isError, type JsonObject, type Reply } from "../../../src/gateway/json-rpc.ts";
import type { AuditRecord } from "../../../src/gateway/middleware/audit.ts";
import { OwnerQuestions } from "../../../src/gateway/middleware/owner-questions.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { source } from "../catalog/sources.ts";
import { callPort, client, policy, recordingServices, servingSet, user } from "./requests.ts";

const CALL_MS = 60_000;
const MINUTES = 60_000;
const sourcesWith = (title: string) => {
  const files = source("files", { resources: ["u:a"] });
  const tools = ["wipe", "drop"].map((name) => ({
    ...{ name, title, description: "Wipes.", inputSchema: { type: "object" } },
    annotations: { destructiveHint: true },
  }));
  return [{ ...files, listings: { ...files.listings, tools } }];
};

let clock: ReturnType<typeof createManualClock>;
let questions: OwnerQuestions;
let services: ReturnType<typeof recordingServices>;
const records: AuditRecord[] = [];
const progress: unknown[] = [];
beforeEach(() => {
  clock = createManualClock();
  questions = new OwnerQuestions(clock);
  services = recordingServices();
  records.length = 0;
  progress.length = 0;
});

function serve(rules: Partial<AuthorizationConfig> = {}, title = "") {
  return servingSet(sourcesWith(title), services, {
    authorization: { defaultEffect: "allow", policies: [], destructive: "ask", ...rules },
    audit: {
      config: { path: "/a", maxSizeBytes: 1, keep: 1, includeArguments: false, redact: [] },
      write: (record) => void records.push(record),
    },
    callMs: new Map([["files", CALL_MS]]),
    clean: (text) => text.replaceAll("hunter2", "[redacted]"),
    ...{ clock, questions },
  });
}
const ownersProgram = (session = "one"): ClientHandle => client(OWNER, session);

/** Begins a call, which waits or has its text. */
async function begin(
  of: ClientHandle,
  given: JsonObject = { path: "/srv" },
  { served = serve(), signal = new AbortController().signal, name = "wipe" } = {},
) {
  const call = { text: null as string | null };
  const handle = { ...callPort(of), notify: (_: string, params: unknown) => void progress.push(params) };
  const params = { name, arguments: given, _meta: { progressToken: 7 } };
  void served.handle({ method: "tools/call", params, handle, signal, served }).then((reply: Reply) => {
    call.text = isError(reply) ? reply.error.message : JSON.stringify(reply.result["content"]);
  });
  await settle();
  return call;
}
const RUNS = "[]";
const OPEN = /has not answered yet; the question stands/;
const DENIED = /denied it, and is not asked about the same call/;
const codes = (): readonly string[] => questions.list.map(({ code }) => code);
async function answer(isAllowed: boolean, code = codes()[0] ?? ""): Promise<string | null> {
  const effect = questions.answer(code, isAllowed)?.effect ?? null;
  await settle();
  return effect;
}

test("E6 one answer runs the newest of equal calls; the others wait for another one under a new code", async () => {
  const calls = [await begin(ownersProgram()), await begin(ownersProgram()), await begin(ownersProgram())];
  const [code, ...more] = codes();
  assert.deepEqual([more, questions.list[0]?.waiting.size], [[], 3]);
  assert.equal(await answer(true), "run");
  assert.deepEqual(pluck(calls, "text"), [null, null, RUNS]);
  assert.equal(await answer(true, code), null, "a code is for one answer");
  assert.equal(await answer(true), "run");
  assert.equal(await answer(false), "denied");
  assert.match(calls[0]?.text ?? "", DENIED);
  assert.equal(services.calls.length, 2);
  assert.deepEqual(pluck(records, "consent"), ["accept", "accept", "denied"]);
});

test("E6 a late answer is kept for one equal call and ten minutes, and a question stands as long", async () => {
  const late = await begin(ownersProgram());
  await clock.advance(CALL_MS);
  assert.match(late.text ?? "", OPEN);
  assert.deepEqual(progress[4], {
    ...{ progressToken: 7, progress: 0.005, message: "waits for the gateway's owner" },
  });
  assert.equal(progress.length, 5);
  const [before] = codes();
  const again = await begin(ownersProgram());
  assert.deepEqual(codes(), [before], "it joins the question that stands");
  await clock.advance(CALL_MS);
  assert.match(again.text ?? "", OPEN);
  assert.equal(await answer(true), "stored");
  assert.equal((await begin(ownersProgram())).text, RUNS);
  assert.equal((await begin(ownersProgram())).text, null, "it counts once");
  await clock.advance(CALL_MS + 10 * MINUTES - 1);
  assert.equal(codes().length, 1, "it stands ten minutes beyond its call, however long that has waited");
  await clock.advance(1);
  assert.deepEqual([codes(), services.calls.length], [[], 1]);
  await begin(ownersProgram());
  await clock.advance(CALL_MS);
  assert.equal(await answer(true), "stored");
  await clock.advance(10 * MINUTES);
  assert.equal((await begin(ownersProgram())).text, null, "it is too old");
});

test("E6 a denied call is refused without a question for ten minutes, and only that call", async () => {
  await begin(ownersProgram());
  assert.equal(await answer(false), "denied");
  assert.match((await begin(ownersProgram())).text ?? "", DENIED);
  assert.equal((await begin(ownersProgram(), { path: "/etc" })).text, null);
  await clock.advance(10 * MINUTES);
  assert.equal((await begin(ownersProgram())).text, null);
  assert.equal(services.calls.length, 0);
});

const ANYWHERE = { ask: "anywhere" } as const;
const grantOf = (id: string): Principal => ({ ...user("ann"), id: `grant ${id}` });
const modern = (of: Principal): ClientHandle => ({ ...client(of), publicId: "public" });
for (const [what, one, other] of [
  ["arguments", {}, { given: { path: "/srv ", more: 1 } }],
  ["tool", {}, { name: "drop" }],
  ["session", {}, { of: client(user("ann"), "two") }],
  ["user", {}, { of: client(user("ben")) }],
  ["roles", {}, { of: client(user("ann", "admin")) }],
  ["program of a user", { of: modern(grantOf("1")) }, { of: modern(grantOf("2")) }],
  ["process", { of: { ...client(OWNER), caller: "a" } }, { of: { ...client(OWNER), caller: "b" } }],
  ["definition", {}, { title: "Other" }],
  ["rule", {}, { rules: { policies: [policy("ask", { resources: ["tool:wipe"] })] } }],
] as const)
  test(`E6 a kept answer is not for a call with another ${what}`, async () => {
    const play = (parts: {
      readonly of?: ClientHandle;
      readonly given?: JsonObject;
      readonly name?: string;
      readonly title?: string;
      readonly rules?: Partial<AuthorizationConfig>;
    }) => {
      const { of = client(user("ann")), given, name = "wipe", title = "", rules = {} } = parts;
      return begin(of, given, { served: serve({ ...ANYWHERE, ...rules }, title), name });
    };
    await play(one);
    await clock.advance(CALL_MS);
    assert.equal(await answer(true), "stored");
    assert.equal((await play(other)).text, null, "it is asked about");
    assert.equal((await play(one)).text, RUNS);
  });

test("E6 only the owner's programs ask by default; a setting asks about all, or about none; only tool calls", async () => {
  const asks = async (of: ClientHandle, rules: Partial<AuthorizationConfig>): Promise<boolean> =>
    (await begin(of, {}, { served: serve(rules) })).text === null;
  const [owner, ann] = [ownersProgram(), client(user("ann"))];
  assert.deepEqual([await asks(owner, {}), await asks(ann, {})], [true, false]);
  assert.deepEqual([await asks(owner, ANYWHERE), await asks(ann, ANYWHERE)], [true, true]);
  assert.deepEqual(
    [await asks(owner, { ask: "client" }), await asks(ann, { ask: "client" })],
    [false, false],
  );
  const able = { ...owner, capabilities: { elicitation: {} }, request: () => new Promise<never>(() => {}) };
  const before = codes().length;
  await begin(able, { only: "at the client" });
  assert.equal(codes().length, before);
  const rules = { policies: [policy("ask")], ...ANYWHERE };
  const served = serve(rules);
  const reply = await served.handle({
    ...{ method: "resources/read", params: { uri: "u:a" }, handle: callPort(ann), served },
    signal: new AbortController().signal,
  });
  assert.ok(isError(reply));
  assert.equal(codes().length, before);
});

test("E6 the owner sees all arguments or is not asked, without secrets and invisible characters; clients see no code", async () => {
  const clientInfo = { name: "Claude\u202e Code", version: "1\n2" };
  const given = { "a\u200b": "hunter2", list: ["\u202e", 1] };
  const call = await begin({ ...ownersProgram(), clientInfo }, given);
  const [question] = questions.list;
  assert.ok(question !== undefined);
  assert.deepEqual(question.lines, [
    "For the owner, by a program that calls itself Claude\\u{202e} Code 1 2.",
    "Asked because of: destructive",
    "It may change or delete things.",
    "The server says: Wipes.",
    "A secret is shown as [redacted].",
    '"a\\u200b": "[redacted]"',
    '"list": ["\\u202e",1]',
  ]);
  await clock.advance(CALL_MS);
  assert.ok(!`${call.text}${JSON.stringify(progress)}`.includes(question.code));
  const long = await begin(ownersProgram(), { text: "x".repeat(64 * 1024) });
  assert.match(long.text ?? "", /too long to be shown whole/);
  assert.equal(codes().length, 1);
});

test("E6 a program without a name that is text is asked about as unnamed", async () => {
  await begin({ ...ownersProgram(), clientInfo: { name: { toString: 1, valueOf: 1 }, version: 1 } });
  assert.match(questions.list[0]?.lines[0] ?? "", /calls itself unnamed\.$/);
});

test("E6 eight questions of a user; of 64 the user with most loses the oldest", async () => {
  const served = serve(ANYWHERE);
  const of = (name: string, at: number) => begin(client(user(name)), { at }, { served });
  const first = await of("ann", 0);
  for (let at = 1; at < 8; at++) await of("ann", at);
  assert.match((await of("ann", 8)).text ?? "", /8 other questions wait/);
  for (let at = 0; at < 56; at++) await of(`user ${at}`, 0);
  assert.equal(codes().length, 64);
  const last = await of("ben", 0);
  assert.deepEqual([codes().length, last.text], [64, null]);
  assert.match(first.text ?? "", /other questions wait/);
});

test("E6 the questions of a user who is called owner are not counted as the owner's", async () => {
  const served = serve(ANYWHERE);
  for (let at = 0; at < 8; at++) await begin(client(user("owner")), { at }, { served });
  assert.equal((await begin(ownersProgram(), {}, { served })).text, null);
});

test("E6 at most eight equal calls wait for one question", async () => {
  const calls = [];
  for (let at = 0; at < 9; at++) calls.push(await begin(ownersProgram()));
  assert.deepEqual(calls.map(({ text }) => text).filter((text) => text !== null).length, 1);
});

test("E6 a call that is cancelled leaves its question, and an answer then waits for an equal call", async () => {
  const abort = new AbortController();
  await begin(ownersProgram(), {}, { signal: abort.signal });
  abort.abort("the client has gone");
  await settle();
  assert.deepEqual([questions.list[0]?.waiting.size, clock.pendingTimers], [0, 0]);
  assert.equal(await answer(true), "stored");
  assert.equal(services.calls.length, 0);
});

test("E6 B11 questions and kept answers move to the next daemon, and waiting calls end with a word", async () => {
  const waiting = await begin(ownersProgram());
  await begin(ownersProgram(), { kept: 1 });
  assert.equal(await answer(false, codes()[1]), "denied");
  const [code] = codes();
  const handed = JSON.parse(JSON.stringify(questions.handOver())) as ReturnType<OwnerQuestions["handOver"]>;
  await settle();
  assert.match(waiting.text ?? "", OPEN);
  assert.match((await begin(ownersProgram())).text ?? "", OPEN, "the old daemon asks no more");
  assert.equal(await answer(true), null, "nor is it answered");
  const again = questions.handOver();
  assert.deepEqual([pluck(again.questions, "code"), again.answers], [[code], []], "if the next daemon fails");
  questions = new OwnerQuestions(clock);
  questions.follow(handed);
  assert.deepEqual(codes(), [code]);
  assert.equal(await answer(true), "stored");
  assert.equal((await begin(ownersProgram())).text, RUNS);
  assert.match((await begin(ownersProgram(), { kept: 1 })).text ?? "", DENIED);
  assert.equal(services.calls.length, 1);
});
