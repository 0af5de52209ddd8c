// Random documents and random edits: what results means what was asked for, and nothing else changed.
import assert from "node:assert/strict";
import { it, test } from "node:test";
import { parse as parseTomlValues } from "smol-toml";
import { parse as parseYamlValues } from "yaml";
import { editConfig } from "../../../src/config/edit/edit.ts";
import type { ConfigEdit } from "../../../src/config/edit/edit-meaning.ts";
import { configEdit, splitKey } from "../../../src/config/edit/key-path.ts";
import { applySplices } from "../../../src/config/edit/splice.ts";
import { LARGEST_FILE_BYTES } from "../../../src/config/read/source-text.ts";
import type { ConfigFormat } from "../../../src/config/snapshot.ts";
import { nameKey } from "../../../src/config/values/names.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { goldenTests } from "../../support/golden.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { randomEdits, randomTexts } from "../random-config.ts";
import { EDITS, edit, load } from "../read/hostile-text.ts";
import { bytes } from "../support.ts";

type Table = Record<string, unknown>;

const RUNS = runsOf(600);

function plainData(text: string, format: ConfigFormat): Table {
  const clean = text.replace(/^\ufeff/, "");
  const value: unknown = format === "toml" ? parseTomlValues(clean) : parseYamlValues(clean, { merge: true });
  return JSON.parse(JSON.stringify(value ?? {})) as Table;
}

function tables(value: unknown): Table[] {
  return Array.isArray(value) ? (value as Table[]) : [];
}

/** A table at a path of names, made on the way. */
function tableAt(data: Table, path: readonly string[]): Table {
  let table = data;
  for (const name of path) {
    const actual = table[name];
    const next: Table = typeof actual === "object" && actual !== null ? (actual as Table) : {};
    table[name] = next;
    table = next;
  }
  return table;
}

/** Without the tables that were made, or left, with nothing in them. */
function removeAt(data: Table, path: readonly string[]): void {
  const [key = "", ...rest] = path;
  const actual = data[key];
  if (rest.length === 0) delete data[key];
  else if (typeof actual === "object" && actual !== null) removeAt(actual as Table, rest);
}

/** The edit on plain data: written apart from the editor's own model of it. */
function expected(before: Table, edit: ConfigEdit): Table | "unknown" | "taken" {
  const after = structuredClone(before);
  if (edit.kind === "add") {
    assert.equal(edit.list, "shares", "random files have no aliases");
    after["shares"] = [...tables(after["shares"]), structuredClone(edit.entry)];
    return after;
  }
  if (edit.kind === "add-backend" || (edit.kind === "remove" && edit.list === "backends")) {
    const actual = (after["backends"] ?? {}) as Table;
    if (edit.kind === "remove") {
      if (!Object.hasOwn(actual, edit.name)) return "unknown";
      delete actual[edit.name];
      return after;
    }
    if (Object.hasOwn(actual, edit.name)) return "taken";
    tableAt(after, ["backends"])[edit.name] = JSON.parse(JSON.stringify(edit.backend));
    return after;
  }
  if (edit.kind !== "remove" && edit.keyPath[0] === "backends") {
    const path = edit.keyPath.map(String);
    if (edit.kind === "unset") removeAt(after, path);
    else tableAt(after, path.slice(0, -1))[path.at(-1) ?? ""] = JSON.parse(JSON.stringify(edit.value));
    return after;
  }
  const name = edit.kind === "remove" ? edit.name : edit.keyPath[0] === "shares" ? edit.keyPath[1] : null;
  const index = tables(after["shares"]).findIndex(
    (share) => typeof share["name"] === "string" && nameKey(share["name"]) === nameKey(String(name)),
  );
  if (name !== null && index === -1) return "unknown";
  if (edit.kind === "remove") {
    after["shares"] = tables(after["shares"]).toSpliced(index, 1);
    return after;
  }
  const key = String(edit.keyPath.at(-1));
  const section = String(edit.keyPath[0]);
  const target = name === null ? ((after[section] ?? {}) as Table) : (tables(after["shares"])[index] ?? {});
  if (edit.kind === "set") target[key] = JSON.parse(JSON.stringify(edit.value));
  else delete target[key];
  if (name === null) after[section] = target;
  return after;
}

const REFUSALS: Readonly<Record<string, readonly string[]>> = {
  unknown: ["share_unknown", "backend_unknown"],
  taken: ["usage"],
};

