// Edits of TOML files change what was asked and nothing else.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { editConfig } from "../../../src/config/edit/edit.ts";
import type { ConfigEdit } from "../../../src/config/edit/edit-meaning.ts";
import type { ConfigFormat } from "../../../src/config/snapshot.ts";
import { type ErrorCode, MountaineerError } from "../../../src/runtime/errors.ts";
import { add, edited, POLL, remove, set, table, unset } from "./edit-table.ts";

describe("B9 a TOML value is set in place", () => {
  table("toml", [
    [
      "beside its comment, with its spacing",
      set(POLL, 0.5),
      "# top\n[sync]\n  poll_interval   =  ‹2.0→0.5›   # often\ndebounce=1\n",
    ],
    ["in an inline table", set(POLL, 5), "sync = { poll_interval=‹2→5›, debounce = 1 } # c\n"],
    ["by a dotted key", set(POLL, 5), "sync.poll_interval = ‹2→5› # c\nsync . debounce = 1\n"],
    [
      "in the quotes that were there",
      [set(["global", "shares_root"], "~/T"), set(["global", "mount_root"], '/"b"')],
      '[global]\nshares_root = \'~/‹S\'\nmount_root = """/a→T\'\nmount_root = """/\\"b\\"›"""\n',
    ],
    [
      "in other quotes where the old ones cannot hold it",
      set(["global", "shares_root"], "~/Ann's\tfiles"),
      "[global]\nshares_root = ‹'~/S'→\"~/Ann's\\tfiles\"›\n",
    ],
    [
      "of the share that is named, whatever the letter case",
      set(["shares", "BU\u0308RO", "driver"], "local"),
      '[[shares]]\nname = "A"\ndriver = "auto"\n[[shares]]\nname = "Büro"\ndriver = "‹auto→local›" # x\n',
    ],
    [
      "of a share in an array of inline tables",
      set(["shares", "B", "driver"], "rclone"),
      'shares = [\n  { name = "A", driver = "auto" }, # first\n  { name = "B"‹→, driver = "rclone"› },\n]\n',
    ],
    [
      "that a share in an array of inline tables has already",
      set(["shares", "A", "driver"], "rclone"),
      'shares = [\n  { name = "A", driver = "‹auto→rclone›" }, # first\n  { name = "B" },\n]\n',
    ],
    ["to the same: nothing changes", set(POLL, 2), "[sync]\npoll_interval = 2.0\n"],
    ["to what a face may have for zero", set(POLL, -0), "[sync]\npoll_interval = ‹2→0›\n"],
    ["over several lines before", set(["x", "a"], [3]), "[x]\na = [‹\n 1, # one\n 2\n→3›] # end\nb = 1\n"],
  ]);
});

describe("B9 a TOML key is added where it belongs", () => {
  table("toml", [
    ["to an empty file", set(POLL, 5), "‹→[sync]\npoll_interval = 5\n›"],
    ["to a file of comments", set(POLL, 5), "# hello\n‹→\n[sync]\npoll_interval = 5\n›"],
    [
      "after the last key of its section, as that is written",
      set(POLL, 5),
      "[sync]\n\tenabled=true # c\n‹→\tpoll_interval=5\n›\n# about global\n[global]\n",
    ],
    ["to an empty section", set(POLL, 5), "[sync] # c\n‹→poll_interval = 5\n›[global]\n"],
    [
      "at the end of a file without a final newline",
      set(POLL, 5),
      "[sync]\nenabled = true‹→\npoll_interval = 5›",
    ],
    ["beside dotted keys", set(POLL, 5), "sync.enabled = true # c\n‹→sync.poll_interval = 5\n›[global]\n"],
    ["to an inline table", set(POLL, 5), "sync = {enabled = true‹→, poll_interval = 5›}\n"],
    ["to an empty inline table", set(POLL, 5), "sync = {‹→ poll_interval = 5 ›} # c\n"],
    [
      "to an inline table over several lines",
      set(POLL, 5),
      "sync = {\n  enabled = true, # c\n  debounce = 1‹ # d→, # d\n  poll_interval = 5›\n}\n",
    ],
    [
      "to a share with a table below it",
      set(["shares", "A", "driver"], "local"),
      '[[shares]]\nname = "A"\n‹→driver = "local"\n›[shares.x]\ny = 1\n[[shares]]\nname = "B"\n',
    ],
    [
      "deeper than any section",
      set(["backends", "a", "env", "MY KEY"], "v"),
      '[backends.a]\ncommand = \'x\'\n‹→\n[backends.a.env]\n"MY KEY" = "v"\n›',
    ],
  ]);
});

