// Edits of TOML files change what was asked and nothing else.
import { describe } from "node:test";
import { add, POLL, remove, set, table, unset } from "./edit-table.ts";

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
