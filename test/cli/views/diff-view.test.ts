import assert from "node:assert/strict";
import { test } from "node:test";
import { forTerminal, renderDiff } from "../../../src/cli/views/diff-view.ts";
import { diffText } from "../../../src/config/history/text-diff.ts";

const colour = { width: 80, color: true, unicode: true };
const ESCAPE = "\u001b";

test("a text for a terminal keeps tabs and line breaks, and nothing that drives it", () => {
  assert.equal(forTerminal(`a\tb\r\n${ESCAPE}[31mc\u202e\n`), "a\tb\n\\x1b[31mc\\u{202e}\n");
});

test("in colour, lines that went are red, lines that came green", () => {
  const diff = diffText("a\nb\n", "a\nc\n", { before: "history 1", after: "config.toml" });
  assert.equal(
    renderDiff(diff, colour),
    [
      `${ESCAPE}[1m--- history 1${ESCAPE}[22m`,
      `${ESCAPE}[1m+++ config.toml${ESCAPE}[22m`,
      `${ESCAPE}[36m@@ -1,2 +1,2 @@${ESCAPE}[39m`,
      " a",
      `${ESCAPE}[31m-b${ESCAPE}[39m`,
      `${ESCAPE}[32m+c${ESCAPE}[39m`,
      "",
    ].join("\n"),
  );
  assert.equal(renderDiff(diff, { ...colour, color: false }), diff);
  assert.equal(renderDiff("", colour), "");
});
