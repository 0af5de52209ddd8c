import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { errorReply, INTERNAL_ERROR, type Reply } from "../../../src/gateway/json-rpc.ts";
import { createRecovery } from "../../../src/gateway/middleware/recovery.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { callPort, client, recordingServices, servingSet } from "./requests.ts";

const clean = (text: string): string => text.replaceAll("hunter2", "[redacted]");
const request = {
  method: "tools/call",
  params: {},
  port: callPort(client()),
  signal: new AbortController().signal,
  served: servingSet([], recordingServices()),
};
const recovering = (answer: () => unknown) => {
  const logger = createRecordingLogger();
  const handle = createRecovery({ logger, clean })(
    // What is not allowed to be is the point here.
    () => answer() as Promise<Reply>,
  );
  return { logger, reply: () => handle(request) };
};

describe("recovery", () => {
  for (const [how, answer] of [
    [
      "throws",
      () => {
        throw new Error("boom in /etc/hidden with hunter2");
      },
    ],
    ["rejects", () => Promise.reject(new Error("boom in /etc/hidden with hunter2"))],
    ["rejects with no error at all", () => Promise.reject("boom hunter2")],
  ] as const) {
    test(`what ${how} is an internal error, with the detail in the log alone`, async () => {
      const { logger, reply } = recovering(answer);
      assert.deepEqual(await reply(), errorReply(INTERNAL_ERROR, "internal error"));
      const detail = String(logger.lines[0]?.fields["error"]);
      assert.match(detail, /boom/);
      assert.doesNotMatch(detail, /hunter2/);
    });
  }

  test("a server's error that repeats our secret is told without it, any other as the very object", async () => {
    const told = errorReply(-32010, "401 for Bearer hunter2", {
      headers: { authorization: "hunter2" },
      n: 1,
    });
    assert.deepEqual(
      await recovering(() => Promise.resolve(told)).reply(),
      errorReply(-32010, "401 for Bearer [redacted]", { headers: { authorization: "[redacted]" }, n: 1 }),
    );
    const harmlessError = errorReply(-32010, "no such page", { page: 7 });
    assert.equal(await recovering(() => Promise.resolve(harmlessError)).reply(), harmlessError);
  });

  test("an error of ours is told in its own words, on one line, without secrets", async () => {
    const { reply } = recovering(() => {
      throw new MountaineerError("timed_out", `no answer for hunter2\n${"x".repeat(9_000)}`);
    });
    assert.deepEqual(await reply(), errorReply(INTERNAL_ERROR, "no answer for [redacted]"));
  });

  test("a well-formed answer passes as the very object, a server's own error with all that is in it", async () => {
    for (const answer of [
      { result: {} },
      { result: { content: [], isError: true, unknown: 1 } },
      { error: { code: -1, message: "line one\nline two /a/path", data: { deep: [1] }, more: true } },
    ]) {
      const { logger, reply } = recovering(() => Promise.resolve(answer));
      assert.equal(await reply(), answer);
      assert.deepEqual(logger.lines, []);
    }
  });

  test("a malformed one is mended as far as can be", async () => {
    const malformed = "the answer was malformed";
    for (const [answer, expected] of [
      [undefined, errorReply(INTERNAL_ERROR, malformed)],
      [null, errorReply(INTERNAL_ERROR, malformed)],
      ["text", errorReply(INTERNAL_ERROR, malformed)],
      [{}, errorReply(INTERNAL_ERROR, malformed)],
      [{ result: null }, errorReply(INTERNAL_ERROR, malformed)],
      [{ result: [] }, errorReply(INTERNAL_ERROR, malformed)],
      [{ error: "no" }, errorReply(INTERNAL_ERROR, malformed)],
      [{ error: { code: "E1", message: "why" } }, errorReply(INTERNAL_ERROR, "why")],
      [{ error: { code: -5, data: 1 } }, errorReply(-5, malformed, 1)],
      [{ error: { code: 1.5, message: "x" } }, errorReply(INTERNAL_ERROR, "x")],
      [{ result: {}, error: { code: 1, message: "both" } }, errorReply(1, "both")],
    ] as const) {
      const { logger, reply } = recovering(() => Promise.resolve(answer));
      assert.deepEqual(await reply(), expected, JSON.stringify(answer));
      assert.equal(logger.lines.length, 1);
    }
  });
});
