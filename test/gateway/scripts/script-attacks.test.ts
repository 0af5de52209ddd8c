// What a script tries against its sandbox and against the daemon. Each line is a script and what became of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { errorReply, type Reply } from "../../../src/gateway/json-rpc.ts";
import { ScriptDeadline } from "../../../src/gateway/scripts/script-deadline.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { annotated, READS, returnedBy, scriptRig, text, textOf } from "./script-rig.ts";

const TOOLS = [annotated("box", { echo: READS, secret: READS })];

const echo = async (): Promise<Reply> => text("an echo");

/** Scripts that return, and what. */
const HARMLESS: readonly (readonly [title: string, script: string, value: unknown])[] = [
  [
    "no process",
    "return typeof process + typeof require + typeof module + typeof fetch",
    "undefined".repeat(4),
  ],
  ["no timers", "return typeof setTimeout + typeof setInterval + typeof Atomics", "undefined".repeat(3)],
  [
    "a constructor of functions leads to the sandbox's own global object",
    "return tools.echo.constructor('return this')() === globalThis && typeof globalThis.process",
    "undefined",
  ],
  [
    "an exception of the border has the sandbox's own prototype",
    "try { await tools.nobody() } catch (e) { return [e instanceof Error, e.constructor.constructor('return typeof process')()] }",
    [true, "undefined"],
  ],
  ["no module", "return await import('fs').then(() => 'loaded', () => 'none')", "none"],
  [
    "tools tell no names",
    "return [Object.keys(tools), Reflect.ownKeys(tools), 'secret' in tools, JSON.stringify(tools)]",
    [[], [], false, "{}"],
  ],
  [
    "any name is a function, known or not",
    "return typeof tools.secret === typeof tools.nothing_of_the_kind",
    true,
  ],
  [
    "tools cannot be replaced",
    "try { tools.echo = () => 1 } catch (e) { return e.message }",
    "tools cannot be changed",
  ],
  ["tools can be awaited by mistake", "return typeof (await tools)", "object"],
  [
    "no script within a script",
    "return await tools.run_script({ script: 'return 1' }).catch((e) => e.message)",
    "Unknown tool: run_script",
  ],
  [
    "no search within a script",
    "return await tools.find_tool({ query: 'all' }).catch((e) => e.message)",
    "Unknown tool: find_tool",
  ],
  [
    "no call_tool within a script",
    "return await tools.call_tool({ name: 'echo' }).catch((e) => e.message)",
    "Unknown tool: call_tool",
  ],
  [
    "arguments with getters are read in the sandbox",
    "return await tools.echo({ get a() { return typeof process } })",
    "an echo",
  ],
  [
    "a getter that throws is the script's own exception",
    "return await tools.echo({ get a() { throw new Error('mine') } }).catch((e) => e.message)",
    "mine",
  ],
  [
    "arguments are objects",
    "return await tools.echo([1]).catch((e) => e.message)",
    "the arguments of a tool are an object",
  ],
  [
    "arguments that name a prototype are values",
    `return await tools.echo(JSON.parse('{"__proto__": {"admin": true}}'))`,
    "an echo",
  ],
  [
    "a toJSON that gives text",
    `return await tools.echo({ toJSON: () => 1 }).catch((e) => e.message)`,
    "the arguments of a tool are an object",
  ],
  [
    "deep arguments",
    "let a = {}; for (let i = 0; i < 3000; i++) a = { a }; return await tools.echo(a).catch(() => 'refused')",
    "refused",
  ],
  [
    "an exception that cannot be shown",
    "return await (async () => { throw { toString() { throw 1 } } })().catch(() => 1)",
    1,
  ],
  [
    "a deep recursion is an exception",
    "const f = () => f() + 1; try { f() } catch (e) { return e.name }",
    "RangeError",
  ],
  // What public reports say of other sandboxes and gateways.
  [
    "it goes on after deep recursions (fastschema/qjs#32)",
    "const f = () => f() + 1; for (let at = 0; at < 50; at += 1) { try { f() } catch {} } return 2 + 2",
    4,
  ],
  [
    "many objects after an await (quickjs-emscripten#269)",
    "await tools.echo(); const all = []; for (let at = 0; at < 200_000; at += 1) all.push({ at }); return all.length",
    200_000,
  ],
  [
    "calls in a chain (sebastianwessel/quickjs#90)",
    "return await tools.echo().then(() => tools.echo()).then(() => tools.echo()).then((v) => v.length)",
    7,
  ],
  [
    "a failure that is not awaited ends nothing (sebastianwessel/quickjs#68)",
    "tools.nobody(); Promise.reject(1); await tools.echo(); return 1",
    1,
  ],
  [
    "a failure is caught, and the script goes on (fastmcp#4702)",
    "try { await tools.nobody() } catch {} return 2",
    2,
  ],
  [
    "a call within the arguments of another",
    "let inner; await tools.echo({ get a() { inner = tools.echo(); return 1 } }); return await inner",
    "an echo",
  ],
  [
    "a thenable of the script's own is asked in the sandbox",
    "return await tools.echo({ a: { then: (f) => f(typeof process) } }) + await { then: (f) => f(typeof process) }",
    "an echoundefined",
  ],
  [
    "no way out by constructors of generators and of asynchronous functions",
    `const makers = [function () {}, async () => {}, function* () {}, async function* () {}].map((f) => f.constructor);
     return makers.map((make) => { try { return typeof make("return globalThis.process")() } catch (e) { return e.name } })`,
    ["undefined", "object", "object", "object"],
  ],
  [
    "no frame of the host in a stack",
    "try { await tools.nobody() } catch (e) { return /node:|file:|worker|\\.ts:\\d+.*\\/work/.test(e.stack) }",
    false,
  ],
  [
    "a then that takes the border's own functions ends its script, once",
    "Promise.prototype.then = function (give) { give('early'); give('late'); return this }; for (;;) await tools.echo()",
    "early",
  ],
  [
    "calls made while another one gets its exception count with their arguments: 16 of 20 fit",
    `let inner = false, refused = 0;
     const large = { a: "x".repeat(1e6) };
     Error.prepareStackTrace = () => { if (inner) { inner = false; tools.echo(large).catch(() => { refused += 1; }); } return ""; };
     const all = [];
     for (let at = 0; at < 20; at += 1) { inner = true; all.push(tools.echo({})); }
     await Promise.all(all); return refused`,
    4,
  ],
  [
    "a Promise, an Array and a Map that the script has bent bend nothing outside",
    `const echo = tools.echo; Promise.prototype.catch = Array.prototype[Symbol.iterator] = Map.prototype.get = () => { throw 1 };
     Object.defineProperty(Object.prototype, "0", { set() { throw 2 }, configurable: true }); return await echo({})`,
    "an echo",
  ],
];

