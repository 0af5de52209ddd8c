// The matrix: what each client finds with each server behind the gateway. L speaks 2025-11-25, M 2026-07-28; a cell is
// front → back. `null`: that cell has nothing of the kind.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { pluck } from "../../support/pluck.ts";
import { ADDED_TOOL, ASKING_PROMPT, type Json, PAGE, PROMPT, RESOURCE } from "../fixtures/matrix-tools.ts";
import { TASKS } from "../fixtures/task-tools.ts";
import type { GatewayRig } from "../gateway-rig.ts";
import { connectLight } from "../light-client.ts";
import { ask, post } from "../modern-wire.ts";
import type { MatrixClient } from "./matrix-clients.ts";

export type CellName = "L→L" | "L→M" | "M→L" | "M→M";

/** One client in front of one server. */
export interface Scene {
  readonly cell: CellName;
  readonly rig: GatewayRig;
  readonly client: MatrixClient;
  /** How the server is reached. */
  readonly transport: "stdio" | "HTTP";
}

interface Row<Expected> {
  readonly feature: string;
  readonly cells: Readonly<Record<CellName, Expected | null>>;
  play(scene: Scene, expected: Expected): Promise<void>;
}

export type PlayedRow = ReturnType<typeof row>;

const every = <Expected>(expected: Expected): Row<Expected>["cells"] => ({
  "L→L": expected,
  "L→M": expected,
  "M→L": expected,
  "M→M": expected,
});

function row<Expected>({ feature, cells, play }: Row<Expected>) {
  const bound = (name: CellName): ((scene: Scene) => Promise<void>) | null => {
    const expected = cells[name];
    return expected === null ? null : (scene) => play(scene, expected);
  };
  return {
    feature,
    /** Null where that cell has nothing of the kind. */
    cells: { "L→L": bound("L→L"), "L→M": bound("L→M"), "M→L": bound("M→L"), "M→M": bound("M→M") },
  };
}

/** What a tool said, which is JSON. */
function said(result: Json): unknown {
  const [first] = result["content"] as readonly { readonly text: string }[];
  assert.ok(first !== undefined && result["isError"] !== true, JSON.stringify(result));
  return JSON.parse(first.text);
}

const ANN = { action: "accept", content: { name: "Ann" } };
/** One answer: some clients' SDKs add an empty `_meta`. */
function action(answer: unknown): unknown {
  const { action: what, content } = answer as Json;
  return { action: what, content };
}

async function seen(client: MatrixClient): Promise<{ readonly calls: number; readonly cancelled: number }> {
  return said(await client.call("seen")) as { calls: number; cancelled: number };
}

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => "no error",
    (error: unknown) => (typeof error === "object" && error !== null ? Reflect.get(error, "code") : error),
  );
}

