import assert from "node:assert/strict";
import { test } from "node:test";
import { CallAbort, type CallSignal } from "../../src/gateway/call-signal.ts";
import { createCallerMarks, takeCaller, withCaller } from "../../src/gateway/caller-marks.ts";
import { classifyMessage } from "../../src/gateway/json-rpc.ts";
import { isWrapped, legacyOutputSchema, legacyToolResult } from "../../src/gateway/legacy-output.ts";
import {
  decodeHeader,
  encodeHeader,
  hasSameValue,
  paramHeadersOf,
  paramText,
  paramValue,
} from "../../src/gateway/param-headers.ts";
import { isFromThisGateway, loopGuard } from "../../src/gateway/protocol.ts";
import { NO_GATEWAY } from "../../src/gateway/serving/gateway-rules.ts";
import { parseExactly } from "../../src/runtime/text/exact-json.ts";
import { assertEach } from "../support/assert-each.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { backendConfig } from "./backends/pool/scripted-instance.ts";
import { realGateway, serverOn } from "./serving/gateway-rig.ts";

/** What happens to one signal, in order. */
function told(signal: CallSignal, abort: (reason: unknown) => void): readonly string[] {
  const seen: string[] = [];
  const second = (): void => void seen.push("second");
  const taken = (): void => void seen.push("taken away before");
  signal.addEventListener("abort", () => {
    seen.push(`first: ${signal.aborted} ${String(signal.reason)}`);
    signal.removeEventListener("abort", third);
  });
  const third = (): void => void seen.push("taken away meanwhile");
  signal.addEventListener("abort", taken, { once: true });
  signal.addEventListener("abort", third, { once: true });
  signal.addEventListener("abort", second, { once: true });
  signal.addEventListener("abort", second, { once: true });
  signal.removeEventListener("abort", taken);
  signal.removeEventListener("abort", () => {});
  seen.push(`before: ${signal.aborted} ${String(signal.reason)}`);
  abort("gone");
  abort("again");
  signal.addEventListener("abort", () => void seen.push("too late"));
  seen.push(`after: ${String(signal.reason)}`);
  return seen;
}

test("a call's signal behaves as an AbortSignal does: each listener once, in order, with the reason", () => {
  const own = new CallAbort();
  const controller = new AbortController();
  const ours = told(own, (reason) => own.abort(reason));
  assert.deepEqual(ours, ["before: false undefined", "first: true gone", "second", "after: gone"]);
  assert.deepEqual(
    ours,
    told(controller.signal, (reason) => controller.abort(reason)),
  );
});

test("listeners that are added and removed keep their order, whichever is removed first", () => {
  const seen: string[] = [];
  const listeners = ["a", "b", "c", "d"].map((name) => () => void seen.push(name));
  const [a, b, c, d] = listeners as [() => void, () => void, () => void, () => void];
  const order = (signal: CallSignal): void => {
    for (const each of [a, b, a]) signal.addEventListener("abort", each);
    signal.removeEventListener("abort", a);
    for (const each of [c, b, a, d]) signal.addEventListener("abort", each);
    signal.removeEventListener("abort", d);
  };
  const [own, controller] = [new CallAbort(), new AbortController()];
  order(own);
  order(controller.signal);
  own.abort("gone");
  assert.deepEqual(seen.splice(0), ["b", "c", "a"]);
  controller.abort("gone");
  assert.deepEqual(seen, ["b", "c", "a"]);
});

test("a listener that throws delays neither the others nor the aborting caller, and is not swallowed", async () => {
  const signal = new CallAbort();
  let isTold = false;
  signal.addEventListener("abort", () => {
    throw new Error("a mistake");
  });
  signal.addEventListener("abort", () => {
    isTold = true;
  });
  const thrown = Promise.withResolvers<unknown>();
  process.setUncaughtExceptionCaptureCallback(thrown.resolve);
  try {
    signal.abort(null);
    assert.equal(isTold, true);
    assert.match(String(await thrown.promise), /a mistake/);
  } finally {
    process.setUncaughtExceptionCaptureCallback(null);
  }
});

test("G1 a client is distinguished by a mark that reveals nothing of its session, and only by its own gateway", () => {
  const [marks, others] = [createCallerMarks(), createCallerMarks()];
  const [ann, bob] = [{ sessionId: "session-of-ann" }, { sessionId: "session-of-bob" }];
  assert.equal(marks(ann), marks({ ...ann }));
  assert.equal(new Set([marks(ann), marks(bob), others(ann)]).size, 3);
  assert.ok(!marks(ann).includes("of-ann"));
  const params = { name: "x", _meta: { other: 1 } };
  const said = withCaller(params, marks(ann));
  assert.deepEqual(takeCaller(said), { caller: marks(ann), params });
  assert.equal(takeCaller(params).params, params);
  // What a client says of itself is not passed on.
  assert.deepEqual(withCaller(said, null), params);
  assert.equal(takeCaller(withCaller(said, marks(bob))).caller, marks(bob));
  for (const wrong of [1, "", "x".repeat(1_000), {}, null])
    assert.equal(takeCaller({ _meta: { "mountaineer/caller": wrong } }).caller, null);
});