test("the environment of a script in its sandbox", async (t) => {
  const { run } = scriptRig(t, TOOLS, echo);
  for (const [title, script, value] of HARMLESS)
    assert.deepEqual(returnedBy(await run(script)), value, title);
});

/** Scripts that are ended, and what the client is told. */
const ENDED: readonly (readonly [title: string, script: string, told: RegExp])[] = [
  ["memory", "const all = []; for (;;) all.push(new Array(1000).fill(1))", /out of memory/],
  [
    "memory, caught",
    "const all = []; for (;;) { try { for (;;) all.push('x'.repeat(1e6) + all.length) } catch {} }",
    /memory|ran for/,
  ],
  [
    "memory of promises, caught (quickjs-ng#1613)",
    "const all = []; for (;;) { try { for (;;) all.push(new Promise(() => {}), async () => all) } catch {} }",
    /memory|ran for/,
  ],
  ["a large buffer", "new Uint8Array(2 ** 30)", /^The script failed/],
  ["a huge result", "return 'x'.repeat(3e6)", /return less/],
  ["a promise that nothing settles", "await new Promise(() => {})", /nothing can settle/],
  ["a return value without JSON", "return () => 1", /must have a form in JSON/],
  ["a cycle", "const a = {}; a.a = a; return a", /^The script failed: TypeError/],
  ["out of its function", "}); throw new Error('outside'); (async () => {", /outside/],
  [
    "a broken Promise",
    "Promise.prototype.then = () => {}; await tools.echo()",
    /^The script (failed|was ended)/,
  ],
  [
    "a broken JSON",
    "JSON.parse = JSON.stringify = () => { throw 1 }; Object.prototype.toString = null; throw 2",
    /thrown: 2/,
  ],
  ["large arguments", "await tools.echo({ a: 'x'.repeat(2e6) })", /too large/],
  [
    "large arguments of many calls",
    "await Promise.all(Array.from({ length: 30 }, () => tools.echo({ a: 'x'.repeat(9e5) })))",
    /all open calls, are too large|out of memory/,
  ],
  ["many values", "await tools.echo({ a: Array(200_000).fill(0) })", /more than 100000 values/],
  ["many values in the result", "return Array(200_000).fill(0)", /more than 100000 values: return less/],
  ["a long name", "await tools['x'.repeat(5000)]()", /no tool has such a long name/],
  [
    "too many calls at once",
    "await Promise.all(Array.from({ length: 2000 }, () => tools.echo()))",
    /at most 1000 calls open/,
  ],
];

