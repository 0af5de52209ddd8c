import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_LIMITS } from "../../../src/config/limits.ts";
import { type ClientHandle, machinePrincipal } from "../../../src/gateway/client-handle.ts";
import {
  isError,
  isJsonObject,
  type JsonObject,
  LIMIT_REACHED,
  type Reply,
} from "../../../src/gateway/json-rpc.ts";
import { PrincipalLimiter } from "../../../src/gateway/limits/principal-limits.ts";
import { jsonSize } from "../../../src/gateway/limits/result-size.ts";
import { type KeepBounds, StoredResults } from "../../../src/gateway/limits/stored-results.ts";
import { MODERN_VERSION } from "../../../src/gateway/protocol.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { source } from "../catalog/sources.ts";
import {
  ask,
  callPort,
  client,
  policy,
  recordingServices,
  servingSet,
  user,
} from "../middleware/requests.ts";

const LIMIT_BYTES = 10_000;

function limited(result: JsonObject, bounds?: KeepBounds) {
  const clock = createManualClock();
  const limiter = new PrincipalLimiter({ ...DEFAULT_LIMITS, resultBytes: LIMIT_BYTES }, clock);
  const storedResults = new StoredResults(clock, bounds);
  const services = { ...recordingServices(() => ({ result })), storedResults };
  const served = servingSet([source("a", { tools: ["x"], resources: ["file:///big"] })], services, {
    limits: { limiter, stored: storedResults },
    authorization: {
      defaultEffect: "deny",
      policies: [policy("allow", { resources: ["tool:x", "resource:file:///big"] })],
    },
  });
  const call = (from: ClientHandle = client(user("ann"))): Promise<Reply> =>
    ask(served, "tools/call", { name: "x" }, from);
  const read = (uri: string, from: ClientHandle): Promise<Reply> =>
    ask(served, "resources/read", { uri }, from);
  /** Of a task that the tool began. */
  const get = async () => {
    const from: ClientHandle = { ...client(user("ann")), protocolVersion: MODERN_VERSION };
    const task = { backend: "a", tool: "x", originalTool: "x", id: "t", taskLocation: "h", mark: null };
    const declared = { extensions: { "io.modelcontextprotocol/tasks": {} } };
    const handle = { ...callPort(from), declared };
    const params = { taskId: services.taskIds.seal(task, from.principal) };
    const signal = new AbortController().signal;
    return {
      from,
      reply: await served.handle({ method: "tasks/get", params, handle, signal, served, task }),
    };
  };
  /** As older versions ask for the result of a task that the tool began. */
  const resultOfTask = (from: ClientHandle): Promise<Reply> => {
    services.tasks.remember(from, "t", { backend: "a", tool: "x", originalTool: "x" });
    return ask(served, "tasks/result", { taskId: "t" }, from);
  };
  return { clock, kept: storedResults, limiter, call, read, get, resultOfTask };
}

function contentOf(reply: Reply): readonly JsonObject[] {
  assert.ok(!isError(reply), JSON.stringify(reply));
  const { content } = reply.result;
  assert.ok(Array.isArray(content));
  return content.filter(isJsonObject);
}

const linkOf = (reply: Reply): string =>
  String(contentOf(reply).find(({ type }) => type === "resource_link")?.["uri"]);

function pieceOf(reply: Reply): JsonObject {
  assert.ok(!isError(reply), JSON.stringify(reply));
  const { contents } = reply.result;
  const piece: unknown = Array.isArray(contents) ? contents[0] : null;
  assert.ok(isJsonObject(piece));
  return piece;
}

async function readAll(uri: string, read: (uri: string) => Promise<Reply>): Promise<readonly JsonObject[]> {
  const pieces: JsonObject[] = [];
  for (let next: unknown = uri; typeof next === "string"; ) {
    const piece = pieceOf(await read(next));
    pieces.push(piece);
    next = isJsonObject(piece["_meta"]) ? piece["_meta"]["mountaineer/next"] : undefined;
  }
  return pieces;
}

const text = (value: string): JsonObject => ({ type: "text", text: value });

