import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { h } from "preact";
import { useEffect } from "preact/hooks";
import { offersAt } from "../../../../src/web/page/code/code-editor.ts";
import { CodeDiff } from "../../../../src/web/page/code/code-text.ts";
import { keyAt } from "../../../../src/web/page/code/key-at.ts";
import { hintOf } from "../../../../src/web/page/code/schema-hint.ts";
import { hiddenPositions } from "../../../../src/web/page/config/config-editor.ts";
import { EDITORS, hasTypedSecret, isEdited } from "../../../../src/web/page/config/editor-memory.ts";
import { mount } from "../tiny-dom.ts";

test("F2 a difference needs no feature that Safari 17 lacks", async () => {
  const known = globalThis.DisposableStack;
  Reflect.deleteProperty(globalThis, "DisposableStack");
  const { promise, resolve } = Promise.withResolvers<void>();
  const texts = { before: "a = 1\n", after: "a = 2\n", format: "toml" } as const;
  const After = () => {
    useEffect(resolve, []);
    return null;
  };
  const both = () => [h(CodeDiff, { ...texts, labels: { before: "Before", after: "After" } }), h(After, {})];
  const page = mount(both, {});
  await promise;
  assert.equal(page.named("pre", "After").textContent, "a = 2\n");
  page[Symbol.dispose]();
  globalThis.DisposableStack = known;
});

test("F2 typed text is stored for its session, and marked as unsaved until it is saved", () => {
  const session = {};
  const editor = EDITORS.storeOf(session, "", () => ({ base: null, text: "" }));
  assert.equal(isEdited(EDITORS.find(session)), false, "nothing was read yet");
  const base = { path: "/c.toml", format: "toml", sha256: "0".repeat(64), text: "a = 1\n" } as const;
  editor.set({ base, text: "a = 2\n" });
  assert.equal(isEdited(EDITORS.find(session)), true);
  assert.equal(isEdited(EDITORS.find({})), false, "another session's");
  // A save holds for the text that was sent; what was typed meanwhile is not in it.
  editor.set({ base: { ...base, text: "a = 2\n" } });
  assert.equal(isEdited(EDITORS.find(session)), false);
});

const TOML = `# top
check = 1
[sync]
poll_interval = 2.0
[[shares]]
name = "A"
[shares.extra]
deep.key = 1
[backends.files]
args = [
  "one",
  "two",
]
env."A B" = "x"
half
[backends."odd.name"
`;

const YAML = `sync:
  poll_interval: 2
shares:
  - name: A
    driver: local
  - name: B
backends:
  files:
    args:
      - one
      - two
    half
`;

/** The path where the mark stands; the cursor is behind it. */
function at(text: string, mark: string, format: "toml" | "yaml"): string {
  return keyAt(text, text.indexOf(mark) + mark.length, format).join(" ");
}

test("F2 the key at the cursor is shown in TOML, including half-written lines", () => {
  const places: readonly (readonly [string, string])[] = [
    ["# top", ""],
    ["check", "check"],
    ["[sync", "sync"],
    ["poll_interval = 2", "sync poll_interval"],
    ['name = "A"', "shares [] name"],
    ["deep.key", "shares [] extra deep key"],
    ['"two"', "backends files args"],
    ["A B", "backends files env A B"],
    ["half", "backends files half"],
    ['"odd.name"', "backends odd.name"],
  ];
  for (const [mark, path] of places) assert.equal(at(TOML, mark, "toml"), path, mark);
  assert.equal(
    at(TOML.replace("half\n", "half\n\n# here\n"), "# here", "toml"),
    "backends files",
    "a new key",
  );
});

test("F2 and in YAML", () => {
  const places: readonly (readonly [string, string])[] = [
    ["sync:", "sync"],
    ["poll_interval", "sync poll_interval"],
    ["name: A", "shares [] name"],
    ["driver", "shares [] driver"],
    ["name: B", "shares [] name"],
    ["- two", "backends files args []"],
    ["half", "backends files half"],
  ];
  for (const [mark, path] of places) assert.equal(at(YAML, mark, "yaml"), path, mark);
});

test("no text and no position makes it fail", () => {
  const piece = fc.constantFrom("[", "]", "[[a", "a.b", '"', "=", "\n", "  ", "- ", ": ", "#", "x", "'");
  fc.assert(
    fc.property(
      fc.array(piece),
      fc.nat(80),
      fc.constantFrom("toml" as const, "yaml" as const),
      (pieces, offset, format) => {
        assert.ok(Array.isArray(keyAt(pieces.join(""), offset, format)));
      },
    ),
  );
});

