// Edits as tables: what stood there, what was asked, what stands there now.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { editConfig } from "../../src/config/edit.ts";
import type { ConfigEdit } from "../../src/config/edit-meaning.ts";
import type { ConfigValue } from "../../src/config/edit-value.ts";
import type { KeyPath } from "../../src/config/mistakes.ts";
import type { ConfigFormat } from "../../src/config/snapshot.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { bytes } from "./support.ts";

function set(keyPath: KeyPath, value: ConfigValue): ConfigEdit {
  return { kind: "set", keyPath, value };
}

function unset(...keyPath: KeyPath): ConfigEdit {
  return { kind: "unset", keyPath };
}

function add(share: { readonly [key: string]: ConfigValue }): ConfigEdit {
  return { kind: "add-share", share };
}

function remove(name: string): ConfigEdit {
  return { kind: "remove-share", name };
}

async function edited(format: ConfigFormat, text: string, ...edits: ConfigEdit[]): Promise<string> {
  const result = await editConfig({ bytes: bytes(text), format, edits });
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(result.bytes);
}

async function refusal(
  format: ConfigFormat,
  text: string,
  ...edits: ConfigEdit[]
): Promise<MountaineerError> {
  try {
    const after = await edited(format, text, ...edits);
    throw new assert.AssertionError({ message: `not refused:\n${after}` });
  } catch (error) {
    if (error instanceof MountaineerError) return error;
    throw error;
  }
}

type Row = readonly [title: string, before: string, edit: ConfigEdit | ConfigEdit[], after: string];

function table(format: ConfigFormat, rows: readonly Row[]): void {
  for (const [title, before, edits, after] of rows) {
    it(title, async () => {
      assert.equal(await edited(format, before, ...[edits].flat()), after);
      const crlf = (text: string): string => (before === "" ? text : text.replaceAll("\n", "\r\n"));
      assert.equal(await edited(format, crlf(before), ...[edits].flat()), crlf(after), "with CRLF");
      assert.equal(
        await edited(format, `\ufeff${before}`, ...[edits].flat()),
        `\ufeff${after}`,
        "with a mark",
      );
    });
  }
}

const POLL: KeyPath = ["sync", "poll_interval"];

describe("B9 a TOML value is set in place", () => {
  table("toml", [
    [
      "beside its comment, with its spacing",
      "# top\n[sync]\n  poll_interval   =  2.0   # often\ndebounce=1\n",
      set(POLL, 0.5),
      "# top\n[sync]\n  poll_interval   =  0.5   # often\ndebounce=1\n",
    ],
    [
      "in an inline table",
      "sync = { poll_interval=2, debounce = 1 } # c\n",
      set(POLL, 5),
      "sync = { poll_interval=5, debounce = 1 } # c\n",
    ],
    [
      "by a dotted key",
      "sync.poll_interval = 2 # c\nsync . debounce = 1\n",
      set(POLL, 5),
      "sync.poll_interval = 5 # c\nsync . debounce = 1\n",
    ],
    [
      "in the quotes that were there",
      '[global]\nshares_root = \'~/S\'\nmount_root = """/a"""\n',
      [set(["global", "shares_root"], "~/T"), set(["global", "mount_root"], '/"b"')],
      '[global]\nshares_root = \'~/T\'\nmount_root = """/\\"b\\""""\n',
    ],
    [
      "in other quotes where the old ones cannot hold it",
      "[global]\nshares_root = '~/S'\n",
      set(["global", "shares_root"], "~/Ann's\tfiles"),
      '[global]\nshares_root = "~/Ann\'s\\tfiles"\n',
    ],
    [
      "of the share that is named, whatever the letter case",
      '[[shares]]\nname = "A"\ndriver = "auto"\n[[shares]]\nname = "Büro"\ndriver = "auto" # x\n',
      set(["shares", "BU\u0308RO", "driver"], "local"),
      '[[shares]]\nname = "A"\ndriver = "auto"\n[[shares]]\nname = "Büro"\ndriver = "local" # x\n',
    ],
    [
      "of a share in an array of inline tables",
      'shares = [\n  { name = "A", driver = "auto" }, # first\n  { name = "B" },\n]\n',
      set(["shares", "B", "driver"], "rclone"),
      'shares = [\n  { name = "A", driver = "auto" }, # first\n  { name = "B", driver = "rclone" },\n]\n',
    ],
    [
      "to the same: nothing changes",
      "[sync]\npoll_interval = 2.0\n",
      set(POLL, 2),
      "[sync]\npoll_interval = 2.0\n",
    ],
    [
      "over several lines before",
      "[x]\na = [\n 1, # one\n 2\n] # end\nb = 1\n",
      set(["x", "a"], [3]),
      "[x]\na = [3] # end\nb = 1\n",
    ],
  ]);
});

