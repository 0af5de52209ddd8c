// What a single call may not do, a script may not do either: policies, questions, and rules that change while it runs.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PolicyConfig } from "../../../src/config/snapshot.ts";
import { type CallHandle, OWNER_IN_PERSON, type ServerRequest } from "../../../src/gateway/client-handle.ts";
import type { JsonObject, Reply } from "../../../src/gateway/json-rpc.ts";
import type { AuditRecord } from "../../../src/gateway/middleware/audit.ts";
import { createSelections } from "../../../src/gateway/serving/selection.ts";
import { eventually } from "../../support/eventually.ts";
import { pluck } from "../../support/pluck.ts";
import { callPort, client, policy, user } from "../middleware/requests.ts";
import { annotated, DESTROYS, READS, returnedBy, scriptRig, text, textOf } from "./script-rig.ts";

const SOURCES = [annotated("files", { read: READS, remove: DESTROYS, plain: {}, hidden: READS })];
const ann = client(user("ann", "staff"));

const done = async (): Promise<Reply> => text("done");

const allowing = (...policies: readonly PolicyConfig[]) => ({
  authorization: { defaultEffect: "deny" as const, policies },
});
const NO_SCRIPTS = createSelections({
  ...{ optimizer: { enabled: false, keepTools: [] }, groups: [], profiles: [] },
  scripts: { enabled: false, timeoutMs: 1_000 },
});
const RUN = policy("allow", { resources: ["tool:run_script"] });

/** A client whose person answers each question by `answer`. */
function asked(answer: (question: JsonObject) => JsonObject, from = ann) {
  const questions: string[] = [];
  const asking = { ...from, capabilities: { elicitation: {} } };
  const port: CallHandle = {
    ...callPort(asking),
    request: async (...[method, params = {}]: ServerRequest) => {
      questions.push(`${method}: ${String(params["message"])}`);
      return { result: answer(params) };
    },
  };
  return { from: asking, port, questions };
}

const REMOVE = "return await tools.remove({ path: '/a' }).then((v) => v, (e) => e.message)";

test("a policy decides who may run scripts, and hides run_script from the others", async (t) => {
  const { run, served } = scriptRig(t, SOURCES, done, allowing(policy("allow", { resources: ["read"] })));
  assert.match(textOf(await run("return 1", { from: ann })), /^Unknown tool: run_script$/);
  const names = (from = ann) =>
    served().forClient(from).viewFor(from.principal).lists.tools["tools"] as readonly JsonObject[];
  assert.deepEqual(pluck(names(), "name"), ["read"]);
  const { run: allowed, served: others } = scriptRig(t, SOURCES, done, allowing(RUN));
  assert.equal(returnedBy(await allowed("return 1", { from: ann })), 1);
  const listed = others().forClient(ann).viewFor(ann.principal).lists.tools["tools"] as readonly JsonObject[];
  assert.deepEqual(pluck(listed, "name"), ["run_script"]);
});

test("a call of a script is decided by the same policies as a single one, and a forbidden name is an unknown one", async (t) => {
  const { run, calls } = scriptRig(t, SOURCES, done, allowing(RUN, policy("allow", { resources: ["read"] })));
  const message = (name: string) => `return await tools[${JSON.stringify(name)}]().catch((e) => e.message)`;
  assert.equal(returnedBy(await run(message("hidden"), { from: ann })), "Unknown tool: hidden");
  assert.equal(returnedBy(await run(message("nobody"), { from: ann })), "Unknown tool: nobody");
  assert.equal(returnedBy(await run(message("read"), { from: ann })), "done");
  assert.equal(calls.length, 1);
});

test("arguments that a policy forbids stay forbidden, whatever other arguments there are", async (t) => {
  const rules = [
    RUN,
    policy("deny", { resources: ["read"], arguments: { path: ["/private/*"] } }),
    policy("allow", { resources: ["read"] }),
  ];
  const { run, calls } = scriptRig(t, SOURCES, done, allowing(...rules));
  for (const path of ["/private/a", "/public/../private/a"]) {
    const script = `return await tools.read({ path: ${JSON.stringify(path)} }).catch((e) => e.message)`;
    assert.equal(returnedBy(await run(script, { from: ann })), "Unknown tool: read", path);
  }
  assert.equal(calls.length, 0);
});

