import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isJsonObject, type JsonObject } from "../../src/gateway/json-rpc.ts";
import { readMessage, writtenResult } from "../../src/gateway/written-results.ts";
import { parseExactly } from "../../src/runtime/text/exact-json.ts";
import { withoutByteOrderMark } from "../../src/runtime/text/plain-text.ts";
import { callMessage, eventsOf, initializeMessage, begin as openSession } from "./frontend/http/http-rig.ts";
import { openLine } from "./frontend/stdio/line-rig.ts";

const LONG = "x".repeat(300_000);
/** As nobody here would write it: with spaces, escapes and more digits than a double has. */
const RESULT = `{ "content": [], "n": 12345678901234567890, "s": "\\u00e9 ü ${LONG}" }`;

/** As its receiver gets it. Rejects if it is refused. */
async function messageOf(bytes: Buffer): Promise<unknown> {
  let taken: unknown;
  let refused: unknown = null;
  await readMessage(bytes, {
    take(message) {
      taken = message;
      return null;
    },
    refuse(reason) {
      refused = reason;
      return null;
    },
  });
  if (refused !== null) throw refused;
  return taken;
}

/** The message, and the bytes that are kept of its result. */
async function read(bytes: Buffer): Promise<{ readonly message: unknown; readonly kept: string | null }> {
  const message = await messageOf(bytes);
  const result = isJsonObject(message) ? message["result"] : null;
  return { message, kept: isJsonObject(result) ? (writtenResult(result)?.toString() ?? null) : null };
}

const written = (value: unknown): string => JSON.stringify(value);