const LONG = "12345678901234567890";
const read = (text: string) => classifyMessage(parseExactly(text));

test("a long number is not an object, just like a short one", () => {
  for (const number of ["5", LONG]) {
    for (const text of [
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":${number}}`,
      `{"jsonrpc":"2.0","method":"x","params":${number}}`,
      `{"jsonrpc":"2.0","id":1,"result":${number}}`,
      `{"jsonrpc":"2.0","id":1,"error":${number}}`,
      number,
    ])
      assert.equal(read(text).kind, "invalid", text);
  }
});

test("D3 an error keeps its text, whatever its code is", () => {
  for (const code of ['"ENOENT"', "null", "[]", LONG])
    assert.deepEqual(read(`{"jsonrpc":"2.0","id":1,"error":{"code":${code},"message":"no disk","data":1}}`), {
      kind: "response",
      id: 1,
      reply: { error: { code: -32603, message: "no disk", data: 1 } },
    });
});

test("D1 D9 empty params count as absent, and so does a null cursor", () => {
  const rows: readonly (readonly [params: string, read: object | null])[] = [
    ["null", { jsonrpc: "2.0", id: 1, method: "tools/list" }],
    ["[]", { jsonrpc: "2.0", id: 1, method: "tools/list" }],
    ['{"cursor":null}', { jsonrpc: "2.0", id: 1, method: "tools/list", params: {} }],
    ['{"cursor":"2","a":1}', { jsonrpc: "2.0", id: 1, method: "tools/list", params: { cursor: "2", a: 1 } }],
    ["[1]", null],
    ['"x"', null],
  ];
  for (const [params, message] of rows) {
    const seen = read(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":${params}}`);
    assert.deepEqual(seen.kind === "request" ? seen.message : null, message, params);
  }
});

test("a long number is an id", () => {
  const seen = read(`{"jsonrpc":"2.0","id":${LONG},"method":"ping"}`);
  assert.equal(seen.kind, "request");
  assert.ok(seen.kind === "request" && JSON.stringify(seen.message.id) === LONG);
});

// Outputs that are no objects, for clients that take nothing else.

test("D2 an output that is not an object is its `result`; an object stays unchanged", () => {
  assert.equal(isWrapped({ type: "object" }), false);
  assert.equal(isWrapped(undefined), false);
  assert.equal(isWrapped({ type: "array" }), true);
  assert.equal(isWrapped({ anyOf: [] }), true);
  const structured = (value: unknown, wraps: boolean): unknown =>
    legacyToolResult({ content: [], structuredContent: value }, wraps)["structuredContent"];
  assert.deepEqual(structured([1], true), { result: [1] });
  assert.deepEqual(structured({ a: 1 }, true), { result: { a: 1 } });
  assert.deepEqual(structured("x", false), { result: "x" });
  assert.deepEqual(structured(null, false), { result: null });
  assert.deepEqual(structured({ a: 1 }, false), { a: 1 });
  assert.deepEqual(legacyToolResult({ content: [] }, true), { content: [] });
});

test("D2 an output that is not an object: its schema's references lead to the same places, and data stays data", () => {
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "array",
    items: { $ref: "#/$defs/node" },
    default: { $ref: "#/no/reference" },
    $defs: {
      node: { properties: { $ref: { $ref: "#" }, next: { $ref: "https://example.org/other#/a" } } },
      own: { $id: "urn:own", $ref: "#/$defs/inner" },
    },
    enum: [{ $ref: "#" }],
  };
  assert.deepEqual(legacyOutputSchema(schema), {
    $schema: schema.$schema,
    type: "object",
    required: ["result"],
    properties: {
      result: {
        type: "array",
        items: { $ref: "#/properties/result/$defs/node" },
        default: { $ref: "#/no/reference" },
        $defs: {
          node: {
            properties: {
              $ref: { $ref: "#/properties/result" },
              next: { $ref: "https://example.org/other#/a" },
            },
          },
          own: { $id: "urn:own", $ref: "#/$defs/inner" },
        },
        enum: [{ $ref: "#" }],
      },
    },
  });
});

// A gateway that is told to be its own backend.

test("the mark is recognized, and nothing else is", () => {
  assert.ok(isFromThisGateway({ _meta: loopGuard() }));
  for (const params of [
    undefined,
    {},
    { _meta: {} },
    { _meta: 1 },
    { _meta: { "mountaineer/gateway": "1" } },
  ])
    assert.ok(!isFromThisGateway(params));
});