test("D5 D9 a client that ends its connection at a large message gets a link instead, and reads all in small pieces", async () => {
  const whole = "\u0001€".repeat(5_000);
  const { call, read } = limited({ content: [text(whole)] });
  const from: ClientHandle = { ...client(user("ann")), messageLimitBytes: 9_000 };
  const reply = await call(from);
  assert.match(JSON.stringify(contentOf(reply)), /more than the [\d.]+ MiB of a message to this client/);
  const pieces = await readAll(linkOf(reply), (uri) => read(uri, from));
  assert.equal(pieces.map((piece) => piece["text"]).join(""), whole);
  for (const piece of pieces) assert.ok(Buffer.byteLength(JSON.stringify(piece)) < 9_000);
});

test("E4 a result over the size is replaced by a note and a link, and its pieces are the whole of it", async () => {
  const whole = "a🙂".repeat(8_000);
  const { call, read, limiter } = limited({ content: [text("in short"), text(whole)], isError: false });
  const from = client(user("ann"));
  const reply = await call(from);
  const [short, note, link] = contentOf(reply);
  assert.deepEqual(short, text("in short"));
  assert.match(
    String(note?.["text"]),
    /tools\/call x has 0\.04?.* MiB.*\[limits\]\.result_mb.* only for this session; .*in 5 pieces: mountaineer:/,
  );
  assert.deepEqual([link?.["type"], link?.["size"]], ["resource_link", Buffer.byteLength(whole)]);
  const pieces = await readAll(linkOf(reply), (uri) => read(uri, from));
  assert.equal(pieces.length, 5);
  assert.equal(pieces.map((piece) => piece["text"]).join(""), whole);
  assert.ok(
    pieces.every((piece) => String(piece["text"]).isWellFormed()),
    "no character is cut",
  );
  assert.equal(pieceOf(await read(`${linkOf(reply)}/2`, from))["text"], pieces[1]?.["text"]);
  for (const wrong of ["/0", "/6", "/1/1", "/x", "/01"])
    assert.ok(isError(await read(`${linkOf(reply)}${wrong}`, from)), wrong);
  limiter.configure({ ...DEFAULT_LIMITS, resultBytes: LIMIT_BYTES / 10 });
  assert.deepEqual(pieceOf(await read(linkOf(reply), from)), pieces[0], "what is read is not kept anew");
});

test("E4 a result over the size of an image or an embedded file is read in pieces that are base64 each, with its type", async () => {
  const bytes = Buffer.alloc(20_000, "image");
  const file = { mimeType: "image/png", blob: bytes.toString("base64") };
  const image = { type: "image", data: file.blob, mimeType: file.mimeType };
  for (const block of [image, { type: "resource", resource: { uri: "file:///a.png", ...file } }]) {
    const { call, read } = limited({ content: [block] });
    const from = client(user("ann"));
    const pieces = await readAll(linkOf(await call(from)), (uri) => read(uri, from));
    assert.ok(pieces.length > 1);
    assert.deepEqual(Buffer.concat(pieces.map(({ blob }) => Buffer.from(String(blob), "base64"))), bytes);
    assert.ok(pieces.every(({ mimeType }) => mimeType === "image/png"));
  }
});

test("E4 a result over the size stays within the size whatever is next to the content, and however its type is named", async () => {
  const huge = "m".repeat(50_000);
  const beside = limited({ content: [text("x".repeat(20_000))], _meta: { huge } });
  assert.ok(isError(await beside.call()), "its rest is too large by itself");
  const data = Buffer.alloc(20_000, "image").toString("base64");
  const reply = await limited({ content: [{ type: "image", data, mimeType: huge }] }).call();
  assert.ok(!isError(reply));
  assert.ok(jsonSize(reply.result) <= LIMIT_BYTES, String(jsonSize(reply.result)));
});

test("E4 a result over the size in many small texts is stored as one", async () => {
  const lines = Array.from({ length: 3_000 }, (_, at) => `line ${at}`);
  const { call, read } = limited({ content: lines.map(text) });
  const from = client(user("ann"));
  const pieces = await readAll(linkOf(await call(from)), (uri) => read(uri, from));
  assert.equal(pieces.map((piece) => piece["text"]).join(""), lines.join("\n"));
});