describe("B9 a TOML key is added where it belongs", () => {
  table("toml", [
    ["to an empty file", "", set(POLL, 5), "[sync]\npoll_interval = 5\n"],
    ["to a file of comments", "# hello\n", set(POLL, 5), "# hello\n\n[sync]\npoll_interval = 5\n"],
    [
      "after the last key of its section, as that is written",
      "[sync]\n\tenabled=true # c\n\n# about global\n[global]\n",
      set(POLL, 5),
      "[sync]\n\tenabled=true # c\n\tpoll_interval=5\n\n# about global\n[global]\n",
    ],
    [
      "to an empty section",
      "[sync] # c\n[global]\n",
      set(POLL, 5),
      "[sync] # c\npoll_interval = 5\n[global]\n",
    ],
    [
      "at the end of a file without a final newline",
      "[sync]\nenabled = true",
      set(POLL, 5),
      "[sync]\nenabled = true\npoll_interval = 5",
    ],
    [
      "beside dotted keys",
      "sync.enabled = true # c\n[global]\n",
      set(POLL, 5),
      "sync.enabled = true # c\nsync.poll_interval = 5\n[global]\n",
    ],
    [
      "to an inline table",
      "sync = {enabled = true}\n",
      set(POLL, 5),
      "sync = {enabled = true, poll_interval = 5}\n",
    ],
    ["to an empty inline table", "sync = {} # c\n", set(POLL, 5), "sync = { poll_interval = 5 } # c\n"],
    [
      "to an inline table over several lines",
      "sync = {\n  enabled = true, # c\n  debounce = 1 # d\n}\n",
      set(POLL, 5),
      "sync = {\n  enabled = true, # c\n  debounce = 1, # d\n  poll_interval = 5\n}\n",
    ],
    [
      "to a share with a table below it",
      '[[shares]]\nname = "A"\n[shares.x]\ny = 1\n[[shares]]\nname = "B"\n',
      set(["shares", "A", "driver"], "local"),
      '[[shares]]\nname = "A"\ndriver = "local"\n[shares.x]\ny = 1\n[[shares]]\nname = "B"\n',
    ],
    [
      "deeper than any section",
      "[backends.a]\ncommand = 'x'\n",
      set(["backends", "a", "env", "MY KEY"], "v"),
      '[backends.a]\ncommand = \'x\'\n\n[backends.a.env]\n"MY KEY" = "v"\n',
    ],
  ]);
});

