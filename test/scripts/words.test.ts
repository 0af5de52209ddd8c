// The lint of names and phrases: it finds words within names, and phrases in messages, comments, titles and docs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { findInFile, wordsOf } from "../../scripts/words/find.ts";

const rulesIn = (file: string, text: string): readonly string[] =>
  findInFile(file, text).map(({ rule }) => rule);

test("a name is several words, whatever its case", () => {
  assert.deepEqual(wordsOf("mailDoor"), ["mail", "door"]);
  assert.deepEqual(wordsOf("HTTPServer"), ["http", "server"]);
  assert.deepEqual(wordsOf("LONGEST_WISH"), ["longest", "wish"]);
});

test("names are checked word by word, in code only", () => {
  const source = '// tell\nconst httpDoor = "wish", outdoors = 1, isTold = 2, LONGEST_WISH = 3;';
  assert.deepEqual(rulesIn("src/a.ts", source), ["names door", "names tell", "names wish"]);
});

test("a rule names the files in which its word is right", () => {
  assert.deepEqual(rulesIn("src/gateway/pins/a.ts", "const pinned = 1;"), []);
  assert.deepEqual(rulesIn("src/shares/a.ts", "const pinned = 1;"), ["names pinned"]);
});

test("phrases are found where people read them, and each area is counted separately", () => {
  const source = "// It goes on anew.\nconst a = `the mount is made anew ${name}`, anew_ = 'anew';";
  assert.deepEqual(rulesIn("src/a.ts", source), [
    "names anew",
    "messages anew",
    "comments anew",
    "comments goes on",
  ]);
  assert.deepEqual(rulesIn("test/a.test.ts", `${"test"}("A1 it mounts anew", () => {});`), ["titles anew"]);
  assert.deepEqual(rulesIn("docs/a.md", "Fine.\nA file beside it."), ["docs beside"]);
});

test("in Go, words and phrases are found in names and in comments of several lines", () => {
  const source = 'var pairs, aPair = `nudge`\n// It goes\n// on; a holder "nudge".\nx := 1 // anew';
  assert.deepEqual(rulesIn("mount/fs/a.go", source), [
    "go-names pair",
    "go-names holder",
    "go-names anew",
    "go goes on",
    "go anew",
  ]);
});

test("a phrase may be right in some places", () => {
  assert.deepEqual(rulesIn("docs/a.md", "There is no such file, as with tools such as vim."), []);
  assert.deepEqual(rulesIn("src/a.ts", "// a file beside it"), []);
});