test("E4 a result over the size of 60 large parts is stored whole, each in its position, and a refused one leaves nothing", async () => {
  const image = (index: number) => ({
    type: "image",
    mimeType: "image/png",
    data: String(index).padEnd(12_000, "A"),
  });
  const content = Array.from({ length: 60 }, (_, index) => [
    { type: "text", text: `${index}` },
    image(index),
  ]).flat();
  const { call, read, kept } = limited({ content });
  const from = client(user("ann"));
  const out = contentOf(await call(from));
  const order = out.filter(({ type, text }) => type === "text" && /^[0-9]+$/.test(String(text)));
  assert.deepEqual(
    pluck(order, "text"),
    Array.from({ length: 60 }, (_, index) => `${index}`),
  );
  const links = out.flatMap(({ type, uri }) => (type === "resource_link" ? [String(uri)] : []));
  assert.equal(links.length, 60);
  for (const [index, uri] of links.entries())
    assert.match(String(pieceOf(await read(uri, from))["blob"]), new RegExp(`^${index}A`));
  assert.equal(kept.size, 60);

  const tight = {
    sessionResults: 32,
    sessionBytes: 100_000,
    allResults: 256,
    allBytes: 1_000_000,
    retainedMs: 1_000,
  };
  const refused = limited({ content }, tight);
  assert.ok(isError(await refused.call(from)));
  assert.equal(refused.kept.size, 0);
});

test("E4 a result over the size is only for the session that requested it and its principal, even if others know its address", async () => {
  const { call, read } = limited({ content: [text("x".repeat(20_000))] });
  const from = client(user("ann"), "one");
  const uri = linkOf(await call(from));
  const unknown = await read("mountaineer://results/AAAAAAAAAAAAAAAA", from);
  assert.ok(isError(unknown));
  for (const other of [
    client(user("ann"), "two"),
    client(user("bob"), "one"),
    { ...from, principal: user("bob") },
  ]) {
    const refused = await read(uri, other);
    assert.ok(isError(refused));
    assert.equal(refused.error.message, unknown.error.message);
  }
  assert.ok(!isError(await read(uri, from)));
});

test("E4 a result over the size is not for a principal that the session adopts later, nor stored for one that has ended", async () => {
  const { clock, kept, call, read } = limited({ content: [text("x".repeat(20_000))] });
  let principal = user("ann");
  const from: ClientHandle = Object.defineProperty(client(), "principal", { get: () => principal });
  const uri = linkOf(await call(from));
  principal = user("bob");
  assert.ok(isError(await read(uri, from)));
  principal = user("ann");
  assert.ok(!isError(await read(uri, from)));
  kept.forget(from);
  assert.ok(isError(await call({ ...client(user("ann")), ended: AbortSignal.abort() })));
  assert.deepEqual([kept.size, clock.pendingTimers], [0, 0], "nothing to look after is left");
});

test("E4 a result over the size is gone with its session, and after an hour", async () => {
  const { clock, kept, call, read } = limited({ content: [text("x".repeat(20_000))] });
  const [one, two] = [client(user("ann"), "one"), client(user("ann"), "two")];
  const first = linkOf(await call(one));
  const second = linkOf(await call(two));
  kept.forget(one);
  assert.ok(isError(await read(first, one)));
  await clock.advance(3_599_999);
  assert.ok(!isError(await read(second, two)));
  await clock.advance(1);
  assert.ok(isError(await read(second, two)));
  assert.deepEqual([kept.size, clock.pendingTimers], [0, 0]);
});

test("E4 results over the size expire one by one, each an hour after it was stored", async () => {
  const { clock, kept, call } = limited({ content: [text("x".repeat(20_000))] });
  for (const _round of [1, 2]) {
    await call();
    await clock.advance(1_800_000);
    await call();
    await clock.advance(1_800_000);
    assert.equal(kept.size, 1);
    await clock.advance(1_800_000);
    assert.deepEqual([kept.size, clock.pendingTimers], [0, 0]);
  }
  await call();
  kept[Symbol.dispose]();
  assert.deepEqual([kept.size, clock.pendingTimers], [0, 0]);
});

