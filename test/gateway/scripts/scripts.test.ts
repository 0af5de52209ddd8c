// What a script does, and the tools' schemas as TypeScript that it is shown.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { stripTypeScriptTypes } from "node:module";
import { test } from "node:test";
import type { PoolCall } from "../../../src/gateway/backends/policy/backend-pool-contract.ts";
import {
  errorReply,
  isJsonObject,
  type JsonObject,
  REQUEST_TIMEOUT,
  type Reply,
} from "../../../src/gateway/json-rpc.ts";
import type { AuditRecord } from "../../../src/gateway/middleware/audit.ts";
import { declarationOf } from "../../../src/gateway/scripts/declarations.ts";
import { pluck } from "../../support/pluck.ts";
import { callPort, client } from "../middleware/requests.ts";
import { annotated, READS, returnedBy, scriptRig, text, textOf } from "./script-rig.ts";

const NOTES = [annotated("notes", { read: READS, list: READS, draw: READS, odd: READS })];

function argument(call: PoolCall, name: string): unknown {
  const given = call.params?.["arguments"];
  return isJsonObject(given) ? given[name] : undefined;
}

function notes(call: PoolCall): Reply {
  switch (call.params?.["name"]) {
    case "read":
      return text(`note ${String(argument(call, "id"))}`);
    case "list":
      return { result: { content: [], structuredContent: { ids: [1, 2, 3] } } };
    case "draw": {
      const image = { type: "image", data: "aGVsbG8=", mimeType: "image/png" };
      return { result: { content: [{ type: "text", text: "a picture" }, image] } };
    }
    default:
      return { result: { content: [{ type: "text", text: "the disk is full" }], isError: true } };
  }
}

test("D8 a script calls tools by their published names, and only its return value reaches the client", async (t) => {
  const { run, calls } = scriptRig(t, NOTES, notes);
  const reply = await run(`
    const { ids } = await tools["list"]();
    const texts: string[] = await Promise.all(ids.map((id: number) => tools.read({ id })));
    return texts.filter((one) => one.endsWith("2"));
  `);
  assert.deepEqual(returnedBy(reply), ["note 2"]);
  assert.equal(textOf(reply), '["note 2"]');
  assert.equal(calls.length, 4);
});

test("JavaScript, TypeScript, no result, and a text unchanged", async (t) => {
  const { run } = scriptRig(t, NOTES, notes);
  assert.equal(returnedBy(await run("return 1 + 1")), 2);
  assert.equal(returnedBy(await run("const a: Array<number> = [1]; return a.length as number")), 1);
  const nothing = await run("await tools.list()");
  assert.deepEqual(
    [returnedBy(nothing), textOf(nothing)],
    [null, "The script returned nothing: `return` gives a result."],
  );
  assert.equal(textOf(await run("return null")), "null");
  // As models like to write it (cloudflare/agents#1092).
  assert.equal(returnedBy(await run("```typescript\nconst a: number = 2;\nreturn a\n```\n")), 2);
  assert.equal(returnedBy(await run("return '```'.length")), 3);
  assert.equal(textOf(await run("return await tools.read({ id: 7 }) // the end")), "note 7");
  assert.match(textOf(await run("return }")), /^The script failed: SyntaxError/);
  assert.match(textOf(await run("enum A { B } return A.B")), /^The script failed: .*enum/);
});

test("a tool's refusal is an exception with the server's text, and names the calls already made", async (t) => {
  const { run } = scriptRig(t, NOTES, notes);
  const caught = "try { await tools.odd() } catch (error) { return error.message }";
  assert.equal(returnedBy(await run(caught)), "the disk is full");
  const thrown = textOf(
    await run("await tools.read({ id: 1 });\nawait tools.odd(); await tools.read({ id: 2 })"),
  );
  assert.match(
    thrown,
    /^The script failed: Error: the disk is full\n +at <anonymous> \(script\.ts:2:\d+\)\n/,
  );
  assert.match(thrown, /Its calls, none of which is made again: read: 1 done; odd: 1 failed\./);
  assert.match(textOf(await run("throw new Error('mine')")), /Error: mine[\s\S]*No call was made\./);
  assert.equal(
    returnedBy(await run("return await tools.nobody().catch((e) => e.message)")),
    "Unknown tool: nobody",
  );
});

