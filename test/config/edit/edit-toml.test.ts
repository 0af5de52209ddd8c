// Edits of TOML files change what was asked and nothing else.
import { describe } from "node:test";
import { add, POLL, remove, set, table, unset } from "./edit-table.ts";

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
      "that a share in an array of inline tables has already",
      'shares = [\n  { name = "A", driver = "auto" }, # first\n  { name = "B" },\n]\n',
      set(["shares", "A", "driver"], "rclone"),
      'shares = [\n  { name = "A", driver = "rclone" }, # first\n  { name = "B" },\n]\n',
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
      "removed from an array, the next one's comments above and beside it stay",
      'shares = [\n  { name = "A" }, # a\n  # about B\n  { name = "B" }, # b\n]\n',
      remove("A"),
      'shares = [\n  # about B\n  { name = "B" }, # b\n]\n',
    ],
    [
      "removed from the middle of an array, the comments around it stay",
      'shares = [\n  { name = "A" }, # a\n  { name = "B" }, # b\n  # about C\n  { name = "C" }, # c\n]\n',
      remove("B"),
      'shares = [\n  { name = "A" }, # a\n  # about C\n  { name = "C" }, # c\n]\n',
    ],
    [
      "removed from a line of several, the last one's comment stays",
      'shares = [\n  { name = "A" }, { name = "B" }, # b\n]\n',
      remove("A"),
      'shares = [\n  { name = "B" }, # b\n]\n',
    ],
    [
      "removed beside its bracket, the comment of the next line stays",
      'shares = [{ name = "A" }, # a\n  # about B\n  { name = "B" }]\n',
      remove("A"),
      'shares = [ # a\n  # about B\n  { name = "B" }]\n',
    ],
    [
      "removed, a header's comment right below it stays",
      '[[shares]]\nname = "A"\n# about B\n[[shares]]\nname = "B"\n',
      remove("A"),
      '# about B\n[[shares]]\nname = "B"\n',
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