describe("B9 a TOML key is removed alone", () => {
  table("toml", [
    [
      "with its own comment, not with others'",
      "[sync]\n# foreign\npoll_interval = 2 # own\n# foreign too\nenabled = true\n",
      unset(...POLL),
      "[sync]\n# foreign\n# foreign too\nenabled = true\n",
    ],
    ["that is not there: nothing changes", "[sync]\n", unset(...POLL), "[sync]\n"],
    [
      "first of an inline table",
      "sync = { poll_interval = 2, enabled = true }\n",
      unset(...POLL),
      "sync = { enabled = true }\n",
    ],
    [
      "last of an inline table",
      "sync = { enabled = true, poll_interval = 2 }\n",
      unset(...POLL),
      "sync = { enabled = true }\n",
    ],
    ["alone in an inline table", "sync = { poll_interval = 2 }\n", unset(...POLL), "sync = {  }\n"],
    [
      "on a line of an inline table",
      "sync = {\n  enabled = true, # c\n  poll_interval = 5 # own\n}\n",
      unset(...POLL),
      "sync = {\n  enabled = true # c\n}\n",
    ],
    ["dotted, the only one", "sync.poll_interval = 2\n[global]\n", unset(...POLL), "[global]\n"],
    [
      "a whole section",
      "[a]\nx = 1\n\n# about sync\n[sync]\n# in it\nx = 1\n\n[b]\n",
      unset("sync"),
      "[a]\nx = 1\n\n# about sync\n\n[b]\n",
    ],
    [
      "a value over several lines",
      '[x]\na = """\none\ntwo""" # own\nb = 1\n',
      unset("x", "a"),
      "[x]\nb = 1\n",
    ],
  ]);
});

describe("B9 TOML shares come and go", () => {
  table("toml", [
    [
      "the first one",
      "[sync]\n",
      add({ name: "A", driver: "local" }),
      '[sync]\n\n[[shares]]\nname = "A"\ndriver = "local"\n',
    ],
    [
      "after the last one and what is below it",
      '  [[shares]]\n    name = "A"\n    # driver = "auto"\n\n# about sync\n[sync]\n',
      add({ name: "B", driver: "local" }),
      '  [[shares]]\n    name = "A"\n    # driver = "auto"\n\n  [[shares]]\n    name = "B"\n    driver = "local"\n\n# about sync\n[sync]\n',
    ],
    [
      "before the comment of what follows",
      '[[shares]]\nname = "A"\n# about sync\n[sync]\n',
      add({ name: "B" }),
      '[[shares]]\nname = "A"\n\n[[shares]]\nname = "B"\n\n# about sync\n[sync]\n',
    ],
    [
      "in an array",
      'shares = [{ name = "A" }]\n',
      add({ name: "B" }),
      'shares = [{ name = "A" }, { name = "B" }]\n',
    ],
    ["in an empty array", "shares = [ ]\n", add({ name: "B" }), 'shares = [{ name = "B" }]\n'],
    [
      "removed, the first",
      '# head\n\n# about A\n[[shares]]\nname = "A" # a\n[shares.x]\ny = 1\n\n# about B\n[[shares]]\nname = "B"\n',
      remove("a"),
      '# head\n\n# about A\n\n# about B\n[[shares]]\nname = "B"\n',
    ],
    ["removed, the last", 'x = 1\n\n[[shares]]\nname = "A"\n', remove("A"), "x = 1\n"],
    [
      "removed from an array",
      'shares = [\n  { name = "A" }, # a\n  { name = "B" }, # b\n]\n',
      remove("A"),
      'shares = [\n  { name = "B" }, # b\n]\n',
    ],
    [
      "several edits see each other",
      "",
      [
        add({ name: "A" }),
        set(["shares", "A", "name"], "B"),
        set(["shares", "B", "driver"], "local"),
        unset("shares", "b", "name"),
      ],
      '[[shares]]\ndriver = "local"\n',
    ],
  ]);
});