test("a gateway cannot be its own backend: its lists would grow without end, and it would call itself", async (t) => {
  const gateway = realGateway(t);
  const port = await freePort();
  const connection = { type: "streamable-http", url: `http://127.0.0.1:${port}/mcp`, headers: {} } as const;
  await gateway.start({
    ...NO_GATEWAY,
    server: serverOn(port, { bodyLimitBytes: 1_024 }),
    backends: [backendConfig("me", { connection })],
  });
  const failed = await eventually(() => gateway.view().backends.find(({ phase }) => phase === "Failed"));
  assert.match(failed.reason ?? "", /cannot be its own server/);
  assert.deepEqual(gateway.entries().tools, []);
});

// Arguments in headers: which are, and how their values are written and compared.

const marked = (name: unknown, type: unknown = "string") => ({ type, "x-mcp-header": name });
const schema = (properties: object, more: object = {}) => ({ type: "object", properties, ...more });

test("D2 arguments in headers are found at any depth of properties", () => {
  const inner = schema({ c: marked("C-d", "boolean") });
  assert.deepEqual(paramHeadersOf(schema({ a: marked("A"), b: inner, plain: { type: "string" } })), [
    { path: ["a"], header: "Mcp-Param-A", type: "string" },
    { path: ["b", "c"], header: "Mcp-Param-C-d", type: "boolean" },
  ]);
  assert.deepEqual(paramHeadersOf(undefined), []);
  assert.deepEqual(paramHeadersOf(schema({ "x-mcp-header": { type: "string" } })), []);
  // Only a keyword where a keyword can stand.
  const elsewhere = { "x-ui": marked("A"), default: marked("A"), $defs: { "x-mcp-header": {} } };
  assert.deepEqual(paramHeadersOf({ ...schema({}), ...elsewhere }), []);
});

test("D2 a schema with invalid header requirements gives the reason", () => {
  const faults: readonly (readonly [object, RegExp])[] = [
    [schema({ a: marked("") }), /of a is not a valid header name/],
    [schema({ a: marked("x y") }), /not a valid header name/],
    [schema({ a: marked(7) }), /not a valid header name/],
    [schema({ a: marked("A", "object") }), /not on a string/],
    [schema({ a: marked("A", "number") }), /not on a string/],
    [schema({ a: marked("A"), b: marked("a") }), /is a, as that of another property/],
    [schema({ a: { type: "array", items: marked("A") } }), /not on a plain property/],
    [schema({}, { allOf: [schema({ a: marked("A") })] }), /not on a plain property/],
    [schema({}, { items: marked("A") }), /not on a plain property/],
    [schema({}, { $defs: { d: marked("A") } }), /not on a plain property/],
    [{ ...schema({}), "x-mcp-header": "A" }, /the schema itself is not on a plain property/],
  ];
  for (const [given, expected] of faults) {
    const found = paramHeadersOf(given);
    assert.match("fault" in found ? found.fault : "valid", expected);
  }
});

test("D1 arguments in headers have a text where they are plain values", () => {
  assert.deepEqual(["a", true, 3, -0.5].map(paramText), ["a", "true", "3", "-0.5"]);
  assert.deepEqual([null, {}, [], undefined, 2 ** 60, Number.NaN].map(paramText), Array(6).fill(null));
  const given = [{ o: { x: 1 } }, undefined, { o: 1 }, { o: Object.create({ x: 1 }) }];
  assertEach(given, (args) => paramValue(args, { path: ["o", "x"] }), [1, undefined, undefined, undefined]);
});

test("D1 arguments in headers: numbers are compared as numbers, all else as texts", () => {
  const of = (type: "string" | "integer") => ({ path: ["x"], header: "Mcp-Param-X", type });
  assert.equal(hasSameValue("42.0", "42", of("integer")), true);
  assert.equal(hasSameValue("42.0", "42", of("string")), false);
  assert.equal(hasSameValue("0x2a", "42", of("integer")), false);
});

test("D1 arguments in headers: any text passes through a header unchanged", () => {
  const texts = ["", "plain", " spaces ", "tab\tin", "ü", "=?base64?eA==?=", "line\nbreak", "\u0007", "😀"];
  for (const text of texts) {
    const value = encodeHeader(text);
    assert.match(value, /^[\t\x20-\x7e]+$/);
    assert.equal(decodeHeader(` ${value}\t`), text);
  }
  assert.equal(encodeHeader("plain"), "plain");
  for (const wrong of ["=?base64?a?=", "=?base64?/w==?=", "=?base64?YQ= =?="])
    assert.equal(decodeHeader(wrong), null, wrong);
});
