// What the server accepts of a body, compared with a schema library's opinion of the same shapes.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import * as z from "zod/mini";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import { type RequestShape, readRequest } from "../../../src/api/operations/requests.ts";
import { OPERATIONS } from "../../../src/api/operations/table.ts";
import { SIGN_OF_LIFE_MS } from "../../../src/api/server/performing.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { assertRefused, connectedRig, get, post, startRig, talk } from "../management-rig.ts";
import { sampleReload, scriptedConfig } from "../sample-config.ts";
import { gatewayReport, scriptedGateway } from "../sample-gateway.ts";
import { scriptedControl } from "../sample-report.ts";

const text = z.string();
const flag = z.exactOptional(z.boolean());
const names = z.exactOptional(z.nullable(z.array(text)));
const wellFormed = z.string().check(z.refine((value) => value.isWellFormed()));
const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const source = z.string().check(z.regex(/^[a-z][a-z0-9-]{0,31}$/));
const addedList = z.enum(["shares", "aliases"]);
const removedFrom = z.enum(["shares", "aliases", "backends"]);

function agree<T>(
  body: fc.Arbitrary<T>,
  kinds: readonly (readonly [RequestShape<unknown> | null, z.ZodMiniType])[],
) {
  fc.assert(
    fc.property(fc.constantFrom(...kinds), body, ([shape, schema], asked) => {
      const json = JSON.stringify(asked);
      let request: unknown = null;
      try {
        request = readRequest(json, shape);
      } catch (error) {
        assert.ok(error instanceof MountaineerError && error.code === "protocol");
      }
      assert.equal(request !== null, schema.safeParse(JSON.parse(json)).success, json);
      if (request !== null) {
        assert.deepEqual(request, JSON.parse(json));
        assert.equal(shape?.faultIn(request), null, "a body that is read has the shape of its request");
      }
    }),
    { numRuns: runsOf(1_000) },
  );
}

test("bodies about shares are read as a schema would", () => {
  const value = fc.oneof(
    fc.constantFrom(null, true, false, "tb", "fallback", "auto", "CORE", 1, {}),
    fc.array(fc.oneof(fc.string(), fc.integer()), { maxLength: 3 }),
  );
  const body = fc.oneof(
    fc.dictionary(fc.constantFrom("shares", "to", "force", "wait", "other", "__proto__"), value),
    fc.record({ shares: fc.array(fc.string()), to: fc.constantFrom("tb", "auto"), force: fc.boolean() }),
    value,
  );
  agree(body, [
    [OPERATIONS.mount.input, z.strictObject({ shares: names })],
    [OPERATIONS.unmount.input, z.strictObject({ shares: names, force: flag })],
    [
      OPERATIONS.switchRoute.input,
      z.strictObject({ shares: names, to: z.enum(["tb", "fallback", "auto"]), force: flag, wait: flag }),
    ],
  ]);
});

test("bodies about the configuration are read as a schema would", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\ud800", "cli", "Cli", "ab".repeat(32)),
  );
  const value = fc.oneof(text, fc.constantFrom(null, true, 0, 1, -1, 1.5, [], {}), fc.integer());
  const edit = fc.oneof(
    fc.record({ key: text, value: fc.option(text) }),
    fc.dictionary(fc.constantFrom("key", "value", "more"), value),
    fc.record({
      add: fc.constantFrom("shares", "aliases", "backends"),
      entry: fc.oneof(
        fc.dictionary(fc.constantFrom("name", "share", "a b", ""), fc.oneof(text, value)),
        value,
      ),
    }),
    fc.record({ remove: fc.constantFrom("shares", "aliases", "backends"), name: fc.oneof(text, value) }),
  );
  const fields = fc.constantFrom("dry_run", "edits", "expected_sha256", "source", "text", "n", "other");
  const body = fc.oneof(
    fc.dictionary(fields, fc.oneof(value, fc.array(edit, { maxLength: 3 }))),
    fc.record({ edits: fc.array(edit, { maxLength: 3 }), source: fc.constantFrom("cli", "a b", "") }),
    fc.record({
      text,
      expected_sha256: fc.constantFrom("ab".repeat(32), "AB".repeat(32)),
      source: fc.constant("tui"),
    }),
    value,
  );
  const edits = z.array(
    z.union([
      z.strictObject({ key: wellFormed, value: z.nullable(wellFormed) }),
      z.strictObject({ add: addedList, entry: z.record(wellFormed, wellFormed) }),
      z.strictObject({ remove: removedFrom, name: wellFormed }),
    ]),
  );
  agree(body, [
    [OPERATIONS.reload.input, z.strictObject({ dry_run: flag })],
    [OPERATIONS.edit.input, z.strictObject({ edits, expected_sha256: z.exactOptional(sha256), source })],
    [OPERATIONS.editText.input, z.strictObject({ text: wellFormed, expected_sha256: sha256, source })],
    [
      OPERATIONS.rollback.input,
      z.strictObject({
        n: z.exactOptional(z.int().check(z.nonnegative())),
        sha256: z.exactOptional(sha256),
        expected_sha256: z.exactOptional(sha256),
      }),
    ],
  ]);
});