test("E4 a result over the size with nothing in it that can be cut is refused, and without a limit all pass", async () => {
  const big = "x".repeat(20_000);
  for (const block of [
    big,
    [big],
    { type: "text", other: big },
    { type: "image", data: 7, other: big },
    { type: "resource", resource: big },
    { type: "resource", resource: { text: 7, blob: 7, other: big } },
  ]) {
    const { kept, limiter, call } = limited({ content: [null, block, text("in short")] });
    const refused = await call();
    assert.equal(isError(refused) && refused.error.code, LIMIT_REACHED, JSON.stringify(block).slice(0, 40));
    assert.equal(kept.size, 0);
    limiter.configure({ ...DEFAULT_LIMITS, resultBytes: null });
    assert.equal(contentOf(await call()).at(-1)?.["text"], "in short");
  }
  for (const content of [undefined, big, { text: big }])
    assert.ok(isError(await limited({ content, other: big }).call()));
});

test("E4 D1 a result over the size is stored for a principal that has no session, whichever of its requests asks", async () => {
  const { kept, call, read } = limited({ content: [text("x".repeat(20_000))] });
  const of = (name: string, id: string): ClientHandle => ({
    ...client(user(name), id),
    protocolVersion: MODERN_VERSION,
  });
  const uri = linkOf(await call(of("ann", "1")));
  assert.ok(!isError(await read(uri, of("ann", "2"))));
  assert.ok(isError(await read(uri, of("ben", "3"))));
  kept.forget(of("ann", "1"));
  assert.equal(kept.size, 1);
  kept[Symbol.dispose]();
});

test("E4 a result over the size is stored within bounds: a session's oldest is dropped first, then that of the session with the most", async () => {
  const bounds = {
    sessionResults: 2,
    sessionBytes: 50_000,
    allResults: 3,
    allBytes: 1_000_000,
    retainedMs: 1_000,
  };
  const { kept, call, read } = limited({ content: [text("x".repeat(20_000))] }, bounds);
  const [one, two, three] = ["one", "two", "three"].map((id) => client(user("ann"), id));
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const ones = [linkOf(await call(one)), linkOf(await call(one)), linkOf(await call(one))];
  const readable = async (uris: readonly string[], from: ClientHandle): Promise<boolean[]> =>
    Promise.all(uris.map(async (uri) => !isError(await read(uri, from))));
  assert.deepEqual(await readable(ones, one), [false, true, true]);
  const twos = [linkOf(await call(two))];
  const threes = [linkOf(await call(three))];
  assert.deepEqual(await readable(ones, one), [false, false, true]);
  assert.deepEqual([await readable(twos, two), await readable(threes, three)], [[true], [true]]);
  assert.equal(kept.size, 3);
  const byBytes = limited({ content: [text("x".repeat(20_000))] }, { ...bounds, sessionResults: 3 });
  for (const size of [1, 2, 2]) {
    await byBytes.call(one);
    assert.equal(byBytes.kept.size, size);
  }
  // One that is larger than all that may be kept is refused, and nothing makes room for it.
  const small = { ...bounds, sessionBytes: 10_000 };
  const refusing = limited({ content: [text("x".repeat(20_000))] }, small);
  refusing.kept.keep(one, [{ kind: "text", mimeType: "text/plain", content: "short" }], 100);
  const refused = await refusing.call(one);
  assert.equal(isError(refused) && refused.error.code, LIMIT_REACHED);
  assert.equal(refusing.kept.size, 1);
  // So is one for which there is no room beside what others keep: what is told can be read.
  const crowded = limited({ content: [text("x".repeat(20_000))] }, { ...bounds, allBytes: 10_000 });
  assert.ok(isError(await crowded.call()));
  assert.equal(crowded.kept.size, 0);
});

test("E4 a result over the size that is structured is refused, never cut, with the size, the limit and the key", async () => {
  const { call, kept } = limited({
    content: [text("x".repeat(20_000))],
    structuredContent: { rows: ["x".repeat(20_000)] },
  });
  const reply = await call();
  assert.ok(isError(reply));
  assert.equal(reply.error.code, LIMIT_REACHED);
  assert.match(
    reply.error.message,
    /has 0\.0382 MiB, more than the 0\.0095 MiB.*structured.*\[limits\]\.result_mb/,
  );
  assert.deepEqual(reply.error.data, { limit: "[limits].result_mb", allowed: LIMIT_BYTES });
  assert.equal(kept.size, 0);
});