describe("B9 a YAML value is set in place", () => {
  table("yaml", [
    [
      "beside its comment, with its spacing",
      "# top\nsync:\n    poll_interval:   2.0   # often\n    debounce: 1\n",
      set(POLL, 0.5),
      "# top\nsync:\n    poll_interval:   0.5   # often\n    debounce: 1\n",
    ],
    [
      "between brackets",
      "sync: {poll_interval: 2, debounce: 1} # c\n",
      set(POLL, 5),
      "sync: {poll_interval: 5, debounce: 1} # c\n",
    ],
    [
      "in the quotes that were there",
      "global:\n  shares_root: '~/S'\n  mount_root: \"/a\"\n  x: plain\n",
      [
        set(["global", "shares_root"], "~/T's"),
        set(["global", "mount_root"], '/"b"'),
        set(["global", "x"], "10.0.0.1"),
      ],
      "global:\n  shares_root: '~/T''s'\n  mount_root: \"/\\\"b\\\"\"\n  x: 10.0.0.1\n",
    ],
    [
      "in quotes where it would be no text without",
      "global:\n  x: plain\n  y: plain\n  z: plain\n",
      [set(["global", "x"], "true"), set(["global", "y"], "1.5"), set(["global", "z"], "a: b #c")],
      'global:\n  x: "true"\n  y: "1.5"\n  z: "a: b #c"\n',
    ],
    [
      "where nothing was written",
      "sync:\n  poll_interval: # c\n  debounce: 1\n",
      set(POLL, 5),
      "sync:\n  poll_interval: 5 # c\n  debounce: 1\n",
    ],
    [
      "behind its anchor",
      "sync:\n  poll_interval: &p 2 # c\n",
      set(POLL, 5),
      "sync:\n  poll_interval: &p 5 # c\n",
    ],
    [
      "in place of an alias",
      "x: &p 2\nsync:\n  poll_interval: *p # c\n",
      set(POLL, 5),
      "x: &p 2\nsync:\n  poll_interval: 5 # c\n",
    ],
    [
      "in place of a block of text",
      "shares:\n  - name: |- # why\n      A\n      B\n    driver: auto\n",
      set(["shares", 0, "name"], "C"),
      "shares:\n  - name: C # why\n    driver: auto\n",
    ],
    [
      "in place of a list",
      "x:\n  a: # c\n    - 1\n    - 2 # d\n  b: 1\n",
      set(["x", "a"], [3, "why"]),
      "x:\n  a: [3, why] # c\n  b: 1\n",
    ],
    [
      "of a share by its name",
      "shares:\n- name: A\n- name: B # b\n  driver: auto\n",
      set(["shares", "b", "driver"], "local"),
      "shares:\n- name: A\n- name: B # b\n  driver: local\n",
    ],
  ]);
});

describe("B9 a YAML key is added where it belongs", () => {
  table("yaml", [
    ["to an empty file", "", set(POLL, 5), "sync:\n  poll_interval: 5\n"],
    ["to a file of comments", "# hello\n", set(POLL, 5), "# hello\n\nsync:\n  poll_interval: 5\n"],
    [
      "with the file's indentation",
      "global:\n    x: 1 # c\n",
      set(POLL, 5),
      "global:\n    x: 1 # c\n\nsync:\n    poll_interval: 5\n",
    ],
    [
      "after the last key of its section",
      "sync:\n   enabled: true # c\n\n   # foreign\nglobal:\n",
      set(POLL, 5),
      "sync:\n   enabled: true # c\n   poll_interval: 5\n\n   # foreign\nglobal:\n",
    ],
    [
      "to an empty section",
      "sync: # c\n  # debounce: 1\nglobal:\n    x: 1\n",
      set(POLL, 5),
      "sync: # c\n    poll_interval: 5\n  # debounce: 1\nglobal:\n    x: 1\n",
    ],
    [
      "to an empty section between brackets",
      "sync: {} # c\n",
      set(POLL, 5),
      "sync: {poll_interval: 5} # c\n",
    ],
    [
      "between brackets",
      "sync: { enabled: true }\n",
      set(POLL, 5),
      "sync: { enabled: true, poll_interval: 5 }\n",
    ],
    [
      "to a file between brackets",
      '{"sync": {"enabled": true}}\n',
      set(["global", "x"], 1),
      '{"sync": {"enabled": true}, global: {x: 1}}\n',
    ],
    [
      "to a share",
      "shares:\n  - name: A # a\n  - name: B\n    driver: auto\n",
      set(["shares", "A", "driver"], "local"),
      "shares:\n  - name: A # a\n    driver: local\n  - name: B\n    driver: auto\n",
    ],
    [
      "over what `<<` brings",
      "x: &x {driver: auto}\nshares:\n  - name: A\n    <<: *x\n",
      set(["shares", "A", "driver"], "local"),
      "x: &x {driver: auto}\nshares:\n  - name: A\n    <<: *x\n    driver: local\n",
    ],
    [
      "before the document's end",
      "global:\n  x: 1\n...\n",
      set(POLL, 5),
      "global:\n  x: 1\nsync:\n  poll_interval: 5\n...\n",
    ],
    [
      "after a block of text",
      "sync:\n  x: |\n    a\n\n\n# c\nglobal:\n",
      set(POLL, 5),
      "sync:\n  x: |\n    a\n  poll_interval: 5\n\n\n# c\nglobal:\n",
    ],
    [
      "at the end of a file without a final newline",
      "sync:\n  enabled: true",
      set(POLL, 5),
      "sync:\n  enabled: true\n  poll_interval: 5",
    ],
  ]);
});