/** A section without keys says as much as none, and so does a table in a backend; the order of backends counts. */
function withoutEmptySections(data: Table): Table {
  const isFull = ([, section]: [string, unknown]): boolean =>
    section !== null && (typeof section !== "object" || Object.keys(section).length > 0);
  const tidied = Object.entries(data).map(([name, section]): [string, unknown] => {
    if (name !== "backends") return [name, section];
    const backends = Object.entries((section ?? {}) as Table).map(([key, backend]): [string, unknown] => [
      key,
      Object.fromEntries(Object.entries((backend ?? {}) as Table).filter(isFull)),
    ]);
    return [name, Object.fromEntries(backends.filter(isFull))];
  });
  return Object.fromEntries(tidied.filter(isFull));
}

function commentMarks(text: string): string[] {
  return text.match(/(?:F|T:[^;"'\r\n]*?:)\d+;/g) ?? [];
}

/** Comments that may go with what an edit removes or replaces. */
function mayGo(mark: string, edit: ConfigEdit): boolean {
  if (edit.kind === "remove" && edit.list === "backends") return mark.startsWith(`T:backend ${edit.name}`);
  if (edit.kind === "remove")
    return mark.startsWith(`T:share ${edit.name}.`) || mark.startsWith(`T:share ${edit.name}:`);
  if (edit.kind !== "unset") return false;
  if (edit.keyPath[0] === "backends")
    return mark.startsWith(`T:backend ${edit.keyPath[1]}.${edit.keyPath.slice(2).join(".")}:`);
  const owner = edit.keyPath[0] === "shares" ? `share ${edit.keyPath[1]}` : edit.keyPath[0];
  return mark.startsWith(`T:${owner}.${edit.keyPath.at(-1)}:`);
}

function lineBreaks(text: string): Set<string> {
  return new Set(text.match(/\r?\n/g));
}

/** How many lines lie between the first and the last difference, in the text before. */
function touchedLines(before: string, after: string): number {
  const old = before.split("\n");
  const fresh = after.split("\n");
  let start = 0;
  while (start < old.length && start < fresh.length && old[start] === fresh[start]) start += 1;
  let tail = 0;
  const most = Math.min(old.length, fresh.length) - start;
  while (tail < most && old[old.length - 1 - tail] === fresh[fresh.length - 1 - tail]) tail += 1;
  return old.length - start - tail;
}

for (const format of ["toml", "yaml"] as const) {
  test(`B9 any edit of any ${format} file has the requested meaning and keeps every other byte`, async (t) => {
    let changed = 0;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(randomTexts(format), randomEdits, async ({ text }, edit) => {
        const before = plainData(text, format);
        const wanted = expected(before, edit);
        let edited: Awaited<ReturnType<typeof editConfig>>;
        try {
          edited = await editConfig({ bytes: bytes(text), format, edits: [edit] });
        } catch (error) {
          assert.ok(error instanceof MountaineerError, String(error));
          if (typeof wanted === "string") assert.ok(REFUSALS[wanted]?.includes(error.code), error.code);
          else {
            refused += 1;
            assert.equal(error.code, "config_uneditable");
            throw error;
          }
          return;
        }
        assert.ok(typeof wanted !== "string");
        const after = new TextDecoder("utf-8", { ignoreBOM: true }).decode(edited.bytes);
        const same = withoutEmptySections(wanted);
        assert.deepEqual(withoutEmptySections(plainData(after, format)), same, after);
        const order = (data: Table): string[] => Object.keys((data["backends"] ?? {}) as Table);
        const kept = withoutEmptySections(plainData(after, format));
        assert.deepEqual(order(kept), order(same), after);
        if (!edited.changed) {
          assert.equal(after, text);
          return;
        }
        changed += 1;
        const mark = text.startsWith("\ufeff") ? "\ufeff" : "";
        const [splices = []] = edited.changes;
        assert.equal(mark + applySplices(text.slice(mark.length), splices), after);
        const lost = commentMarks(text).filter(
          (comment) => !after.includes(comment) && !mayGo(comment, edit),
        );
        assert.deepEqual(lost, [], after);
        assert.deepEqual(
          commentMarks(after).filter((comment) => !text.includes(comment)),
          [],
        );
        if (text.includes("\n"))
          assert.ok(
            [...lineBreaks(after)].every((eol) => lineBreaks(text).has(eol)),
            after,
          );
        // One line's value, or the line before a new one that gets a comma; a share's removal takes its lines along.
        if (edit.kind === "set" || edit.kind === "add") assert.ok(touchedLines(text, after) <= 2, after);
        if (edit.kind === "unset") assert.ok(touchedLines(text, after) <= 4, after);
      }),
      { numRuns: RUNS },
    );
    t.diagnostic(`${changed} changed, ${refused} refused`);
    assert.ok(changed > RUNS / 4);
  });

  test(`B9 edits one after the other (${format})`, async () => {
    await fc.assert(
      fc.asyncProperty(
        randomTexts(format),
        fc.array(randomEdits, { maxLength: 8 }),
        async ({ text }, edits) => {
          let wanted: Table = plainData(text, format);
          let now = bytes(text);
          for (const edit of edits) {
            const next = expected(wanted, edit);
            if (typeof next === "string") continue;
            // A second share of one name can no more be told apart.
            if (edit.kind === "add" && tables(wanted["shares"]).some(({ name }) => name === "NEW")) continue;
            now = Uint8Array.from((await editConfig({ bytes: now, format, edits: [edit] })).bytes);
            // As the file has it: what an edit left with nothing in it may be there, or not.
            wanted = plainData(new TextDecoder("utf-8", { ignoreBOM: true }).decode(now), format);
            assert.deepEqual(withoutEmptySections(wanted), withoutEmptySections(next));
          }
        },
      ),
      { numRuns: Math.ceil(RUNS / 4) },
    );
  });
}

// Ways to write a file that random-config.ts does not take: what can be changed is changed rightly, the rest refused.
const ODD: readonly (readonly [format: ConfigFormat, text: string])[] = [
  ["yaml", "x: &g {shares_root: a, host: &h b}\nglobal: *g\nserver:\n  <<: *g\n  port: *h\n"],
  ["yaml", "shares:\n  - &a\n    name: CORE\n    driver: auto\n  - <<: *a\n    name: Büro\n  - *a\n"],
  ["yaml", "? global\n: ? shares_root\n  : ~/S # c\n  ? host\n? sync\nserver:\n"],
  [
    "yaml",
    "%YAML 1.2\n---\nglobal: !!map\n  shares_root: !!str 5 # c\n  lsof_recheck: &l true\n...\n# end\n",
  ],
  [
    "yaml",
    "global:\n  shares_root: >+\n    folded\n    text\n\n\nsync:\n  detection: |2-\n      deep\n\n  # c\n",
  ],
  ["yaml", "global:\n  shares_root: |+\n    kept\n\n"],
  [
    "yaml",
    "{\n  global: {shares_root: a # c\n    , lsof_recheck: true}\n  , sync: { }, # d\n  shares: [ {name: CORE} # e\n  ]\n}\n",
  ],
  ["yaml", "shares:\n- - name: CORE\n- name: Büro\n  driver:\n    - a\n    # in\n    - b\n    # after\n"],
  [
    "yaml",
    "global: {shares_root: 'a\n    b', lsof_recheck: \"c\n    d\"}\nsync:\n  detection: e\n    f # g\n",
  ],
  ["yaml", "shares: # all\n\n  # one\n  -   # odd\n    name: CORE\n  -\n    name: Büro # two\n    # three\n"],
  ["yaml", "--- # doc\nglobal: null\nsync: ~\nserver: # none\nshares: []\n"],
  [
    "toml",
    "global . shares_root = 1\n\"sync\" . 'enabled' = true\n[server]\n[[shares]]\nname = 'CORE'\nx.y = 1\n[shares.z]\n",
  ],
  ["toml", "shares = [ # c\n  {name='CORE'} # d\n  , {\n name = 'Büro', # e\n } # f\n  ,\n]\n"],
  ["toml", "global = {shares_root = [1, # c\n 2], lsof_recheck = '''\na''' # d\n, }\n"],
  [
    "toml",
    '[other]\n[[ shares ]] # c\n  name = "CORE"\n\n  [shares . "a b"]\n  c = 1\n[[shares]]\nname="Büro"\n[global]\n',
  ],
  ["toml", "[global.sub]\nx = 1\n[sync]\n# only\n# comments"],
  ["toml", "[sync]\r\nenabled = true\nserver.port = 1\r\n# mixed\n"],
];

test("B9 odd files are changed correctly or refused, never spoilt", async (t) => {
  let changed = 0;
  const refused = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...ODD), randomEdits, async ([format, text], edit) => {
      const wanted = expected(plainData(text, format), edit);
      try {
        const edited = await editConfig({ bytes: bytes(text), format, edits: [edit] });
        assert.ok(typeof wanted !== "string");
        const after = new TextDecoder("utf-8", { ignoreBOM: true }).decode(edited.bytes);
        assert.deepEqual(withoutEmptySections(plainData(after, format)), withoutEmptySections(wanted), after);
        if (edited.changed) changed += 1;
        if (edit.kind !== "set" && edit.kind !== "add") return;
        // Those inside a list go with it.
        const comments = (text.match(/# \w+/g) ?? []).filter((comment) => !/# (c|in)$/.test(comment));
        assert.deepEqual(
          comments.filter((comment) => !after.includes(comment)),
          [],
          after,
        );
      } catch (error) {
        if (!(error instanceof MountaineerError)) throw error;
        if (typeof wanted === "string") assert.ok(REFUSALS[wanted]?.includes(error.code), error.message);
        else assert.equal(error.code, "config_uneditable", error.message);
        if (typeof wanted !== "string") refused.set(text, (refused.get(text) ?? 0) + 1);
      }
    }),
    { numRuns: RUNS * 2 },
  );
  t.diagnostic(`${changed} changed`);
  for (const [text, count] of refused) t.diagnostic(`${count} refused of ${JSON.stringify(text)}`);
  assert.ok(changed > RUNS / 4);
});

// Large configurations of every kind: each is read and edited in bounded time. Half the largest that there may be with
// MOUNTAINEER_PROPERTIES=all.
/** Texts of at most so many bytes. */
function textsOf(most: number): readonly (readonly [name: string, text: string])[] {
  const lines = (length: number, line: (index: number) => string, bytesInAll = most - 100): string =>
    Array.from({ length: Math.floor(bytesInAll / length) - 100 }, (_, index) => line(index)).join("\n");
  return [
    ["nested arrays", `a = ${"[".repeat(most - 4)}`],
    ["nested inline tables", `a = ${"{a=".repeat(most / 3 - 4)}`],
    ["a long dotted key", `a.${"a.".repeat(most / 2 - 8)}a = 1`],
    ["a long dotted header", `[${"a.".repeat(most / 2 - 8)}a]`],
    ["many keys", Array.from({ length: most / 12 }, (_, index) => `k${index} = 1`).join("\n")],
    ["many broken lines", "a = \n".repeat(most / 5)],
    ["many doubled keys", "a = 1\n".repeat(most / 6)],
    ["many shares", "[[shares]]\n".repeat(most / 11)],
    ["many headers", "[a]\n".repeat(most / 4)],
    ["an endless string", `a = "${"x".repeat(most - 8)}`],
    ["many escapes", `a = "${"\\u0041".repeat(most / 6 - 4)}"`],
    ["nested sequences", "- ".repeat(most / 2)],
    ["nested flows", "{a: ".repeat(most / 4)],
    ["nested keys", "? ".repeat(most / 2)],
    ["quotes", '"'.repeat(most)],
    ["anchors", "&a ".repeat(most / 3)],
    ["documents", "---\n".repeat(most / 4)],
    ["an endless key", "k".repeat(most)],
    ["spaces", " ".repeat(most)],
    ["dots", ".".repeat(most)],
    ["many backends", lines(24, (index) => `[backends.b${index}]`)],
    ["many backends in YAML", `backends:\n${lines(28, (index) => `  b${index}: {command: x}`)}`],
    ["many keys that a backend lacks", `[backends.b]\n${lines(14, (index) => `k${index} = 1`)}`],
    [
      "many bad names",
      `[backends.b]\ncommand = "x"\n[backends.b.env]\n${lines(16, (index) => `"-${index}" = ""`)}`,
    ],
    [
      "many variables",
      `[backends.b]\ncommand = "x"\n[backends.b.env]\n${lines(18, (index) => `v${index} = "\${X}"`)}`,
    ],
    [
      "many tools",
      `[backends.b]\ncommand = "x"\n${lines(34, (index) => `tool_overrides.t${index}.name = "x"`)}`,
    ],
    ["many references", `[backends.b]\ncommand = "x"\nenv.A = "${"${X}".repeat(8000)}"`],
    ["many half references", `[backends.b]\ncommand = "x"\nenv.A = "${"$".repeat(most - 60)}"`],
    ["many users", "[[incoming_auth.users]]\n".repeat(most / 24)],
    ["many policies", "[[authorization.policies]]\n".repeat(most / 27)],
    ["aliases", `a: &a [${"1,".repeat(1000)}]\nb: [${"*a,".repeat(most / 4)}]`],
  ];
}

// Twice what the longest need. A mistake whose cost grows with the square needs more, at an eighth of the largest size, too.
const SIZE = Math.ceil(runsOf(LARGEST_FILE_BYTES) / 2);
const AT_MOST_MS = (12_000 * SIZE) / LARGEST_FILE_BYTES;

for (const file of ["config.toml", "config.yaml"])
  for (const [name, text] of textsOf(SIZE - 8)) {
    test(`a large file of ${name} as ${file} ends in bounded time`, async (t) => {
      const took = await load(bytes(text), file);
      const [asked] = EDITS;
      assert.ok(asked !== undefined);
      const edited = await edit(bytes(text), file, asked);
      t.diagnostic(`read ${took.toFixed(0)} ms, edited ${edited.toFixed(0)} ms`);
      assert.ok(took < AT_MOST_MS && edited < AT_MOST_MS, `${took} and ${edited} ms`);
    });
  }

// Edits of TOML and YAML files change what was asked and nothing else. Golden texts: what it is about, the edits, the file.
/** `KEY = JSON` and `KEY unset` as they are, `KEY := TEXT` as a person types it; entries of lists and backends come and go. */
function editOf(words: string): ConfigEdit {
  const [, key = "", sign, rest = ""] = /^(.*?) (:?=|unset$) ?(.*)$/.exec(words) ?? [];
  if (sign === ":=") return configEdit(key, rest);
  if (sign === "=") return { kind: "set", keyPath: splitKey(key), value: JSON.parse(rest) };
  if (sign === "unset") return { kind: "unset", keyPath: splitKey(key) };
  const [, verb, list = "shares", name = "", json = ""] =
    /^(add|remove) (backends )?([^ {]*) ?(.*)$/.exec(words) ?? assert.fail(words);
  if (verb === "remove") return { kind: "remove", list: list === "shares" ? list : "backends", name };
  const entry = JSON.parse(json);
  return name === "" ? { kind: "add", list: "shares", entry } : { kind: "add-backend", name, backend: entry };
}

async function edited(format: ConfigFormat, text: string, edits: ConfigEdit[]): Promise<string> {
  const result = await editConfig({ bytes: bytes(text), format, edits });
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(result.bytes);
}

/** The text after, where what stood there and what stands there now are between marks: `‹before→after›`. */
function marked(before: string, after: string): string {
  if (before === after) return after;
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start++;
  let end = 0;
  while (end < most - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  const middle = (text: string): string => text.slice(start, text.length - end);
  return `${before.slice(0, start)}‹${middle(before)}→${middle(after)}›${before.slice(before.length - end)}`;
}

goldenTests(new URL("edit.golden", import.meta.url), async (input, [format = "toml"]) => {
  assert.ok(format === "toml" || format === "yaml");
  const [, words = "", text = ""] = /^.*?\| (.*?) \| ?([\s\S]*)\n$/.exec(input) ?? assert.fail(input);
  try {
    const edits = words.split(" & ").map(editOf);
    const after = await edited(format, text, edits);
    const crlf = (of: string): string => (text === "" ? of : of.replaceAll("\n", "\r\n"));
    assert.equal(await edited(format, crlf(text), edits), crlf(after), `${input} with CRLF`);
    assert.equal(await edited(format, `\ufeff${text}`, edits), `\ufeff${after}`, `${input} with a mark`);
    return marked(text, after).replaceAll("\n", "⏎");
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    return [error.code, error.message, ...(error.hint === null ? [] : [`(${error.hint})`])].join(": ");
  }
});

it("bytes that are not text are not edited", async () => {
  const edits = [editOf("sync.poll_interval = 1")];
  const request = { bytes: new Uint8Array([0x61, 0xff]), format: "toml", edits } as const;
  await assert.rejects(editConfig(request), { code: "config_invalid" });
});