test("images are handles, which a script returns and cannot read", async (t) => {
  const { run } = scriptRig(t, NOTES, notes);
  const reply = await run("return await tools.draw()");
  assert.deepEqual(returnedBy(reply), [
    "a picture",
    { type: "image", handle: "image-1", mimeType: "image/png", bytes: 6 },
  ]);
  assert.ok("result" in reply);
  assert.deepEqual((reply.result["content"] as unknown[])[1], {
    ...{ type: "image", data: "aGVsbG8=", mimeType: "image/png" },
  });
  assert.equal(
    returnedBy(
      await run("const [, image] = await tools.draw(); return JSON.stringify(image).includes('aGV')"),
    ),
    false,
  );
});

test("the log is separate, and keeps its beginning and its end", async (t) => {
  const { run } = scriptRig(t, NOTES, notes);
  const short = await run("console.log('two', { a: 1 }); return 5");
  assert.deepEqual([returnedBy(short), textOf(short)], [5, 'Log:\ntwo {"a":1}\n'.replace(/^/, "5\n")]);
  const long = textOf(await run("for (let i = 0; i < 10000; i++) console.log('line ' + i)"));
  assert.match(long, /line 0\n[\s\S]*\n… \d+ characters are left out here …\n[\s\S]*line 9999\n$/);
  assert.ok(long.length < 17_000);
});

test("E5 the audit never has a script's text, in whatever form it arrives and whatever it is sent to", async (t) => {
  const records: AuditRecord[] = [];
  const audit = {
    config: { path: "/a", maxSizeBytes: 1, keep: 1, includeArguments: true, redact: [] },
    write: (record: AuditRecord) => void records.push(record),
  };
  const script = `await tools.nobody(); return "HUNTER2"`;
  for (const optimized of [false, true]) {
    const { run, call, serve } = scriptRig(t, NOTES, notes, { audit, optimized });
    await run(script);
    await call("run_script", { code: script });
    await call("run_script", { script: [script] });
    await call("runScript", { script });
    await call("call_tool", { name: "run_script", arguments: { script } });
    await call("call_tool", { name: "run_script", script });
    await run("await tools.run_script({ script: 'return ' + '\"HUNTER' + '2\"' }).catch(() => {}); return 1");
    serve(NOTES, { scripts: null });
    await call("run_script", { script });
  }
  assert.equal(records.filter(({ target }) => target !== "tool:nobody").length, 18);
  assert.doesNotMatch(JSON.stringify(records), /HUNTER2|tools\.nobody/);
  for (const { target, arguments: given } of records)
    if (target !== "tool:nobody") assert.match(JSON.stringify(given), /\d+ characters, SHA-256 [0-9a-f]{64}/);
});

test("the client learns which call runs, and the audit has the script's id with each call", async (t) => {
  const records: AuditRecord[] = [];
  const audit = {
    config: { path: "/a", maxSizeBytes: 1, keep: 1, includeArguments: true, redact: ["id"] },
    write: (record: AuditRecord) => void records.push(record),
  };
  const { run } = scriptRig(t, NOTES, notes, { audit });
  const notices: unknown[] = [];
  const port = {
    ...callPort(client()),
    notify: (method: string, params?: JsonObject) => void notices.push([method, params]),
  };
  await run("await tools.read({ id: 1 }); await tools.odd().catch(() => {})", {
    port,
    params: { _meta: { progressToken: "p" } },
  });
  assert.deepEqual(notices, [
    ["notifications/progress", { progressToken: "p", progress: 1, message: "call 1: read" }],
    ["notifications/progress", { progressToken: "p", progress: 2, message: "call 2: odd" }],
  ]);
  const [script, ...others] = new Set(records.map((record) => record.script));
  assert.ok(script !== undefined && others.length === 0);
  // What is redacted in a call's record stands in the script's text, too.
  const [read, , run_script] = records.map((record) => JSON.stringify(record.arguments));
  assert.equal(read, '{"id":"[redacted]"}');
  assert.match(run_script ?? "", /^\{"script":"\d+ characters, SHA-256 [0-9a-f]{64}"\}$/);
  assert.deepEqual(pluck(records, "target", "outcome", "backend"), [
    ["tool:read", "ok", "notes"],
    ["tool:odd", "tool_error", "notes"],
    ["tool:run_script", "ok", null],
  ]);
});