test("E3 invisible characters are found in the editor's text, line by line", () => {
  assert.deepEqual(hiddenPositions("plain\nurl = 1\n"), []);
  const [found] = hiddenPositions("plain\nurl = \u202egpj\n");
  assert.deepEqual(found, { line: 2, column: 1, text: "1 unseen character (U+202E)", severity: "warning" });
  assert.equal(hiddenPositions("\u202e\n".repeat(100)).length, 20);
});

const SCHEMA: unknown = JSON.parse(
  await readFile(path.resolve(import.meta.dirname, "../../../../docs/reference/config.schema.json"), "utf8"),
);

test("F2 the hint for a key has its type, its default and its documentation", () => {
  const hint = hintOf(SCHEMA, ["sync", "poll_interval"]);
  assert.equal(hint?.key, "sync.poll_interval");
  assert.equal(hint?.type, "number, 0.05 to 3600");
  assert.equal(hint?.defaultText, "2");
  assert.match(hint?.description ?? "", /How often the file is checked/);
  assert.equal(hintOf(SCHEMA, ["sync", "detection"])?.type, 'one of "mtime", "hash", "inotify"');
});

test("a list's items, and user-named entries, have hints", () => {
  assert.equal(hintOf(SCHEMA, ["shares", "[]", "name"])?.key, "shares[].name");
  assert.equal(hintOf(SCHEMA, ["backends", "anything", "args"])?.type, "list");
  assert.ok(hintOf(SCHEMA, ["sync"])?.keys.includes("debounce"));
  assert.ok(hintOf(SCHEMA, [])?.keys.includes("shares"));
});

test("an unknown key has no hint", () => {
  for (const none of [["nonsense"], ["sync", "nonsense"], ["sync", "toString"], ["sync", "enabled", "x"]])
    assert.equal(hintOf(SCHEMA, none), null, none.join("."));
  assert.equal(hintOf(null, ["x"]), null);
});

/** What is offered at the end of the text: what is typed of it, and the first ones as they would be written. */
function offered(text: string, format: "toml" | "yaml" = "toml"): readonly [string, readonly string[]] {
  const start = text.lastIndexOf("\n") + 1;
  const { typed, offers } = offersAt(SCHEMA, text.slice(0, start), text.slice(start), format);
  return [text.slice(text.length - typed), offers.map(({ apply }) => apply)];
}

test("F2 at each position the keys and values of the schema are offered, in the file's format", () => {
  const places: readonly (readonly [string, "toml" | "yaml", string, string])[] = [
    ["", "toml", "", "[sync]"],
    ["", "toml", "", "[[shares]]"],
    ["", "toml", "", "[backends."],
    ["[sy", "toml", "sy", "sync"],
    ["[[sh", "toml", "sh", "shares"],
    ["[sync]\ndeb", "toml", "deb", "debounce = "],
    ["[[shares]]\nname = 'a'\n", "toml", "", "thunderbolt_host = "],
    ['[sync]\ndetection = "mt', "toml", '"mt', '"mtime"'],
    ["[sync]\nenabled = ", "toml", "", "false"],
    ["sync:\n  deb", "yaml", "deb", "debounce: "],
    ["shares:\n  - nam", "yaml", "nam", "name: "],
    ["sync:\n  detection: ", "yaml", "", '"hash"'],
    ["s", "yaml", "s", "sync:"],
  ];
  for (const [text, format, typed, apply] of places) {
    const [rest, all] = offered(text, format);
    assert.equal(rest, typed, text);
    assert.ok(all.includes(apply), `${text}: ${all}`);
  }
  for (const none of ["[sync]\nnonsense = ", "[nonsense]\n", "# a comment"])
    assert.deepEqual(offered(none)[1], []);
  assert.ok(!offered("[sync]\n")[1].includes("[shares]"), "a section is no key of another");
});

test("F4 a plain secret is recognized, a reference to one is not taken for it", () => {
  for (const text of [
    'password = "hunter2"',
    "password: hunter2",
    "client_secret = 'x'",
    'Authorization = "Bearer x"',
    "api_key=1",
  ])
    assert.equal(hasTypedSecret(`a = 1\n${text}\n`), true, text);
  for (const text of [
    'password = "${NAS}"',
    "password: secret:nas",
    'password = ""',
    "[secrets]",
    "token = {",
    "password =",
    // A search that begins anew at each empty line would hold the page up for minutes.
    "\n".repeat(500_000),
  ])
    assert.equal(hasTypedSecret(`a = 1\n${text}\n`), false, text.slice(0, 20));
});