describe("B9 a YAML key is removed alone", () => {
  table("yaml", [
    [
      "with its own comment, not with others'",
      "sync:\n  # foreign\n  poll_interval: 2 # own\n  # foreign too\n  enabled: true\n",
      unset(...POLL),
      "sync:\n  # foreign\n  # foreign too\n  enabled: true\n",
    ],
    [
      "the only one of a section",
      "sync:\n  poll_interval: 2\n  # foreign\nglobal:\n  x: 1\n",
      unset(...POLL),
      "sync:\n  # foreign\nglobal:\n  x: 1\n",
    ],
    [
      "beside the dash",
      "shares:\n  - name: A # own\n    driver: auto\n",
      unset("shares", "A", "name"),
      "shares:\n  - driver: auto\n",
    ],
    [
      "beside the dash, with a foreign comment below",
      "shares:\n  - name: A # own\n    # foreign\n    driver: auto\n",
      unset("shares", "A", "name"),
      "shares:\n  -\n    # foreign\n    driver: auto\n",
    ],
    [
      "the only one of a share",
      "shares:\n  - name: A # own\n  - name: B\n",
      unset("shares", "A", "name"),
      "shares:\n  - {}\n  - name: B\n",
    ],
    [
      "between brackets",
      "sync: {enabled: true, poll_interval: 2}\n",
      unset(...POLL),
      "sync: {enabled: true}\n",
    ],
    [
      "a whole section",
      "a: 1\nsync:\n  # in it\n  x: 1\n# foreign\nb: 2\n",
      unset("sync"),
      "a: 1\n# foreign\nb: 2\n",
    ],
  ]);
});

describe("B9 YAML shares come and go", () => {
  table("yaml", [
    [
      "the first one",
      "sync: # c\n",
      add({ name: "A", driver: "local" }),
      "sync: # c\n\nshares:\n  - name: A\n    driver: local\n",
    ],
    [
      "below an empty key",
      "shares: # c\nsync:\n",
      add({ name: "A", port: 1 }),
      "shares: # c\n  - name: A\n    port: 1\nsync:\n",
    ],
    ["in an empty list", "shares: [] # c\n", add({ name: "A" }), "shares: [{name: A}] # c\n"],
    [
      "after the last, as that is written",
      "shares:\n-   name: A # a\n# foreign\nsync:\n",
      add({ name: "B", x: 1 }),
      "shares:\n-   name: A # a\n-   name: B\n    x: 1\n# foreign\nsync:\n",
    ],
    [
      "with an empty line between",
      "shares:\n  - name: A\n\n  - name: B\n",
      add({ name: "C" }),
      "shares:\n  - name: A\n\n  - name: B\n\n  - name: C\n",
    ],
    [
      "removed, the first",
      "shares:\n  # about A\n  - name: A\n    x: 1 # a\n  # about B\n  - name: B\n",
      remove("A"),
      "shares:\n  # about A\n  # about B\n  - name: B\n",
    ],
    ["removed, the last", "shares:\n  - name: A\nsync:\n", remove("A"), "shares:\nsync:\n"],
    ["removed from brackets", "shares: [{name: A}, {name: B}]\n", remove("B"), "shares: [{name: A}]\n"],
  ]);
});