test("calls run side by side within the principal's limit, wait beyond it, and the script's own does not count", async (t) => {
  let [open, most] = [0, 0];
  const slow = async (): Promise<Reply> => {
    open += 1;
    most = Math.max(most, open);
    await new Promise((resolve) => setTimeout(resolve, 5));
    open -= 1;
    return text("done");
  };
  const { run, calls } = scriptRig(t, NOTES, slow, { callsInFlight: 3 });
  const all = "return (await Promise.all(Array.from({ length: 20 }, () => tools.read({})))).length";
  assert.equal(returnedBy(await run(all)), 20);
  assert.deepEqual([calls.length, most], [20, 3]);
  const { run: alone } = scriptRig(t, NOTES, notes, { callsInFlight: 1 });
  assert.equal(returnedBy(await alone("return await tools.read({ id: 1 })")), "note 1");
});

test("a script that takes too long, or is cancelled, ends with its calls, and names them", async (t) => {
  const reasons: unknown[] = [];
  let begun = (): void => {};
  const never = ({ signal }: PoolCall): Promise<Reply> =>
    new Promise((resolve) => {
      begun();
      signal.addEventListener("abort", () => {
        reasons.push(signal.reason);
        resolve(errorReply(-32000, "cut"));
      });
    });
  const { run } = scriptRig(t, NOTES, never, { timeoutMs: 2_000 });
  assert.match(
    textOf(await run("await tools.read()")),
    /^The script was ended: it ran for 2 s \(\[scripts\]\.timeout\)\.\nIts calls[\s\S]*read: 1 cut off, which may have taken effect\.$/,
  );
  const abort = new AbortController();
  begun = () => void setImmediate(() => abort.abort(new Error("by the client")));
  const cancelled = run("await tools.read()", { signal: abort.signal });
  assert.match(textOf(await cancelled), /the call of run_script was cancelled/);
  assert.equal(reasons.length, 2);
});

test("a call that timed out may have taken effect, and is reported as such", async (t) => {
  const { run } = scriptRig(t, NOTES, async () => errorReply(REQUEST_TIMEOUT, "no answer within 60 s"));
  assert.match(textOf(await run("await tools.read()")), /read: 1 cut off, which may have taken effect/);
});

test("a call that the script did not wait for is still its call", async (t) => {
  const { run, calls } = scriptRig(t, NOTES, notes);
  assert.equal(returnedBy(await run("tools.read({ id: 1 }); return 1")), 1);
  assert.equal(calls.length, 1);
});

test("without [scripts] none of its code is loaded", () => {
  const file = (name: string): string =>
    JSON.stringify(new URL(`../../../src/gateway/serving/${name}.ts`, import.meta.url).href);
  const probe = `
    import { registerHooks } from "node:module";
    const resolved = [];
    registerHooks({ resolve(...asked) { const found = asked[2](asked[0], asked[1]); resolved.push(found.url); return found; } });
    await import(${file("gateway")});
    const { scriptsFor } = await import(${file("gateway-rules")});
    const ofScripts = () => resolved.filter((name) => /quickjs|gateway.scripts/.test(name)).length;
    const profiles = [];
    const off = [await scriptsFor({ scripts: { enabled: false }, profiles }), ofScripts()];
    await scriptsFor({ scripts: { enabled: false }, profiles: [{ scripts: true }] });
    console.log(JSON.stringify([off, ofScripts() > 5, resolved.some((name) => /quickjs/.test(name))]));`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", probe], {
    encoding: "utf8",
  });
  // The engine's code is the thread's alone.
  assert.equal(stdout, "[[null,0],true,false]\n", stderr);
});

