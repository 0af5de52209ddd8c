import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import {
  addJsonOption,
  addShareOptions,
  addWaitOption,
  readFlag,
  readList,
  readSelection,
  readText,
  readWaitMs,
  showResult,
} from "../../../src/cli/input/options.ts";

/** What is given when those words are typed; a refusal rejects with its text. */
function given(...words: readonly string[]): Record<string, unknown> {
  const command = new Command().exitOverride().configureOutput({ writeErr() {} });
  addShareOptions(command);
  addJsonOption(command);
  addWaitOption(command);
  return command.parse(words, { from: "user" }).opts();
}

test("shares are those that are named, each of them, or all", () => {
  assert.deepEqual(readSelection(given("--share", "A", "--share", "B")), ["A", "B"]);
  assert.equal(readSelection(given()), null);
  assert.equal(readSelection(given("--all")), null);
  assert.throws(() => given("--all", "--share", "A"), /cannot be used with option/);
  assert.deepEqual(readList(given("--share", "A"), "share"), ["A"]);
  assert.deepEqual(readList(given(), "share"), []);
});

test("a wait is a number of seconds up to a day, and half a minute when nobody says", () => {
  assert.equal(readWaitMs(given()), 30_000);
  assert.equal(readWaitMs(given("--wait", "0")), 0);
  assert.equal(readWaitMs(given("--wait", "2.5")), 2_500);
  assert.equal(readWaitMs(given("--wait", "86400")), 86_400_000);
  for (const wrong of ["86401", "-1", "soon", "", "1e3"])
    assert.throws(() => given(`--wait=${wrong}`), /from 0 to 86400/, wrong);
});

test("a result is JSON when that is asked for, else what people read", () => {
  const printed: string[] = [];
  const context = { print: (text: string) => void printed.push(text) };
  showResult(context, given("--json"), { a: 1 }, () => "never");
  showResult(context, given(), { a: 1 }, () => "for people\n");
  assert.deepEqual(printed, ['{\n  "a": 1\n}\n', "for people\n"]);
  assert.deepEqual([readFlag(given("--json"), "json"), readFlag({ json: "yes" }, "json")], [true, false]);
  assert.deepEqual(
    [readText({ name: "a" }, "name"), readText({}, "name"), readText({ name: true }, "name")],
    ["a", null, null],
  );
});