test("a destructive tool asks by its name with its arguments, and does not run unless a person agrees", async (t) => {
  const { run, calls } = scriptRig(t, SOURCES, done);
  const { from, port, questions } = asked(() => ({ action: "decline" }));
  const declined = returnedBy(await run(REMOVE, { from, port }));
  assert.match(String(declined), /remove was not run: the person at the client declined it/);
  assert.deepEqual(questions, [
    'elicitation/create: Allow the tool remove of files? It may change or delete things.\npath: "/a"',
  ]);
  assert.match(String(returnedBy(await run(REMOVE))), /this client cannot be asked/);
  assert.equal(calls.length, 0);
  const agreed = asked(() => ({ action: "accept", content: {} }));
  assert.equal(returnedBy(await run(REMOVE, agreed)), "done");
  // A tool that says nothing about itself counts as destructive, as the protocol says.
  const plain = asked(() => ({ action: "decline" }));
  assert.match(textOf(await run("await tools.plain()", plain)), /plain was not run/);
});

test("one consent covers as many calls of that tool as the person chooses, and no other tool", async (t) => {
  const { run, calls } = scriptRig(t, SOURCES, done);
  const port = asked(() => ({ action: "accept", content: { calls: 3 } }));
  const many =
    "await Promise.all([1, 2, 3, 4].map((id) => tools.remove({ id }))); await tools.plain(); return 1";
  assert.equal(returnedBy(await run(many, port)), 1);
  assert.equal(calls.length, 5);
  assert.equal(port.questions.length, 3);
  const forged = asked(() => ({ action: "accept", content: { calls: 1e9 } }));
  await run("await tools.remove(); await tools.remove(); await tools.remove()", forged);
  assert.equal(forged.questions.length, 3);
});

test("a policy that names the tool allows it without a question; a pattern does not", async (t) => {
  const named = policy("allow", { resources: ["tool:remove"] });
  const { run } = scriptRig(t, SOURCES, done, allowing(RUN, named));
  assert.equal(returnedBy(await run(REMOVE, { from: ann })), "done");
  const pattern = policy("allow", { resources: ["*"] });
  const { run: asking } = scriptRig(t, SOURCES, done, allowing(pattern));
  assert.match(String(returnedBy(await asking(REMOVE, { from: ann }))), /this client cannot be asked/);
  const narrow = policy("allow", { resources: ["remove"], arguments: { path: ["/tmp/*"] } });
  const { run: narrowly } = scriptRig(t, SOURCES, done, allowing(RUN, narrow, pattern));
  assert.match(String(returnedBy(await narrowly(REMOVE, { from: ann }))), /this client cannot be asked/);
});

test("a policy that names another server's tool of the same name exempts no tool from its question", async (t) => {
  const [remove, other] = ["files", "other"].map((backend) => annotated(backend, { remove: DESTROYS }));
  assert.ok(remove !== undefined && other !== undefined);
  const named = policy("allow", { resources: ["tool:remove"] });
  const any = policy("allow", { resources: ["tool:*"] });
  const { run, served } = scriptRig(t, [remove, other], done, allowing(RUN, named, any));
  const prefixed = [...served().catalog.tools.keys()];
  for (const name of prefixed.filter((one) => one !== "remove")) {
    const script = `return await tools[${JSON.stringify(name)}]().catch((e) => e.message)`;
    assert.match(String(returnedBy(await run(script, { from: ann }))), /this client cannot be asked/, name);
  }
});

test("a person who has declined a tool is not asked about it again by the same script", async (t) => {
  const { run, calls } = scriptRig(t, SOURCES, done);
  for (const action of ["decline", "cancel"]) {
    const { from, port, questions } = asked(() => ({ action }));
    const script =
      "let n = 0; for (let i = 0; i < 20; i++) await tools.remove({ i }).catch(() => { n++ }); return n";
    assert.equal(returnedBy(await run(script, { from, port })), 20);
    assert.deepEqual([questions.length, calls.length], [1, 0], action);
  }
});