describe("B9 a TOML key is removed alone", () => {
  table("toml", [
    [
      "with its own comment, not with others'",
      unset(...POLL),
      "[sync]\n# foreign\n‹poll_interval = 2 # own\n→›# foreign too\nenabled = true\n",
    ],
    ["that is not there: nothing changes", unset(...POLL), "[sync]\n"],
    ["first of an inline table", unset(...POLL), "sync = { ‹poll_interval = 2, →›enabled = true }\n"],
    ["last of an inline table", unset(...POLL), "sync = { enabled = true‹, poll_interval = 2→› }\n"],
    ["alone in an inline table", unset(...POLL), "sync = { ‹poll_interval = 2→› }\n"],
    [
      "on a line of an inline table",
      unset(...POLL),
      "sync = {\n  enabled = true‹, # c\n  poll_interval = 5 # own→ # c›\n}\n",
    ],
    ["dotted, the only one", unset(...POLL), "‹sync.poll_interval = 2\n→›[global]\n"],
    ["a whole section", unset("sync"), "[a]\nx = 1\n\n# about sync\n‹[sync]\n# in it\nx = 1\n→›\n[b]\n"],
    ["a value over several lines", unset("x", "a"), '[x]\n‹a = """\none\ntwo""" # own\n→›b = 1\n'],
  ]);
});

describe("B9 TOML shares come and go", () => {
  table("toml", [
    [
      "the first one",
      add({ name: "A", driver: "local" }),
      '[sync]\n‹→\n[[shares]]\nname = "A"\ndriver = "local"\n›',
    ],
    [
      "after the last one and what is below it",
      add({ name: "B", driver: "local" }),
      '  [[shares]]\n    name = "A"\n    # driver = "auto"\n\n‹→  [[shares]]\n    name = "B"\n    driver = "local"\n\n›# about sync\n[sync]\n',
    ],
    [
      "before the comment of what follows",
      add({ name: "B" }),
      '[[shares]]\nname = "A"\n‹→\n[[shares]]\nname = "B"\n\n›# about sync\n[sync]\n',
    ],
    ["in an array", add({ name: "B" }), 'shares = [{ name = "A" }‹→, { name = "B" }›]\n'],
    ["in an empty array", add({ name: "B" }), 'shares = [‹ →{ name = "B" }›]\n'],
    [
      "removed, the first",
      remove("a"),
      '# head\n\n# about A\n‹[[shares]]\nname = "A" # a\n[shares.x]\ny = 1\n→›\n# about B\n[[shares]]\nname = "B"\n',
    ],
    ["removed, the last", remove("A"), 'x = 1\n‹\n[[shares]]\nname = "A"\n→›'],
    [
      "removed from an array",
      remove("A"),
      'shares = [\n  { name = "‹A" }, # a\n  { name = "→›B" }, # b\n]\n',
    ],
    [
      "removed from an array, the next one's comments above and beside it stay",
      remove("A"),
      'shares = [\n  ‹{ name = "A" }, # a\n  →›# about B\n  { name = "B" }, # b\n]\n',
    ],
    [
      "removed from the middle of an array, the comments around it stay",
      remove("B"),
      'shares = [\n  { name = "A" }, # a\n  ‹{ name = "B" }, # b\n  →›# about C\n  { name = "C" }, # c\n]\n',
    ],
    [
      "removed from a line of several, the last one's comment stays",
      remove("A"),
      'shares = [\n  { name = "‹A" }, { name = "→›B" }, # b\n]\n',
    ],
    [
      "removed beside its bracket, the comment of the next line stays",
      remove("A"),
      'shares = [‹{ name = "A" },→› # a\n  # about B\n  { name = "B" }]\n',
    ],
    [
      "removed, a header's comment right below it stays",
      remove("A"),
      '‹[[shares]]\nname = "A"\n→›# about B\n[[shares]]\nname = "B"\n',
    ],
    [
      "several edits see each other",
      [
        add({ name: "A" }),
        set(["shares", "A", "name"], "B"),
        set(["shares", "B", "driver"], "local"),
        unset("shares", "b", "name"),
      ],
      '‹→[[shares]]\ndriver = "local"\n›',
    ],
  ]);
});