test("at most a thousand edits are accepted at once", () => {
  const body = (edits: number) =>
    JSON.stringify({ edits: Array(edits).fill({ key: "a", value: null }), source: "api" });
  assert.equal(readRequest(body(1_000), OPERATIONS.edit.input).edits.length, 1_000);
  assert.throws(() => readRequest(body(1_001), OPERATIONS.edit.input), /edits is not a list of at most 1000/);
});

test("bodies about the gateway are read as a schema would", () => {
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("\ud800", "files"));
  const value = fc.oneof(
    text,
    fc.constantFrom(null, true, 1),
    fc.array(text, { maxLength: 3 }),
    fc.jsonValue(),
  );
  const field = fc.constantFrom("tool", "arguments", "backends", "backend", "other");
  const body = fc.oneof(
    fc.dictionary(field, value),
    fc.record({ tool: text, arguments: fc.dictionary(fc.string(), fc.jsonValue()) }),
    fc.record({ backends: fc.option(fc.array(text)) }),
    fc.record({ backend: text }),
    value,
  );
  const jsonObject = z.record(z.string(), z.unknown());
  agree(body, [
    [OPERATIONS.call.input, z.strictObject({ tool: wellFormed, arguments: z.exactOptional(jsonObject) })],
    [OPERATIONS.restart.input, z.strictObject({ backends: names })],
    [OPERATIONS.logs.input, z.strictObject({ backend: wellFormed })],
  ]);
});

test("no edit adds a backend, but one may remove it", () => {
  const body = (edit: object) => JSON.stringify({ edits: [edit], source: "cli" });
  assert.throws(
    () => readRequest(body({ add: "backends", entry: { name: "a" } }), OPERATIONS.edit.input),
    /edits is not/,
  );
  assert.equal(readRequest(body({ remove: "backends", name: "a" }), OPERATIONS.edit.input).edits.length, 1);
});

test("a call's arguments arrive unchanged, whatever their keys", () => {
  const body = '{"tool":"t","arguments":{"__proto__":{"x":1},"constructor":null,"":[]}}';
  assert.equal(JSON.stringify(readRequest(body, OPERATIONS.call.input)), body);
});

test("a body may be empty, but must otherwise be a JSON object", () => {
  assert.deepEqual(readRequest(" \n", OPERATIONS.mount.input), {});
  for (const body of ["[]", "null", "7", '"x"', "{", '{"shares":["A"]']) {
    assert.throws(() => readRequest(body, OPERATIONS.mount.input), { code: "protocol" });
  }
});

test("the faults of a body are named", () => {
  const cases: readonly [string, RequestShape<unknown> | null, string][] = [
    ["{}", OPERATIONS.switchRoute.input, "the body lacks to: tb, fallback or auto"],
    ['{"to":"x"}', OPERATIONS.switchRoute.input, "to is not tb, fallback or auto"],
    ['{"force":1}', OPERATIONS.unmount.input, "force is not true or false"],
    ['{"shares":[1]}', OPERATIONS.mount.input, "shares is not a list of names, or null for all"],
    ['{"tool":"t","arguments":[]}', OPERATIONS.call.input, "arguments is not a JSON object"],
    ['{"n":-1}', OPERATIONS.rollback.input, "n is not a whole number from 0"],
    ['{"fleet":1}', OPERATIONS.mount.input, "the body has a field that is not known here: fleet"],
    ['{"constructor":1}', OPERATIONS.mount.input, "the body has a field that is not known here: constructor"],
  ];
  for (const [body, shape, message] of cases)
    assert.throws(() => readRequest(body, shape), { code: "protocol", message });
});

const never = new AbortController().signal;
const FOREVER = () => new Promise<never>(() => {});

test("a status with a gateway and backends arrives unchanged", async (t) => {
  const report = gatewayReport();
  const { home } = await startRig(t, { control: scriptedControl(report) });
  assert.deepEqual(await (await connectToDaemon(home))?.call("status", null, never), report);
});

test("a tool's error, and a call's, are answers and not failures of the API", async (t) => {
  const errors = [
    { result: { content: [], isError: true }, error: null },
    { result: null, error: { code: -32602, message: "no", data: { why: ["x"] } } },
    { result: null, error: { code: -32603, message: "no" } },
  ];
  const left = [...errors];
  const gateway = scriptedGateway(() => left.shift() ?? { result: {}, error: null });
  const { client } = await connectedRig(t, { gateway });
  for (const report of errors) {
    assert.deepEqual(await client.call("call", { tool: "read_file" }, never), report);
  }
});