export const ROWS: readonly PlayedRow[] = [
  row({
    feature: "list, call, prompts, read",
    cells: every(true),
    async play({ client }) {
      const names = (await client.tools()).map(({ name }) => name);
      for (const name of ["echo", "ask_three", "in_header"]) assert.ok(names.includes(name), name);
      assert.deepEqual(said(await client.call("echo", { text: "hello" })), { text: "hello" });
      assert.match(JSON.stringify(await client.prompt(PROMPT.name)), /Hello!/u);
      assert.match(JSON.stringify(await client.read(RESOURCE.uri)), /the one/u);
    },
  }),
  row({
    feature: "logs from a level on",
    cells: every(true),
    async play({ client }) {
      await client.call("log", { level: "info", data: "too low" }, { logLevel: "error" });
      await client.call("log", { level: "error", data: "one" }, { logLevel: "error" });
      await eventually(() => client.logged.length > 0);
      await client.call("log", { level: "info", data: "two" }, { logLevel: "info" });
      await eventually(() => client.logged.length > 1);
      assert.deepEqual(client.logged, ["one", "two"]);
    },
  }),
  row({
    feature: "no level, no logs",
    cells: { "L→L": null, "L→M": null, "M→L": 0, "M→M": 0 },
    async play({ client }, count) {
      await client.call("log", { level: "error", data: "nobody asked" });
      await client.call("echo", {});
      assert.equal(client.logged.length, count);
    },
  }),
  row({
    feature: "trace context, there and back",
    cells: every({
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      tracestate: "vendor=1,other=2",
      baggage: "user=ann,shop=7",
    }),
    async play({ client }, trace) {
      const result = await client.call("trace", {}, { meta: trace });
      assert.deepEqual(said(result), trace);
      const { traceparent, tracestate, baggage } = result["_meta"] as Json;
      assert.deepEqual({ traceparent, tracestate, baggage }, trace);
    },
  }),
  row({
    feature: "progress",
    cells: every([1, 2, 3]),
    async play({ client }, steps) {
      const heard: number[] = [];
      await client.call("progress", {}, { onProgress: (progress) => heard.push(progress) });
      assert.deepEqual(heard, steps);
    },
  }),
  row({
    feature: "list_changed",
    cells: every(true),
    async play({ client }) {
      const has = async () => (await client.tools()).some(({ name }) => name === ADDED_TOOL.name);
      const before = await has();
      await client.listen(RESOURCE.uri);
      await client.call("change");
      await eventually(() => client.listsChanged.length > 0);
      assert.equal(await has(), !before);
    },
  }),
  row({
    feature: "a resource's update",
    cells: every([RESOURCE.uri]),
    async play({ client }, uris) {
      await client.listen(RESOURCE.uri);
      await client.call("touch");
      await eventually(() => client.updated.length > 0);
      assert.deepEqual(client.updated, uris);
    },
  }),
  row({
    feature: "an argument that goes into a header: unsafe values too",
    cells: every(true),
    async play({ client }) {
      await client.tools();
      for (const region of ["us-west", "Zürich, 世界", " padded ", "line\nbreak"])
        assert.deepEqual(said(await client.call("in_header", { region })), { region });
    },
  }),
  row({
    feature: "headers missing or wrong",
    cells: { "L→L": null, "L→M": null, "M→L": -32020, "M→M": -32020 },
    async play({ rig }, code) {
      const params = { name: "in_header", arguments: { region: "us" } };
      const refused: Record<string, string | null>[] = [
        { "mcp-method": null },
        { "mcp-method": "prompts/get" },
        { "mcp-name": null },
        { "mcp-name": "echo" },
        { "mcp-protocol-version": "2025-11-25" },
        { "mcp-param-region": "eu" },
        { "mcp-param-region": "=?base64?!?=" },
        {},
      ];
      for (const headers of refused) {
        const { status, error } = await ask(rig.url, "tools/call", params, { headers });
        assert.deepEqual([status, error?.code], [400, code], JSON.stringify(headers));
      }
      for (const region of ["us", "  us  ", "=?base64?dXM=?="]) {
        const { status, result } = await ask(rig.url, "tools/call", params, {
          headers: { "mcp-param-region": region, "mcp-name": " in_header " },
        });
        assert.equal(status, 200, region);
        assert.deepEqual(said(result ?? {}), { region: "us" });
      }
    },
  }),
  row({
    feature: "asked once",
    cells: every(true),
    async play({ client }) {
      const [answers] = said(await client.call("ask_one")) as [Json];
      assert.deepEqual(Object.values(answers).map(action), [ANN]);
      assert.deepEqual(pluck(client.asked, "method"), ["elicitation/create"]);
    },
  }),
  row({
    feature: "asked three things at once",
    cells: every(true),
    async play({ client }) {
      const [answers] = said(await client.call("ask_three")) as [Json];
      assert.deepEqual(action(answers["name"]), ANN);
      assert.match(JSON.stringify(answers["sample"]), /Ann/u);
      assert.match(JSON.stringify(answers["roots"]), /file:\/\/\/Ann/u);
      assert.deepEqual(client.asked.map(({ method }) => method).sort(), [
        "elicitation/create",
        "roots/list",
        "sampling/createMessage",
      ]);
    },
  }),
  row({
    feature: "asked in three rounds",
    cells: every(true),
    async play({ client }) {
      const rounds = said(await client.call("ask_rounds")) as readonly Json[];
      assertEach(rounds, ({ name }) => action(name), [ANN, ANN, ANN]);
      assert.deepEqual(
        client.asked.map(({ params }) => params["message"]),
        ["First", "Second", "Third"].map((nth) => `Server server asks: ${nth}: who is it?`),
      );
    },
  }),
  row({
    feature: "asked by a prompt",
    cells: every(true),
    async play({ client }) {
      assert.match(JSON.stringify(await client.prompt(ASKING_PROMPT.name)), /Ann/u);
    },
  }),
  row({
    feature: "asked to open a page",
    cells: { "L→L": "id", "L→M": "id", "M→L": "no id", "M→M": "no id" },
    async play({ client }, id) {
      const answer = said(await client.call("ask_page")) as Json;
      assert.equal(answer["action"], "accept");
      const [asked] = client.asked;
      assert.deepEqual([asked?.params["mode"], asked?.params["url"]], ["url", PAGE]);
      assert.match(String(asked?.params["message"]), /^Server \w+ asks: Please agree\.$/u);
      assert.equal(typeof asked?.params["elicitationId"], id === "id" ? "string" : "undefined");
    },
  }),
  row<-32042 | "asked">({
    feature: "a server that refuses until a page was opened",
    cells: { "L→L": -32042, "L→M": null, "M→L": "asked", "M→M": null },
    async play({ client }, what) {
      if (what === -32042) {
        assert.equal(await codeOf(client.call("needs_page")), what);
        assert.equal(said(await client.call("needs_page")), "agreed");
        return;
      }
      assert.equal(said(await client.call("needs_page")), "agreed");
      assertEach(client.asked, ({ params }) => params["url"], [PAGE]);
      assert.match(JSON.stringify(client.asked), /"Server \w+ asks: /u);
    },
  }),
  row({
    feature: "not found",
    cells: { "L→L": -32002, "L→M": -32602, "M→L": -32602, "M→M": -32602 },
    async play({ rig, cell }, code) {
      // Byte by byte: the SDK's second generation calls both codes the same.
      await using light = await connectLight(rig.url);
      const codes = cell.startsWith("M")
        ? [
            (await ask(rig.url, "resources/read", { uri: "matrix://none" })).error?.code,
            (await ask(rig.url, "tools/call", { name: "none" })).error?.code,
          ]
        : [
            await codeOf(light.request("resources/read", { uri: "matrix://none" })),
            await codeOf(light.request("tools/call", { name: "none" })),
          ];
      assert.deepEqual(codes, [code, -32602]);
    },
  }),
  row<"older" | "none" | "newer">({
    feature: "a tool that is a task, for who takes one",
    cells: { "L→L": "older", "L→M": "none", "M→L": "none", "M→M": "newer" },
    async play({ rig, cell }, kind) {
      // Byte by byte: neither generation of the SDK has the newer kind.
      const call = { name: "work", arguments: {}, task: { ttl: 60_000 } };
      if (cell.startsWith("L")) {
        await using light = await connectLight(rig.url);
        const { task, content } = await light.request("tools/call", call);
        if (kind === "none") {
          assert.match(JSON.stringify(content), /computed as a task/u);
          return;
        }
        const { taskId } = task as Json;
        assert.equal((await light.request("tasks/get", { taskId }))["status"], "completed");
        const result = await light.request("tasks/result", { taskId });
        assert.match(JSON.stringify(result), /worked as a task/u);
        return;
      }
      const declared = { capabilities: { extensions: { [TASKS]: {} } } };
      const { result = {} } = await ask(rig.url, "tools/call", call, declared);
      if (kind === "none") {
        assert.match(JSON.stringify(result["content"]), /worked at once/u);
        return;
      }
      assert.equal(result["resultType"], "task");
      const { taskId } = result;
      await eventually(async () => {
        const { result: task = {} } = await ask(rig.url, "tasks/get", { taskId }, declared);
        return /computed as a task/u.test(JSON.stringify(task["result"] ?? null));
      });
    },
  }),
  row<Json | readonly number[]>({
    feature: "structured content that is no object",
    cells: { "L→L": null, "L→M": { result: [1, 2, 3] }, "M→L": null, "M→M": [1, 2, 3] },
    async play({ client }, content) {
      const tool = (await client.tools()).find(({ name }) => name === "numbers");
      const schema = JSON.stringify(tool?.["outputSchema"]);
      assert.match(schema, Array.isArray(content) ? /"type":"array"/u : /"type":"object"/u);
      assert.deepEqual((await client.call("numbers"))["structuredContent"], content);
    },
  }),
  row({
    feature: "an unknown method, no and a foreign session, a batch, a foreign host",
    cells: { "L→L": "session", "L→M": "session", "M→L": "stateless", "M→M": "stateless" },
    async play({ rig }, kind) {
      const json = { accept: "application/json, text/event-stream", "content-type": "application/json" };
      const list = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: {} });
      const evil = await post(rig.url, { ...json, host: "evil.example" }, list);
      assert.equal(evil.status, 403);
      if (kind === "stateless") {
        const unknown = await ask(rig.url, "unknown/method");
        assert.deepEqual([unknown.status, unknown.error?.code], [404, -32601]);
        const removed = await ask(rig.url, "ping");
        assert.deepEqual([removed.status, removed.error?.code], [404, -32601]);
        const foreign = await ask(rig.url, "tools/list", {}, { headers: { "mcp-session-id": "none" } });
        assert.equal(foreign.status, 200);
        const batch = await post(rig.url, { ...json, "mcp-protocol-version": "2026-07-28" }, `[${list}]`);
        assert.equal(batch.status, 400);
        return;
      }
      assert.equal((await post(rig.url, json, list)).status, 400);
      assert.equal((await post(rig.url, { ...json, "mcp-session-id": "none" }, list)).status, 404);
      await using light = await connectLight(rig.url);
      assert.equal(await codeOf(light.request("unknown/method")), -32601);
    },
  }),
  // What breaks calls off comes last: what a shared process then says is nobody's until it was silent for a second.
  row({
    feature: "the retry comes on another connection; a tampered or answered state is refused",
    cells: { "L→L": null, "L→M": null, "M→L": -32602, "M→M": -32602 },
    async play({ rig }, code) {
      const params = { name: "ask_one", arguments: { run: randomUUID() } };
      const { result: first = {} } = await ask(rig.url, "tools/call", params);
      assert.equal(first["resultType"], "input_required", JSON.stringify(first));
      const keys = Object.keys(first["inputRequests"] as Json);
      const inputResponses = Object.fromEntries(keys.map((key) => [key, ANN]));
      const state = String(first["requestState"]);
      const retry = (requestState: string, more: Json = {}) =>
        ask(rig.url, "tools/call", { ...params, ...more, inputResponses, requestState });
      assert.equal((await retry(`${state}x`)).error?.code, code);
      assert.equal((await retry(state.slice(1))).error?.code, code);
      assert.equal((await retry(state, { arguments: { run: "another" } })).error?.code, code);
      assert.equal((await retry(state, { name: "ask_rounds" })).error?.code, code);
      const { result = {}, error } = await retry(state);
      assert.equal(result["resultType"], "complete", JSON.stringify(error));
      const [answers] = said(result) as [Json];
      assert.deepEqual(Object.values(answers).map(action), [ANN]);
    },
  }),
  row({
    feature: "a capability that was not declared",
    cells: { "L→L": null, "L→M": null, "M→L": -32021, "M→M": -32021 },
    async play({ rig }, code) {
      const { status, error } = await ask(rig.url, "tools/call", { name: "ask_one" }, { capabilities: {} });
      assert.deepEqual([status, error?.code], [400, code]);
      assert.match(JSON.stringify(error?.data), /"requiredCapabilities":\{"elicitation":/u);
    },
  }),
  row({
    feature: "cancelled by its client",
    cells: every(true),
    async play({ client, rig }) {
      const { cancelled } = await seen(client);
      const gone = new AbortController();
      const until = path.join(rig.folder, randomUUID());
      const call = assert.rejects(client.call("wait", { until }, { signal: gone.signal }));
      await eventually(async () => ((await rig.backend("server")).in_flight ?? 0) > 0);
      gone.abort();
      await call;
      await eventually(async () => (await seen(client)).cancelled === cancelled + 1);
    },
  }),
  row({
    feature: "its connection breaks, and nothing else is said",
    cells: { "L→L": "goes on", "L→M": "goes on", "M→L": "cancelled", "M→M": "cancelled" },
    async play({ client, rig }, what) {
      const { cancelled } = await seen(client);
      const until = path.join(rig.folder, randomUUID());
      const gone = new AbortController();
      const params = { name: "wait", arguments: { until } };
      if (what === "cancelled") {
        const call = assert.rejects(ask(rig.url, "tools/call", params, { signal: gone.signal }));
        await eventually(async () => ((await rig.backend("server")).in_flight ?? 0) > 0);
        gone.abort();
        await call;
        await eventually(async () => (await seen(client)).cancelled === cancelled + 1);
        return;
      }
      const light = await connectLight(rig.url);
      const call = assert.rejects(light.ask("tools/call", params, { signal: gone.signal }));
      await eventually(async () => ((await rig.backend("server")).in_flight ?? 0) > 0);
      gone.abort();
      await call;
      await writeFile(until, "");
      await eventually(async () => (await rig.backend("server")).in_flight === 0);
      assert.equal((await seen(client)).cancelled, cancelled);
      await light[Symbol.asyncDispose]();
    },
  }),
  // The server comes back, but what it counted is gone.
  row({
    feature: "the server crashes in a call, and is started again",
    cells: every(true),
    async play({ client, rig, transport }) {
      // Over HTTP, the fixture is nobody's to start.
      if (transport === "HTTP") return;
      await assert.rejects(client.call("crash").then(said));
      await rig.untilBackend("server", ({ phase }) => phase === "Ready");
      await eventually(async () => said(await client.call("echo", { text: "again" })));
      const [answers] = said(await client.call("ask_one")) as [Json];
      assert.deepEqual(Object.values(answers).map(action), [ANN]);
    },
  }),
];