test("each way a script is ended, and the client's message", async (t) => {
  const { run } = scriptRig(t, TOOLS, echo, { timeoutMs: 15_000 });
  // What a script catches, it may do again until its time is over.
  const { run: briefly } = scriptRig(t, TOOLS, echo, { timeoutMs: 2_000 });
  for (const [title, script, told] of ENDED) {
    const reply = await (/, caught/.test(title) ? briefly : run)(script);
    assert.ok("result" in reply && reply.result["isError"] === true, title);
    assert.match(textOf(reply), told, title);
  }
});

test("an endless loop, even within a built-in and among promises, is ended, and delays no other script", async (t) => {
  const { run } = scriptRig(t, TOOLS, echo, { timeoutMs: 700 });
  const loops = [
    "for (;;);",
    "/(a+)+$/.test('a'.repeat(60) + 'b')",
    "const again = () => Promise.resolve().then(again); await again()",
    "for (;;) console.log('x'.repeat(1000))",
  ];
  let ticks = 0;
  const ticking = setInterval(() => {
    ticks += 1;
  }, 10);
  t.after(() => clearInterval(ticking));
  const replies = await Promise.all(loops.map((script) => run(script)));
  for (const reply of replies) assert.match(textOf(reply), /it ran for 0\.7 s/);
  assert.ok(ticks > 20, `${ticks} ticks`);
});

test("a tool's huge result is refused, and a server's strange one is a value or an exception", async (t) => {
  const replies = [
    text("x".repeat(9 * 1024 * 1024)),
    { result: { content: "no list" } },
    { result: { content: [null, 1, { type: "text", text: 5 }] } },
    { result: { structuredContent: JSON.parse('{"__proto__": {"x": 1}, "constructor": 5}') } },
    errorReply(-32000, "a server's own words"),
  ] as const;
  let at = 0;
  const { run } = scriptRig(t, TOOLS, async () => replies[at++] ?? text(""));
  const script = "return await tools.echo().then((v) => [typeof v, JSON.stringify(v)], (e) => e.message)";
  const values = [];
  for (const _ of replies) values.push(returnedBy(await run(script)));
  assert.deepEqual(values, [
    "the tool's result is too large for a script",
    ["string", '""'],
    ["object", '[null,null,{"type":"text","text":5}]'],
    ["object", '{"__proto__":{"x":1},"constructor":5}'],
    "a server's own words",
  ]);
});

test("a script that corrupts its thread's parser, or fills its memory, harms no other script", async (t) => {
  const { run } = scriptRig(t, TOOLS, async () => text("x".repeat(200_000)));
  const deep = await run(`return ${"(".repeat(120_000)}1${")".repeat(120_000)}`);
  assert.ok("result" in deep && deep.result["isError"] === true);
  for (let round = 0; round < 3; round += 1) assert.equal(returnedBy(await run("return 1")), 1);
  const long = "let n = 0; for (let i = 0; i < 500; i++) n += (await tools.echo()).length; return n";
  assert.equal(returnedBy(await run(long)), 100_000_000);
});

test("an error is reported with its line, and a promise is not a value", async (t) => {
  const { run } = scriptRig(t, TOOLS, async () => errorReply(-32000, "no such file"));
  assert.match(textOf(await run("const a = 1;\nconst b = = 3;")), /\(line 2\)/);
  assert.match(textOf(await run("const a = 1;\n\nconst a = 3;")), /\(line 3\)/);
  const unended = textOf(await run("return 1 +"));
  assert.match(unended, /^The script failed: SyntaxError: .*\(line 1\)/);
  assert.match(textOf(await run("\n\nawait tools.echo()")), /no such file[\s\S]*script\.ts:3/);
  assert.match(textOf(await run("await tools.echo({ id: tools.echo() })")), /write await before it/);
  assert.match(textOf(await run("return [tools.echo()]")), /write await before it/);
});

test("an image in which a server hides many values or much text is not returned", async (t) => {
  const image = { type: "image", data: "aGVsbG8=", mimeType: "image/png" };
  for (const hidden of [Array(150_000).fill(0), "x".repeat(5_000_000)]) {
    const { run } = scriptRig(t, TOOLS, async () => ({ result: { content: [{ ...image, hidden }] } }));
    const reply = await run("return (await tools.echo())[0].handle");
    assert.equal(returnedBy(reply), "image-1");
    assert.doesNotMatch(textOf(reply), /aGVsbG8/);
  }
});