// Edits of YAML files change what was asked and nothing else.
describe("B9 a YAML value is set in place", () => {
  table("yaml", [
    [
      "beside its comment, with its spacing",
      set(POLL, 0.5),
      "# top\nsync:\n    poll_interval:   ‹2.0→0.5›   # often\n    debounce: 1\n",
    ],
    ["between brackets", set(POLL, 5), "sync: {poll_interval: ‹2→5›, debounce: 1} # c\n"],
    [
      "in the quotes that were there",
      [
        set(["global", "shares_root"], "~/T's"),
        set(["global", "mount_root"], '/"b"'),
        set(["global", "x"], "10.0.0.1"),
      ],
      'global:\n  shares_root: \'~/‹S\'\n  mount_root: "/a"\n  x: plain→T\'\'s\'\n  mount_root: "/\\"b\\""\n  x: 10.0.0.1›\n',
    ],
    [
      "in quotes where it would be no text without",
      [set(["global", "x"], "true"), set(["global", "y"], "1.5"), set(["global", "z"], "a: b #c")],
      'global:\n  x: ‹plain\n  y: plain\n  z: plain→"true"\n  y: "1.5"\n  z: "a: b #c"›\n',
    ],
    ["where nothing was written", set(POLL, 5), "sync:\n  poll_interval: ‹→5 ›# c\n  debounce: 1\n"],
    ["behind its anchor", set(POLL, 5), "sync:\n  poll_interval: &p ‹2→5› # c\n"],
    ["in place of an alias", set(POLL, 5), "x: &p 2\nsync:\n  poll_interval: ‹*p→5› # c\n"],
    [
      "in place of a block of text",
      set(["shares", 0, "name"], "C"),
      "shares:\n  - name: ‹|- # why\n      A\n      B→C # why›\n    driver: auto\n",
    ],
    [
      "in place of a list",
      set(["x", "a"], [3, "why"]),
      "x:\n  a: ‹# c\n    - 1\n    - 2 # d→[3, why] # c›\n  b: 1\n",
    ],
    [
      "of a share by its name",
      set(["shares", "b", "driver"], "local"),
      "shares:\n- name: A\n- name: B # b\n  driver: ‹auto→local›\n",
    ],
  ]);
});