const STRING = { type: "string" };

/** By a schema: its type. */
const TYPES: readonly (readonly [title: string, schema: JsonObject, type: string])[] = [
  ["no members", {}, "Record<string, unknown>"],
  [
    "members, needed and not, with their descriptions on one line",
    {
      properties: { a: { ...STRING, description: "one\n  two */ three" }, "b-c": { type: "integer" } },
      required: ["a"],
    },
    '{ /** one two * / three */ a: string; "b-c"?: number }',
  ],
  ["a choice", { properties: { a: { enum: ["x", 1, null] } } }, '{ a?: "x" | 1 | null }'],
  ["null among types", { properties: { a: { type: ["string", "null"] } } }, "{ a?: string | null }"],
  ["a list", { properties: { a: { type: "array", items: STRING } } }, "{ a?: Array<string> }"],
  // As pydantic writes models: cloudflare/agents#2181, openai/codex#31901.
  [
    "a definition, with what stands beside it",
    {
      $ref: "#/$defs/In~1put",
      $defs: { "In/put": { type: "object", properties: { query: STRING } } },
      properties: { label: STRING },
      required: ["label"],
    },
    "{ query?: string } & { label: string }",
  ],
  [
    "a list of definitions that may be null",
    {
      properties: { a: { type: "array", items: { anyOf: [{ $ref: "#/definitions/b" }, { type: "null" }] } } },
      definitions: { b: STRING },
    },
    "{ a?: Array<string | null> }",
  ],
  [
    "all of several",
    { properties: { a: { allOf: [{ anyOf: [STRING, { type: "null" }] }, { minLength: 1 }] } } },
    "{ a?: string | null }",
  ],
  ["a definition that is not there", { properties: { a: { $ref: "#/$defs/none" } } }, "{ a?: unknown }"],
  ["one from elsewhere", { properties: { a: { $ref: "https://example.com/a" } } }, "{ a?: unknown }"],
  ["one of a prototype", { properties: { a: { $ref: "#/constructor" } } }, "{ a?: unknown }"],
];

test("a schema is printed as a type", () => {
  for (const [title, inputSchema, type] of TYPES) {
    const args = "required" in inputSchema ? "args" : "args?";
    const expected = `tools["t"](${args}: ${type}): Promise<unknown>`;
    assert.equal(declarationOf({ name: "t", inputSchema }), expected, title);
    // TypeScript takes it.
    stripTypeScriptTypes(`type T = ${type};`);
  }
  const outputSchema = { type: "object", properties: { n: { type: "number" } }, required: ["n"] };
  assert.equal(
    declarationOf({ name: 'a"b', outputSchema }),
    'tools["a\\"b"](args?: Record<string, unknown>): Promise<{ n: number }>',
  );
});

test("a schema that refers to itself, or has very many parts, is printed within bounds", () => {
  const members = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`m${at}`, { $ref: "#" }]));
  const begun = performance.now();
  const declaration = declarationOf({ name: "t", inputSchema: { type: "object", properties: members } });
  assert.ok(performance.now() - begun < 1_000);
  assert.ok(declaration.length < 100_000, `${declaration.length}`);
  const many = { type: Array.from({ length: 2_000 }, () => "object"), properties: { a: { $ref: "#" } } };
  assert.ok(declarationOf({ name: "t", inputSchema: many, outputSchema: many }).length < 100_000);
  assert.ok(performance.now() - begun < 1_000);
  const large = { type: "object", properties: { a: { description: "x".repeat(70_000) } } };
  assert.equal(
    declarationOf({ name: "t", inputSchema: large }),
    'tools["t"](args?: unknown): Promise<unknown>',
  );
});