describe("B9 what cannot be changed alone is not changed at all", () => {
  const rows: readonly [string, ConfigFormat, string, ConfigEdit, string, RegExp][] = [
    [
      "a value that others take by alias",
      "yaml",
      "x: &p 2\ny: *p\n",
      set(["x"], 3),
      "config_uneditable",
      /`y` would not/,
    ],
    [
      "a share that others are merged from",
      "yaml",
      "shares:\n  - &a {name: A, d: 1}\n  - {<<: *a, name: B}\n",
      set(["shares", "A", "d"], 2),
      "config_uneditable",
      /`shares\[1\]\.d` would not/,
    ],
    [
      "what an alias stands for",
      "yaml",
      "x: &x {a: 1}\nsync: *x\n",
      set(["sync", "b"], 3),
      "config_uneditable",
      /alias/,
    ],
    [
      "a key that comes by `<<`",
      "yaml",
      "x: &x {a: 1}\nsync:\n  <<: *x\n",
      unset("sync", "a"),
      "config_uneditable",
      /another place/,
    ],
    [
      "an anchor that is used",
      "yaml",
      "shares:\n  - &a {name: A}\n  - {<<: *a, name: B}\n",
      remove("A"),
      "config_uneditable",
      /read any more/,
    ],
    [
      "a section set to a value",
      "toml",
      "[sync]\nx = 1\n",
      set(["sync"], 3),
      "config_uneditable",
      /is a table/,
    ],
    [
      "a key below what is no table",
      "toml",
      "sync = 1\n",
      set(["sync", "x"], 3),
      "config_uneditable",
      /no table/,
    ],
    [
      "an unknown share",
      "toml",
      '[[shares]]\nname = "CORE"\n',
      set(["shares", "COR", "x"], 3),
      "share_unknown",
      /COR/,
    ],
    [
      "an unknown index",
      "toml",
      '[[shares]]\nname = "CORE"\n',
      set(["shares", 1, "x"], 3),
      "share_unknown",
      /shares\[1\]/,
    ],
    [
      "a name that two shares have",
      "toml",
      '[[shares]]\nname = "A"\n[[shares]]\nname = "a"\n',
      remove("A"),
      "config_uneditable",
      /two shares/,
    ],
    ["a file with mistakes of syntax", "toml", "[sync]\nx =\n", set(POLL, 1), "config_invalid", /2:4/],
    ["a file with mistakes of syntax", "yaml", "sync: [\n", set(POLL, 1), "config_invalid", /at \d+:\d+/],
    ["a file in two documents", "yaml", "sync:\n---\n", set(POLL, 1), "config_invalid", /second document/],
    ["half a character", "toml", "", set(["global", "x"], "\ud800"), "usage", /half a character/],
    ["NUL", "toml", "", set(["global", "x"], "\0"), "usage", /NUL/],
  ];
  for (const [title, format, text, edit, code, message] of rows) {
    it(`${title} (${format})`, async () => {
      const error = await refusal(format, text, edit);
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
    });
  }

  it("bytes that are no text", async () => {
    const edits = [set(POLL, 1)];
    const request = { bytes: new Uint8Array([0x61, 0xff]), format: "toml", edits } as const;
    await assert.rejects(editConfig(request), { code: "config_invalid" });
  });

  it("an unknown share is answered with the one that was meant", async () => {
    const error = await refusal("toml", '[[shares]]\nname = "CORE"\n', remove("COER"));
    assert.equal(error.hint, 'did you mean "CORE"?');
  });
});