describe("B9 a YAML key is added where it belongs", () => {
  table("yaml", [
    ["to an empty file", set(POLL, 5), "‹→sync:\n  poll_interval: 5\n›"],
    ["to a file of comments", set(POLL, 5), "# hello\n‹→\nsync:\n  poll_interval: 5\n›"],
    [
      "with the file's indentation",
      set(POLL, 5),
      "global:\n    x: 1 # c\n‹→\nsync:\n    poll_interval: 5\n›",
    ],
    [
      "after the last key of its section",
      set(POLL, 5),
      "sync:\n   enabled: true # c\n‹→   poll_interval: 5\n›\n   # foreign\nglobal:\n",
    ],
    [
      "to an empty section",
      set(POLL, 5),
      "sync: # c\n  ‹→  poll_interval: 5\n  ›# debounce: 1\nglobal:\n    x: 1\n",
    ],
    ["to an empty section between brackets", set(POLL, 5), "sync: {‹→poll_interval: 5›} # c\n"],
    ["between brackets", set(POLL, 5), "sync: { enabled: true‹→, poll_interval: 5› }\n"],
    [
      "to a file between brackets",
      set(["global", "x"], 1),
      '{"sync": {"enabled": true}‹→, global: {x: 1}›}\n',
    ],
    [
      "to a share",
      set(["shares", "A", "driver"], "local"),
      "shares:\n  - name: A # a\n  ‹→  driver: local\n  ›- name: B\n    driver: auto\n",
    ],
    [
      "over what `<<` brings",
      set(["shares", "A", "driver"], "local"),
      "x: &x {driver: auto}\nshares:\n  - name: A\n    <<: *x\n‹→    driver: local\n›",
    ],
    ["before the document's end", set(POLL, 5), "global:\n  x: 1\n‹→sync:\n  poll_interval: 5\n›...\n"],
    [
      "after a block of text",
      set(POLL, 5),
      "sync:\n  x: |\n    a\n‹→  poll_interval: 5\n›\n\n# c\nglobal:\n",
    ],
    [
      "at the end of a file without a final newline",
      set(POLL, 5),
      "sync:\n  enabled: true‹→\n  poll_interval: 5›",
    ],
  ]);
});

describe("B9 what nests in YAML is indented as the file's own sections are", () => {
  table("yaml", [
    [
      "though a list before them is indented otherwise",
      set(["global", "check_interval"], 5),
      "shares:\n  - name: A\nsync:\n    enabled: true\n‹→\nglobal:\n    check_interval: 5\n›",
    ],
    [
      "as a list is where there is no section",
      set(["global", "check_interval"], 5),
      "shares:\n    - name: A\n‹→\nglobal:\n    check_interval: 5\n›",
    ],
  ]);
});

describe("B9 a YAML key is removed alone", () => {
  table("yaml", [
    [
      "with its own comment, not with others'",
      unset(...POLL),
      "sync:\n  # foreign\n  ‹poll_interval: 2 # own\n  →›# foreign too\n  enabled: true\n",
    ],
    [
      "the only one of a section",
      unset(...POLL),
      "sync:\n  ‹poll_interval: 2\n  →›# foreign\nglobal:\n  x: 1\n",
    ],
    ["beside the dash", unset("shares", "A", "name"), "shares:\n  - ‹name: A # own\n    →›driver: auto\n"],
    [
      "beside the dash, with a foreign comment below",
      unset("shares", "A", "name"),
      "shares:\n  -‹ name: A # own→›\n    # foreign\n    driver: auto\n",
    ],
    [
      "the only one of a share",
      unset("shares", "A", "name"),
      "shares:\n  - ‹name: A # own→{}›\n  - name: B\n",
    ],
    ["between brackets", unset(...POLL), "sync: {enabled: true‹, poll_interval: 2→›}\n"],
    ["a whole section", unset("sync"), "a: 1\n‹sync:\n  # in it\n  x: 1\n→›# foreign\nb: 2\n"],
  ]);
});

