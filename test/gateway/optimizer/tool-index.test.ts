// What a question costs: guesses are bounded, whatever is asked.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ToolIndex } from "../../../src/gateway/optimizer/tool-index.ts";

async function indexOf(...names: readonly string[]): Promise<ToolIndex> {
  const index = new ToolIndex();
  const toolOf = (name: string) => ({ name, backend: "b", originalName: name, definition: { name } });
  index.follow(new Map(names.map((name) => [name, toolOf(name)])));
  await index.ready;
  return index;
}

test("E4 a question's first words are guessed where no tool has them, and no more than eight", async () => {
  const index = await indexOf("weather", "__proto__", "constructor");
  const find = (question: string) => index.search(question, 5, () => true);
  const strange = Array.from({ length: 8 }, (_, place) => `qqqq${"xyzwvuts"[place]}`).join(" ");
  assert.deepEqual(find("wether"), ["weather"]);
  assert.deepEqual(find(`wether ${strange}`), ["weather"]);
  assert.deepEqual(find(`${strange} wether`), []);
  // What a tool does have is found wherever it stands.
  assert.deepEqual(find(`${strange} weather`), ["weather"]);
});

test("E4 a word that nobody writes is not guessed, and a name of JavaScript's own is like any other", async () => {
  const index = await indexOf("weather", "__proto__", "constructor", `${"w".repeat(24)}`);
  const find = (question: string) => index.search(question, 5, () => true);
  assert.deepEqual(find("w".repeat(23)), ["w".repeat(24)]);
  assert.deepEqual(find("w".repeat(25)), []);
  assert.deepEqual(find("constructor"), ["constructor"]);
  assert.deepEqual(find("__proto__"), ["__proto__"]);
});