test("E4 a long notice is refused, and a long error is replaced", async () => {
  const long = (bytes: number): string => "x".repeat(bytes);
  const notice = written({ jsonrpc: "2.0", method: "notifications/message", params: { data: long(5e6) } });
  await assert.rejects(messageOf(Buffer.from(notice)), { code: "too_many_values" });
  const failed = written({ jsonrpc: "2.0", id: 17, error: { code: 1, message: "m", data: long(5e6) } });
  const replaced = await messageOf(Buffer.from(failed));
  assert.match(written(replaced), /"id":17,"error":\{"code":-32029,"message":"it is longer than 4 MiB/);
});

describe("a message of a server is read as JSON is, and a large answer keeps the bytes of its result", () => {
  const kept = {
    "the id first": `{"jsonrpc":"2.0","id":17,"result":${RESULT}}`,
    "the result first": `{"result":${RESULT},"jsonrpc":"2.0","id":17}\n`,
    "spaces, as Python has them": `{"jsonrpc": "2.0", "id": 17, "result": ${RESULT}}`,
    "an id of its own within": `{"jsonrpc":"2.0","id":17,"result":{"id":18,"error":{},"x":${RESULT}}}`,
    "an id twice": `{"id":16,"jsonrpc":"2.0","id":17,"result":${RESULT}}`,
    "an id before and after": `{"jsonrpc":"2.0","id":17,"result":${RESULT},"jsonrpc":"2.0","id":18}`,
    "a result and an error": `{"jsonrpc":"2.0","id":17,"result":${RESULT},"error":{"code":1,"message":"{}"}}`,
    "a method": `{"jsonrpc":"2.0","id":17,"result":${RESULT},"method":"{}"}`,
    "a key with an escape": `{"jsonrpc":"2.0","\\u0069d":17,"result":${RESULT}}`,
    "an id of text": `{"jsonrpc":"2.0","id":"17","result":${RESULT}}`,
    "a huge id": `{"jsonrpc":"2.0","id":${"1".repeat(40)},"result":${RESULT}}`,
    "a byte order mark": `\u{feff}{"jsonrpc":"2.0","id":17,"result":${RESULT}}`,
    "a line end within": `{"jsonrpc":"2.0","id":17,"result":{"a":1,\r\n"b":${RESULT}}}`,
    "a carriage return within": `{"jsonrpc":"2.0","id":17,"result":{"a":1,\r"b":${RESULT}}}`,
  };
  for (const [what, text] of Object.entries(kept))
    test(`kept: ${what}`, async () => {
      const { message, kept } = await read(Buffer.from(text));
      assert.ok(kept !== null && text.replaceAll(/[\r\n]/g, " ").includes(kept));
      // As text: numbers with all their digits are objects that equal nothing.
      assert.equal(written(message), written(parseExactly(withoutByteOrderMark(text))));
      const { result } = parseExactly(withoutByteOrderMark(text)) as { readonly result: unknown };
      assert.equal(written(parseExactly(kept)), written(result));
    });

  const anew = {
    "a result twice": `{"jsonrpc":"2.0","id":17,"result":{"a":1},"result":${RESULT}}`,
    "a result twice, first": `{"result":{"a":1},"result":${RESULT},"jsonrpc":"2.0","id":17}`,
    "no object": `{"jsonrpc":"2.0","id":17,"result":[${RESULT}]}`,
    "a batch": `[{"jsonrpc":"2.0","id":17,"result":${RESULT}}]`,
    "a result twice, once with an escape": `{"jsonrpc":"2.0","id":17,"result":${RESULT},"\\u0072esult":{"a":1}}`,
  };
  for (const [what, text] of Object.entries(anew))
    test(`rewritten: ${what}`, async () => {
      const { message, kept } = await read(Buffer.from(text));
      assert.equal(written(message), written(parseExactly(withoutByteOrderMark(text))));
      assert.equal(kept, null);
    });

  test("bytes that are not UTF-8 are read as these bytes are elsewhere", async () => {
    const text = `{"jsonrpc":"2.0","id":17,"result":{"a":"\u00ff","b":${RESULT}}}`;
    const bytes = Buffer.from(text.replace("\u00ff", "?"));
    bytes[bytes.indexOf("?")] = 0xff;
    const { message, kept } = await read(bytes);
    assert.equal(written(message), written(parseExactly(bytes.toString())));
    assert.ok(kept?.includes("\ufffd"));
  });

  const broken = {
    "cut off": `{"jsonrpc":"2.0","id":17,"result":{"a":${RESULT}}`,
    "a comma too many within": `{"jsonrpc":"2.0","id":17,"result":{"a":1,,"b":${RESULT}}}`,
    "a control character in a text": `{"jsonrpc":"2.0","id":17,"result":{"a":"\u0007","b":${RESULT}}}`,
    "a brace too many": `{"jsonrpc":"2.0","id":17,"result":${RESULT}}}`,
    "two messages": `{"jsonrpc":"2.0","id":17,"result":${RESULT}}{"jsonrpc":"2.0","id":17,"result":{}}`,
    "an id that is no number": `{"jsonrpc":"2.0","id":017,"result":${RESULT}}`,
  };
  for (const [what, text] of Object.entries(broken))
    test(`no JSON: ${what}`, () => assert.rejects(messageOf(Buffer.from(text)), SyntaxError));
});

describe("a large result is sent unchanged, under the client's id", () => {
  const huge = "98765432109876543210";
  const call = JSON.stringify(callMessage(1, "large")).replace('"id":1', `"id":${huge}`);
  const answer = `{"jsonrpc":"2.0","id":${huge},"result":${RESULT}}`;
  const tools = { large: async () => ({ result: await largeResult() }) };

  test("over HTTP, as JSON, as an event and in a batch", async (t) => {
    const { rig, headers } = await openSession(t, tools, { version: "2025-03-26" });
    const whole = await rig.post(call, headers);
    assert.equal(whole.body, answer);
    assert.equal(whole.headers["content-length"], String(Buffer.byteLength(answer)));
    const event = await rig.post(call, { ...headers, accept: "text/event-stream" });
    assert.ok(event.body.includes(`data: ${answer}\n\n`));
    assert.equal(eventsOf(event.body).length, 1);
    const batch = await rig.post(`[${call}]`, headers);
    assert.equal(batch.body, `[${answer}]`);
  });

  test("over lines", async (t) => {
    const { line } = openLine(t, tools);
    let text = "";
    line.client.on("data", (chunk: string) => {
      text += chunk;
    });
    line.send(initializeMessage());
    line.client.write(`${call}\n`);
    line.send({ jsonrpc: "2.0", id: 2, method: "ping" });
    await line.expect(3);
    assert.ok(text.split("\n").includes(answer));
  });

  test("a caller that changes it has it written again", async (t) => {
    const changed = async () => ({ result: { ...(await largeResult()), n: 1 } });
    const { rig, headers } = await openSession(t, { large: changed });
    const { body } = await rig.post(callMessage(3, "large"), headers);
    assert.equal(body, `{"jsonrpc":"2.0","id":3,"result":{"content":[],"n":1,"s":"é ü ${LONG}"}}`);
  });
});

async function largeResult(): Promise<JsonObject> {
  const message = await messageOf(Buffer.from(`{"jsonrpc":"2.0","id":17,"result":${RESULT}}`));
  assert.ok(isJsonObject(message) && isJsonObject(message["result"]));
  return message["result"];
}