describe("B9 YAML shares come and go", () => {
  table("yaml", [
    [
      "the first one",
      add({ name: "A", driver: "local" }),
      "sync: # c\n‹→\nshares:\n  - name: A\n    driver: local\n›",
    ],
    ["below an empty key", add({ name: "A", port: 1 }), "shares: # c\n‹→  - name: A\n    port: 1\n›sync:\n"],
    ["in an empty list", add({ name: "A" }), "shares: [‹→{name: A}›] # c\n"],
    [
      "after the last, as that is written",
      add({ name: "B", x: 1 }),
      "shares:\n-   name: A # a\n‹→-   name: B\n    x: 1\n›# foreign\nsync:\n",
    ],
    [
      "with an empty line between",
      add({ name: "C" }),
      "shares:\n  - name: A\n\n  - name: B\n‹→\n  - name: C\n›",
    ],
    [
      "removed, the first",
      remove("A"),
      "shares:\n  # about A\n  ‹- name: A\n    x: 1 # a\n  →›# about B\n  - name: B\n",
    ],
    [
      "removed with the comments inside it, not with the next one's",
      remove("A"),
      "shares:\n  ‹- name: A # a\n    # in A\n  →›# about B\n  - name: B # b\n",
    ],
    [
      "removed, the comment below an empty line stays",
      remove("A"),
      "shares:\n‹  - name: A\n→›\n  # about B\n  - name: B\n",
    ],
    [
      "removed from the middle, the comments around it stay",
      remove("B"),
      "shares:\n- name: A # a\n# about B\n‹- name: B # b\n→›# about C\n- name: C # c\n",
    ],
    [
      "removed from brackets over lines, the next one's comments stay",
      remove("A"),
      "shares: [\n  ‹{name: A}, # a\n  →›# about B\n  {name: B} # b\n]\n",
    ],
    ["removed, the last", remove("A"), "shares:\n‹  - name: A\n→›sync:\n"],
    ["removed from brackets", remove("B"), "shares: [{name: A}‹, {name: B}→›]\n"],
  ]);
});

// Edits that are refused, and the words for it.
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

describe("B9 what cannot be changed alone is not changed at all", () => {
  const rows: readonly [string, ConfigFormat, string, ConfigEdit, RegExp, ErrorCode?][] = [
    ["a value that others take by alias", "yaml", "x: &p 2\ny: *p\n", set(["x"], 3), /`y` would not/],
    [
      "a share that others are merged from",
      "yaml",
      "shares:\n  - &a {name: A, d: 1}\n  - {<<: *a, name: B}\n",
      set(["shares", "A", "d"], 2),
      /`shares\[1\]\.d` would not/,
    ],
    ["what an alias stands for", "yaml", "x: &x {a: 1}\nsync: *x\n", set(["sync", "b"], 3), /alias/],
    [
      "a key that comes by `<<`",
      "yaml",
      "x: &x {a: 1}\nsync:\n  <<: *x\n",
      unset("sync", "a"),
      /another place/,
    ],
    [
      "an anchor that is used",
      "yaml",
      "shares:\n  - &a {name: A}\n  - {<<: *a, name: B}\n",
      remove("A"),
      /read any more/,
    ],
    ["a section set to a value", "toml", "[sync]\nx = 1\n", set(["sync"], 3), /is a table/],
    ["a key below what is no table", "toml", "sync = 1\n", set(["sync", "x"], 3), /no table/],
    [
      "an unknown share",
      "toml",
      '[[shares]]\nname = "CORE"\n',
      set(["shares", "COR", "x"], 3),
      /COR/,
      "share_unknown",
    ],
    [
      "an unknown index",
      "toml",
      '[[shares]]\nname = "CORE"\n',
      set(["shares", 1, "x"], 3),
      /shares\[1\]/,
      "share_unknown",
    ],
    [
      "a name that two shares have",
      "toml",
      '[[shares]]\nname = "A"\n[[shares]]\nname = "a"\n',
      remove("A"),
      /two shares/,
    ],
    ["a file with mistakes of syntax", "toml", "[sync]\nx =\n", set(POLL, 1), /2:4/, "config_invalid"],
    ["a file with mistakes of syntax", "yaml", "sync: [\n", set(POLL, 1), /at \d+:\d+/, "config_invalid"],
    ["a file in two documents", "yaml", "sync:\n---\n", set(POLL, 1), /second document/, "config_invalid"],
    ["half a character", "toml", "", set(["global", "x"], "\ud800"), /half a character/, "usage"],
    ["NUL", "toml", "", set(["global", "x"], "\0"), /NUL/, "usage"],
  ];
  for (const [title, format, text, edit, message, code = "config_uneditable"] of rows) {
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