test("calls that a script did not wait for, and whose turn never came, are named", async (t) => {
  const slow = () => pause(50, text("late"));
  const { run, calls } = scriptRig(t, TOOLS, slow, { callsInFlight: 2 });
  const reply = await run("for (let i = 0; i < 20; i++) tools.echo({ i }); return 'early'");
  assert.equal(returnedBy(reply), "early");
  assert.match(textOf(reply), new RegExp(`Not made: ${20 - calls.length} calls`));
  // Without a limit of the principal's, too, where 32 run at once.
  const { run: freely, calls: begun } = scriptRig(t, TOOLS, slow);
  const many = textOf(await freely("for (let i = 0; i < 100; i++) tools.echo({ i }); return 'early'"));
  assert.match(many, new RegExp(`Not made: ${100 - begun.length} calls`));
});

test("a script that has returned makes no further call", async (t) => {
  const { run, calls } = scriptRig(t, TOOLS, echo);
  const script = "(async () => { for (;;) await tools.echo() })(); return 1";
  assert.equal(returnedBy(await run(script)), 1);
  assert.equal(calls.length, 1);
});

test("a script finds nothing of the previous one, whose thread it may use", async (t) => {
  const image = { type: "image", data: "aGVsbG8=", mimeType: "image/png" };
  const { run } = scriptRig(t, TOOLS, async () => ({ result: { content: [image] } }));
  const leave =
    "globalThis.left = 1; Array.prototype.map = () => 'mine'; tools.echo.constructor.prototype.call = 2;";
  assert.equal(returnedBy(await run(`${leave} console.log('a secret'); await tools.echo(); return 1`)), 1);
  assert.equal(
    returnedBy(await run(`${leave} throw 1`).then(() => run("return typeof left + [1].map((x) => x)"))),
    "undefined1",
  );
  const forged = await run("return { handle: 'image-1' }");
  assert.doesNotMatch(textOf(forged), /aGVsbG8|a secret/);
});

test("code that keeps running after the end delays neither the answer nor the next script", async (t) => {
  const { run } = scriptRig(t, TOOLS, echo);
  const endless = "(async () => { await null; await null; await null; for (;;); })(); return 1";
  const jobs = "const again = () => Promise.resolve().then(again); again(); return 2";
  for (const [script, value] of [
    [endless, 1],
    [jobs, 2],
    ["return 3", 3],
  ] as const) {
    const begun = performance.now();
    assert.equal(returnedBy(await run(script)), value);
    assert.ok(performance.now() - begun < 5_000);
  }
});

test("the log of a script that is ended in the middle of a loop is kept: its beginning and its end", async (t) => {
  const { run } = scriptRig(t, TOOLS, echo, { timeoutMs: 3_000 });
  const reply = textOf(
    await run(
      "for (let at = 0; ; at += 1) { console.log('line ' + at, 'x'.repeat(200)); if (at === 99) for (;;); }",
    ),
  );
  assert.match(
    reply,
    /it ran for 3 s[\s\S]*Log:\nline 0 x[\s\S]*characters are left out here[\s\S]*line 99 x{200}\n$/,
  );
  assert.ok(reply.length < 18_000);
});

test("a fifth script of one principal waits for its turn, and may be cancelled there", async (t) => {
  let most = 0;
  let open: (() => void)[] = [];
  // Four calls wait for each other, and then for a fifth that must not come.
  const { run } = scriptRig(t, TOOLS, async () => {
    const answered = new Promise<void>((resolve) => void open.push(resolve));
    most = Math.max(most, open.length);
    if (open.length === 4)
      void pause(50).then(() => {
        for (const answer of open) answer();
        open = [];
      });
    await answered;
    return text("");
  });
  const cancel = new AbortController();
  const script = "await tools.echo(); return 1";
  const replies = Array.from({ length: 8 }, () => run(script));
  const cancelled = run(script, { signal: cancel.signal });
  cancel.abort();
  assert.match(textOf(await cancelled), /the call of run_script was cancelled[\s\S]*No call was made/);
  assert.deepEqual((await Promise.all(replies)).map(returnedBy), Array(8).fill(1));
  assert.equal(most, 4);
  const many = await Promise.all(Array.from({ length: 40 }, () => run("return 1")));
  assert.equal(many.filter((reply) => /scripts wait already/.test(textOf(reply))).length, 4);
});

test("a script's time pauses while a person is asked, for an hour of all questions at most", async () => {
  const clock = createManualClock();
  let late = 0;
  using deadline = new ScriptDeadline(clock, 1_000, () => {
    late += 1;
  });
  for (const minutes of [30, 29]) {
    const answered = Promise.withResolvers<void>();
    const asking = deadline.without(() => answered.promise);
    await clock.advance(minutes * 60_000);
    answered.resolve();
    await asking;
    await clock.advance(400);
    assert.equal(late, 0, `${minutes}`);
  }
  void deadline.without(() => new Promise<void>(() => {}));
  await clock.advance(59_000);
  assert.equal(late, 0);
  await clock.advance(1_000);
  assert.equal(late, 1);
});