test("E4 G1 a result over the size goes whole to another machine, whose gateway stores it for the requesting client", async () => {
  const result = { content: [text("x".repeat(20_000))] };
  const { call, kept } = limited(result);
  assert.deepEqual(await call(client(machinePrincipal("laptop"))), { result });
  assert.equal(kept.size, 0);
});

test("E4 a result over the size of a resource is an error that gives the address of its pieces", async () => {
  const whole = "y".repeat(20_000);
  const { read } = limited({ contents: [{ uri: "file:///big", mimeType: "text/csv", text: whole }] });
  const from = client(user("ann"));
  const reply = await read("file:///big", from);
  assert.ok(isError(reply));
  const uri = /pieces: (mountaineer:\S+)\/1 /.exec(reply.error.message)?.[1];
  assert.ok(uri !== undefined, reply.error.message);
  const pieces = await readAll(uri, (each) => read(each, from));
  assert.equal(pieces.map((piece) => piece["text"]).join(""), whole);
  assert.equal(pieces[0]?.["mimeType"], "text/csv");
  const two = limited({
    contents: [
      { uri: "file:///big", text: whole },
      { uri: "file:///b", text: "b" },
    ],
  });
  const refused = await two.read("file:///big", from);
  assert.deepEqual([isError(refused), two.kept.size], [true, 0], "pieces would be of one of them alone");
});

test("E4 a result over the size is sent to a client of an older protocol without the link that it does not know", async () => {
  const { call } = limited({ content: [text("x".repeat(20_000))] });
  const content = contentOf(await call({ ...client(user("ann")), protocolVersion: "2025-03-26" }));
  assert.deepEqual(pluck(content, "type"), ["text"]);
});

test("E4 a result over the size passes as the same object when it is within it, and to `mountaineer call`, which reads no pieces", async () => {
  const result = { content: [text("x".repeat(9_000))] };
  const reply = await limited(result).call();
  assert.ok(!isError(reply));
  assert.equal(reply.result, result);
  const large = { content: [text("x".repeat(20_000))] };
  const whole = await limited(large).call(client({ kind: "owner", name: "owner", roles: [] }, "owner"));
  assert.ok(!isError(whole));
  assert.equal(whole.result, large);
});

test("the size of a result is about that of its JSON, and no nesting is too deep", () => {
  for (const value of [
    { content: [text("x".repeat(100_000))] },
    { content: [text("ü".repeat(100_000))] },
    { ids: Array.from({ length: 1_000 }, () => parseExactly("1234567890".repeat(3))) },
    {
      structuredContent: {
        rows: Array.from({ length: 5_000 }, (_, id) => ({ id, name: `row ${id}`, ok: true })),
      },
    },
  ]) {
    const ratio = jsonSize(value) / Buffer.byteLength(JSON.stringify(value));
    assert.ok(ratio > 0.8 && ratio < 1.3, String(ratio));
  }
  let deep: unknown = "x";
  for (let level = 0; level < 100_000; level++) deep = [deep];
  assert.ok(jsonSize(deep) > 0);
});

test("D1 the size of a result: a tool's answer within its task is treated like its direct answer", async () => {
  const older = limited({ content: [text("x".repeat(30_000))] });
  assert.match(linkOf(await older.resultOfTask(client(user("ann")))), /^mountaineer:/);
  const result = { content: [{ type: "text", text: "x".repeat(30_000) }] };
  const { get, read } = limited({ taskId: "t", status: "completed", result });
  const { reply, from } = await get();
  assert.ok(!isError(reply), JSON.stringify(reply));
  assert.equal(reply.result["status"], "completed");
  const inner: Reply = { result: reply.result["result"] as JsonObject };
  assert.ok(jsonSize(reply.result) < LIMIT_BYTES);
  const pieces = await readAll(linkOf(inner), (uri) => read(uri, from));
  assert.equal(pieces.map(({ text }) => text).join("").length, 30_000);
  const structured = limited({ taskId: "t", status: "completed", result: { structuredContent: result } });
  const refused = (await structured.get()).reply;
  assert.equal(isError(refused) && refused.error.code, LIMIT_REACHED);
});