test("an edit while a person decides applies to the call in question, and to those that it covers", async (t) => {
  for (const [edited, options] of [
    [SOURCES, allowing(RUN)],
    [[annotated("files", { read: READS })], {}],
    [[annotated("files", { remove: { ...DESTROYS, title: "another" } })], {}],
  ] as const) {
    const rig = scriptRig(t, SOURCES, done);
    const { from, port: given } = asked(() => ({ action: "accept", content: { calls: 5 } }));
    const begun = Promise.withResolvers<void>();
    const port: CallHandle = {
      ...given,
      notify(_method, params) {
        if (params?.["progress"] === 3) begun.resolve();
      },
      async request(...question) {
        await begun.promise;
        rig.serve(edited, options);
        return given.request(...question);
      },
    };
    const script =
      "return await Promise.all([1, 2, 3].map((i) => tools.remove({ i }).then(() => 'made', (e) => e.message)))";
    const params = { _meta: { progressToken: 1 } };
    const outcomes = returnedBy(await rig.run(script, { from, port, params })) as string[];
    assert.deepEqual([outcomes.includes("made"), rig.calls.length], [false, 0], outcomes.join());
  }
});

test("a person at the command line has consented by running the script", async (t) => {
  const { run } = scriptRig(t, SOURCES, done);
  assert.equal(returnedBy(await run(REMOVE, { from: client(OWNER_IN_PERSON) })), "done");
});

test("a person's time to answer is not part of the script's", async (t) => {
  const { run } = scriptRig(t, SOURCES, done, { timeoutMs: 400 });
  const port = asked(() => ({ action: "accept", content: {} }));
  const slow: CallHandle = {
    ...port.port,
    request: async (...question) => {
      await new Promise((resolve) => setTimeout(resolve, 800));
      return port.port.request(...question);
    },
  };
  assert.equal(returnedBy(await run(REMOVE, { from: port.from, port: slow })), "done");
});

test("a tool that is removed, a policy that is edited and a principal that is changed apply to the next call", async (t) => {
  let edit = (): void => {};
  const rig = scriptRig(t, SOURCES, async () => {
    edit();
    return text("done");
  });
  const twice = "const a = await tools.read(); return [a, await tools.read().catch((e) => e.message)]";
  edit = () => rig.serve([annotated("files", { remove: DESTROYS })]);
  assert.deepEqual(returnedBy(await rig.run(twice, { from: ann })), ["done", "Unknown tool: read"]);
  rig.serve(SOURCES);
  edit = () => rig.serve(SOURCES, allowing(RUN));
  assert.deepEqual(returnedBy(await rig.run(twice, { from: ann })), ["done", "Unknown tool: read"]);
  rig.serve(SOURCES);
  const authentication = {
    ...{ resource: null, signed: null, isWithdrawn: () => false, refresh: () => user("ann", "guest") },
    authenticate: () => ({ ok: true, principal: ann.principal }) as const,
  };
  edit = () => rig.serve(SOURCES, { authentication });
  assert.match(
    String((returnedBy(await rig.run(twice, { from: ann })) as unknown[])[1]),
    /were changed since the script began/,
  );
});

test("with find_tool, the client has find_tool and run_script, and nothing else", async (t) => {
  const { served } = scriptRig(t, SOURCES, done, { optimized: true });
  const listed = served().forClient(ann).viewFor(ann.principal).lists.tools["tools"] as readonly JsonObject[];
  assert.deepEqual(pluck(listed, "name"), ["find_tool", "run_script"]);
});

test("find_tool declares only what the client may call", async (t) => {
  const rig = scriptRig(t, SOURCES, done, {
    optimized: true,
    ...allowing(RUN, policy("allow", { resources: ["read"] })),
  });
  const found = async (query: string): Promise<string> =>
    textOf(await rig.call("find_tool", { query }, { from: ann }));
  assert.match(
    await found("read"),
    /tools\[\\?"read\\?"\]\(args\?: Record<string, unknown>\): Promise<unknown>/,
  );
  for (const query of ["remove", "hidden", "plain"]) {
    assert.equal(
      await found(query),
      `No tool fits "${query}". Say in other words what it is to do, or name the product it belongs to; 1 tools can be found here.`,
    );
  }
});

test("a tool is called only by its published name: neither in another case, nor with its server's name before it", async (t) => {
  const { run, calls } = scriptRig(t, SOURCES, done);
  // docker/mcp-gateway#549
  for (const name of ["Read", "files_read", "files.read", "reаd"]) {
    const script = `return await tools[${JSON.stringify(name)}]().catch((e) => e.message)`;
    assert.equal(returnedBy(await run(script)), `Unknown tool: ${name}`);
  }
  assert.equal(calls.length, 0);
});

