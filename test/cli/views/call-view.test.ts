import assert from "node:assert/strict";
import { test } from "node:test";
import { answerJson, answerText, callFailure } from "../../../src/cli/views/call-view.ts";
import { fc } from "../../support/properties.ts";

const piped = { isTerminal: false };
const of = (result: Record<string, unknown> | null) => ({ result, error: null });
const content = (...blocks: unknown[]) => of({ content: blocks });

test("text is printed as it is, with a line break at its end", () => {
  assert.equal(
    answerText(content({ type: "text", text: "one\r\n\ttwo\x1b[1m" }), piped),
    "one\r\n\ttwo\x1b[1m\n",
  );
  assert.equal(
    answerText(content({ type: "text", text: "a\n" }, { type: "text", text: "b" }), piped),
    "a\nb\n",
  );
  assert.equal(answerText(content(), piped), "");
  assert.equal(answerText(of({}), piped), "");
});

test("E3 what nobody sees is spelled out wherever it is printed, and is the same in the JSON", () => {
  const sly = content({ type: "text", text: "safe\u202egnp.exe\u{e0041}" });
  for (const isTerminal of [true, false])
    assert.equal(answerText(sly, { isTerminal }), "safe\\u{202e}gnp.exe\\u{e0041}\n");
  const json = answerJson(sly.result);
  assert.doesNotMatch(json, /[\u202e\u{e0041}]/u);
  assert.deepEqual(JSON.parse(json), sly.result);
});

test("on a terminal what it could obey is spelled out, tabs and lines kept", () => {
  assert.equal(
    answerText(content({ type: "text", text: "a\tb\n\x1b]0;x\x07" }), { isTerminal: true }),
    "a\tb\n\\x1b]0;x\\x07\n",
  );
});

test("what is no text is described in a line", () => {
  const cases: [unknown, string][] = [
    [{ type: "image", mimeType: "image/png", data: "A".repeat(16_400) }, "[image, image/png, 12.3 kB]\n"],
    [{ type: "audio", mimeType: "audio/wav", data: "QUI=" }, "[audio, audio/wav, 2 B]\n"],
    [{ type: "image", data: "A".repeat(8_000_000) }, "[image, 6.0 MB]\n"],
    [{ type: "image", mimeType: "image/png" }, "[image, image/png]\n"],
    [{ type: "resource_link", uri: "file:///a", name: "a" }, "[link, file:///a, a]\n"],
    [{ type: "resource_link", uri: "file:///a", name: "a", title: "The A" }, "[link, file:///a, The A]\n"],
    [{ type: "resource", resource: { uri: "x:1", text: "inside" } }, "inside\n"],
    [
      { type: "resource", resource: { uri: "x:1", mimeType: "application/pdf", blob: "QUJD" } },
      "[resource, x:1, application/pdf, 3 B]\n",
    ],
    [{ type: "resource" }, "[resource]\n"],
    [{ type: "hologram", depth: 3 }, "[hologram]\n"],
    [7, "[something that is no content]\n"],
  ];
  for (const [block, expected] of cases) assert.equal(answerText(content(block), piped), expected);
});

test("structured content alone is printed as JSON; beside text it is left to --json", () => {
  const structuredContent = { sum: 3 };
  assert.equal(answerText(of({ structuredContent }), piped), '{\n  "sum": 3\n}\n');
  assert.equal(answerText(of({ content: [], structuredContent }), piped), '{\n  "sum": 3\n}\n');
  assert.equal(answerText(of({ content: [{ type: "text", text: "3" }], structuredContent }), piped), "3\n");
});

test("a failure is the tool's own words, or the error's", () => {
  assert.equal(callFailure(content({ type: "text", text: "fine" })), null);
  assert.equal(callFailure(of({ isError: false })), null);
  assert.equal(
    callFailure(
      of({
        isError: true,
        content: [
          { type: "text", text: "no such file" },
          { type: "text", text: "at all" },
        ],
      }),
    ),
    "no such file\nat all",
  );
  assert.equal(callFailure(of({ isError: true })), "the tool failed, and does not say why");
  const error = { code: -32001, message: "the deadline of 60 s passed" };
  assert.equal(callFailure({ result: null, error }), "the deadline of 60 s passed (error -32001)");
});

test("whatever a server answers is printed without a failure of ours", () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom("content", "structuredContent", "isError"), fc.jsonValue()),
      (result) => {
        assert.equal(typeof answerText(of(result), { isTerminal: true }), "string");
        callFailure(of(result));
      },
    ),
  );
});
