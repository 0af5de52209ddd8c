// Edits of YAML files change what was asked and nothing else.
import { describe } from "node:test";
import { add, POLL, remove, set, table, unset } from "./edit-table.ts";

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

describe("B9 what nests in YAML is indented as the file's own sections are", () => {
  table("yaml", [
    [
      "though a list before them is indented otherwise",
      "shares:\n  - name: A\nsync:\n    enabled: true\n",
      set(["global", "check_interval"], 5),
      "shares:\n  - name: A\nsync:\n    enabled: true\n\nglobal:\n    check_interval: 5\n",
    ],
    [
      "as a list is where there is no section",
      "shares:\n    - name: A\n",
      set(["global", "check_interval"], 5),
      "shares:\n    - name: A\n\nglobal:\n    check_interval: 5\n",
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
    [
      "removed with the comments inside it, not with the next one's",
      "shares:\n  - name: A # a\n    # in A\n  # about B\n  - name: B # b\n",
      remove("A"),
      "shares:\n  # about B\n  - name: B # b\n",
    ],
    [
      "removed, the comment below an empty line stays",
      "shares:\n  - name: A\n\n  # about B\n  - name: B\n",
      remove("A"),
      "shares:\n\n  # about B\n  - name: B\n",
    ],
    [
      "removed from the middle, the comments around it stay",
      "shares:\n- name: A # a\n# about B\n- name: B # b\n# about C\n- name: C # c\n",
      remove("B"),
      "shares:\n- name: A # a\n# about B\n# about C\n- name: C # c\n",
    ],
    [
      "removed from brackets over lines, the next one's comments stay",
      "shares: [\n  {name: A}, # a\n  # about B\n  {name: B} # b\n]\n",
      remove("A"),
      "shares: [\n  # about B\n  {name: B} # b\n]\n",
    ],
    ["removed, the last", "shares:\n  - name: A\nsync:\n", remove("A"), "shares:\nsync:\n"],
    ["removed from brackets", "shares: [{name: A}, {name: B}]\n", remove("B"), "shares: [{name: A}]\n"],
  ]);
});