test("when scripts are switched off, or run_script is forbidden, a running script makes no further call", async (t) => {
  let edit = (): void => {};
  const rig = scriptRig(t, SOURCES, async () => {
    edit();
    return text("done");
  });
  const { from, port, questions } = asked(() => ({ action: "accept", content: {} }));
  const script = "await tools.read(); return await tools.remove().catch((e) => e.message)";
  const records: AuditRecord[] = [];
  const audit = {
    config: { path: "/a", maxSizeBytes: 1, keep: 1, includeArguments: false, redact: [] },
    write: (record: AuditRecord) => void records.push(record),
  };
  const offs = [
    () => rig.serve(SOURCES, { selections: NO_SCRIPTS, audit }),
    () => rig.serve(SOURCES, { scripts: null, audit }),
    () => rig.serve(SOURCES, allowing(policy("allow", { resources: ["remove", "read"] }))),
  ];
  for (const off of offs) {
    rig.serve(SOURCES);
    edit = off;
    assert.match(
      String(returnedBy(await rig.run(script, { from, port }))),
      /were changed since the script began/,
    );
  }
  assert.deepEqual([rig.calls.length, questions], [offs.length, []]);
  const denied = records.filter(({ outcome, script }) => outcome === "denied" && script !== undefined);
  assert.deepEqual(pluck(denied, "target"), ["tool:remove", "tool:remove"]);
});

test("a profile decides who gets run_script", async (t) => {
  const selections = createSelections({
    optimizer: { enabled: false, keepTools: [] },
    scripts: { enabled: true, timeoutMs: 1_000 },
    groups: [],
    profiles: [{ groups: null, optimizer: null, clients: null, users: ["bob"], scripts: false }],
  });
  const { run } = scriptRig(t, SOURCES, done, { selections });
  assert.equal(returnedBy(await run("return 1", { from: ann })), 1);
  const guest = client(user("bob"));
  assert.match(textOf(await run("return 1", { from: guest })), /Unknown tool: run_script/);
});

test("while eight other questions wait for a person, a script's question waits for its turn", async (t) => {
  const ask = policy("ask", { resources: ["read"] });
  const { run, call } = scriptRig(
    t,
    SOURCES,
    done,
    allowing(RUN, ask, policy("allow", { resources: ["*"] })),
  );
  const open: (() => void)[] = [];
  const { from } = asked(() => ({}));
  const port: CallHandle = {
    ...callPort(from),
    request: () =>
      new Promise((resolve) => {
        open.push(() => resolve({ result: { action: "accept", content: {} } }));
      }),
  };
  const others = Array.from({ length: 8 }, () => call("read", {}, { from, port }));
  await eventually(() => open.length === 8);
  assert.match(textOf(await call("read", {}, { from, port })), /8 other questions wait/);
  const script = run("return await tools.remove()", { from, port });
  for (const answer of open.splice(0)) answer();
  assert.deepEqual((await Promise.all(others)).map(textOf), Array(8).fill("done"));
  await eventually(() => open.length === 1);
  open[0]?.();
  assert.equal(returnedBy(await script), "done");
});

test("E6 consent covers further calls only with the arguments that were set then, and what gives other ones is not asked about", async (t) => {
  const sources = (repo: string) => {
    const one = annotated("files", { remove: DESTROYS });
    const inputSchema = { type: "object", properties: { repo: { type: "string" } } };
    const tools = one.listings.tools.map((tool) => ({ ...tool, inputSchema }));
    const toolOverrides = { remove: { arguments: { repo } } };
    return [{ ...one, listings: { ...one.listings, tools }, toolOverrides }];
  };
  const rig = scriptRig(t, sources("one"), async () => {
    rig.serve(sources("two"));
    return text("done");
  });
  const { from, port, questions } = asked(() => ({ action: "accept", content: { calls: 5 } }));
  await rig.run("await tools.remove({}); await tools.remove({})", { from, port });
  assert.deepEqual(
    questions.map((one) => one.split("\n")[1]),
    ['repo: "one"', 'repo: "two"'],
  );
  assert.match(textOf(await rig.run("await tools.remove({ repo: 'x' })", { from, port })), /is set by/);
  assert.equal(questions.length, 2);
});