test("an invalid request to the gateway is refused and never reaches it", async (t) => {
  const gateway = scriptedGateway();
  const { server } = await startRig(t, { gateway });
  await assertRefused(server, [
    [post("call", ""), 400, /lacks tool/],
    [post("call", '{"tool":1}'), 400, /tool is not a text/],
    [post("call", '{"tool":"\\ud800"}'), 400, /tool is not a text/],
    [post("call", '{"tool":"a","arguments":[]}'), 400, /arguments is not a JSON object/],
    [post("call", '{"tool":"a","arguments":null}'), 400, /arguments is not a JSON object/],
    [post("call", '{"tool":"a","args":{}}'), 400, /not known here: args/],
    [post("call", '{"tool":'), 400, /not JSON/],
    [post("backends/restart", '{"backends":"files"}'), 400, /backends is not a list of names/],
    [post("backends/logs", "{}"), 400, /lacks backend/],
    [get("call"), 405, /not served/],
    [post("tools", "{}"), 405, /not served/],
    [get("backends"), 404, /not served/],
  ]);
  assert.deepEqual(gateway.calls, []);
});

test("a call may carry megabytes both ways", async (t) => {
  const big = "x".repeat(12 * 1024 * 1024);
  const gateway = scriptedGateway(({ arguments: given }) => ({ result: { given }, error: null }));
  const { client, server } = await connectedRig(t, { gateway });
  const report = await client.call("call", { tool: "write_file", arguments: { big } }, never);
  assert.deepEqual(report, { result: { given: { big } }, error: null });
  const tooBig = post(
    "call",
    JSON.stringify({ tool: "write_file", arguments: { a: "x".repeat(17 * 1024 * 1024) } }),
  );
  assert.equal((await talk(server.socketPath, tooBig)).status, 413);
});

test("calls that hang delay no step, no reload, no restart and no other query", async (t) => {
  const gateway = scriptedGateway(FOREVER);
  const { client, server } = await connectedRig(t, { gateway, config: scriptedConfig() });
  const cancel = new AbortController();
  const hanging = Array.from({ length: 32 }, () =>
    client.call("call", { tool: "read_file" }, cancel.signal).catch((error: unknown) => error),
  );
  await eventually(() => gateway.calls.length === 32);
  await assert.rejects(client.call("call", { tool: "read_file" }, never), {
    code: "daemon_unreachable",
    message: /32 requests are under way/,
  });
  assert.equal((await talk(server.socketPath, post("mount", "{}"))).status, 200);
  assert.deepEqual(await client.call("reload", {}, never), sampleReload());
  assert.deepEqual(await client.call("restart", { backends: ["web"] }, never), { restarted: ["web"] });
  assert.equal((await client.call("tools", null, never)).tools.length, 2);
  cancel.abort();
  await Promise.all(hanging);
  await eventually(() =>
    gateway.calls.filter(({ name }) => name === "call").every(({ signal }) => signal.aborted),
  );
});

test("a long call is reported as running throughout; only the tool's own deadline ends it", async (t) => {
  const clock = createManualClock();
  const release = new AbortController();
  const gateway = scriptedGateway(async () => {
    await once(release.signal, "abort");
    return { result: { content: [] }, error: null };
  });
  const { home } = await startRig(t, { gateway, clock });
  const client = await connectToDaemon(home, { silenceMs: 60_000 });
  assert.ok(client);
  const calling = client.call("call", { tool: "read_file" }, never);
  const call = await eventually(() => gateway.calls[0]);
  await clock.advance(3_600_000 + SIGN_OF_LIFE_MS);
  assert.equal(call.signal.aborted, false);
  release.abort();
  assert.deepEqual(await calling, { result: { content: [] }, error: null });
});

test("a client that goes away cancels its call, and so does a daemon that stops", async (t) => {
  const gateway = scriptedGateway(FOREVER);
  const { client, server } = await connectedRig(t, { gateway });
  const cancel = new AbortController();
  const cancelled = client.call("call", { tool: "read_file" }, cancel.signal);
  cancelled.catch(() => {});
  const first = await eventually(() => gateway.calls[0]);
  cancel.abort(new MountaineerError("aborted", "stopped by SIGINT"));
  await assert.rejects(cancelled, { code: "aborted", message: "stopped by SIGINT" });
  await eventually(() => first.signal.aborted);
  const stopped = client.call("call", { tool: "read_file" }, never);
  stopped.catch(() => {});
  const second = await eventually(() => gateway.calls[1]);
  await server[Symbol.asyncDispose]();
  assert.equal(second.signal.aborted, true);
  await assert.rejects(stopped, { code: "daemon_unreachable" });
});
