// Edits of YAML files change what was asked and nothing else.
import { describe } from "node:test";
import { add, POLL, remove, set, table, unset } from "./edit-table.ts";

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
