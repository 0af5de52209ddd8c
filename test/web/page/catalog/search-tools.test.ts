import assert from "node:assert/strict";
import { test } from "node:test";
import { searchTools } from "../../../../src/web/page/catalog/search-tools.ts";

const TOOLS = [
  { name: "read_file", backend: "files", description: "Reads a file as text" },
  { name: "list", backend: "files", description: "Lists what a folder has, each file with its size" },
  { name: "search", backend: "web", description: null },
];
const names = (words: string, backend = ""): string[] =>
  searchTools(TOOLS, words, backend).map(({ name }) => name);

test("every word must be there, and names count more than descriptions", () => {
  assert.deepEqual(names(""), ["read_file", "list", "search"]);
  assert.deepEqual(names("FILE"), ["read_file", "list"]);
  assert.deepEqual(names("file size"), ["list"]);
  assert.deepEqual(names("web"), ["search"]);
  assert.deepEqual(names("file nothing"), []);
  assert.deepEqual(names("", "web"), ["search"]);
});
