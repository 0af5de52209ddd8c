import assert from "node:assert/strict";
import { test } from "node:test";
import type { CatalogReport } from "../../../src/api/contract/catalog.ts";
import { mayDestroy } from "../../../src/api/words/tool-hints.ts";
import {
  type CatalogItem,
  catalogItems,
  itemDetails,
  searchItems,
} from "../../../src/tui/catalog/catalog-items.ts";
import { catalogHints, catalogLines } from "../../../src/tui/catalog/catalog-lines.ts";
import {
  ANSWER_LIMIT,
  answerText,
  type CatalogAction,
  type CatalogState,
  EMPTY_CATALOG,
  pressCatalogKey,
  withAnswer,
  withCalling,
  withCatalog,
  withCatalogSize,
} from "../../../src/tui/catalog/catalog-state.ts";
import { catalogOf } from "../../api/sample-gateway.ts";
import { keys } from "../keys.ts";
import { textOf, viewOf } from "../views.ts";

type Tool = CatalogReport["tools"][number];

function tool(name: string, over: Partial<Tool> = {}): Tool {
  return {
    name,
    original_name: name,
    backend: "lab",
    input_schema: { type: "object", properties: {} },
    ...over,
  };
}

function press(
  state: CatalogState,
  typed: string,
): { state: CatalogState; action: CatalogAction | null; used: boolean } {
  let step: { state: CatalogState; action: CatalogAction | null; used: boolean } = {
    state,
    action: null,
    used: false,
  };
  for (const key of keys(typed)) step = pressCatalogKey(step.state, key);
  return step;
}

function shown(state: CatalogState, width = 100, height = 20): string {
  const sized = withCatalogSize(state, { width, height });
  const lines = catalogLines(sized, { ...viewOf(width), height });
  assert.ok(lines.length <= height, `${lines.length} lines in ${height}`);
  return textOf(lines).join("\n");
}

const MIXED = catalogOf([tool("read_file", { description: "Reads a file.\nMore." }), tool("wipe")], {
  prompts: [{ name: "greet", original_name: "greet", backend: "lab", arguments: [] }],
  resources: [{ uri: "file:///a", name: "a", backend: "disk" }],
  resource_templates: [{ uri_template: "file:///{p}", name: "t", backend: "disk" }],
  withheld: [
    { backend: "lab", kind: "tool", name: "secret", reason: "filter", why: "a filter keeps it back" },
  ],
});

test("D1 the catalog lists all kinds, and what is kept from clients with the reason", () => {
  const text = shown(withCatalog(EMPTY_CATALOG, MIXED));
  for (const row of [
    /▸ tool +read_file +lab +Reads a file\.$/m,
    /prompt +greet/,
    /resource +file:\/\/\/a +disk/,
    /template +file:\/\/\/\{p\}/,
    /withheld +secret +lab +a filter keeps it back/,
  ])
    assert.match(text, row);
  assert.match(shown(withCatalog(EMPTY_CATALOG, catalogOf([]))), /nothing is offered yet/);
  const left = { tools: 7, resources: 0, resource_templates: 0, prompts: 0, withheld: 0 };
  assert.match(
    shown(withCatalog(EMPTY_CATALOG, catalogOf([tool("a")], { left_out: left }))),
    /7 more left out/,
  );
});

test("D1 a search needs all words, anywhere; names that begin with it come first", () => {
  const schema = { type: "object", properties: { encoding: {} } };
  const items = catalogItems(
    catalogOf([
      tool("my_read"),
      tool("x", { description: "can read" }),
      tool("read_all", { input_schema: schema }),
    ]),
  );
  const found = (query: string): string[] => searchItems(items, query).map(({ name }) => name);
  assert.deepEqual(found("READ"), ["read_all", "my_read", "x"]);
  assert.deepEqual(found("read can"), ["x"]);
  assert.deepEqual(found("encoding"), ["read_all"]);
  assert.deepEqual(found("lab"), ["my_read", "x", "read_all"]);
  assert.deepEqual(found("  "), ["my_read", "x", "read_all"]);
  assert.deepEqual(found("nothing"), []);
});

test("D1 thousands of tools are searched and listed; the chosen one stays chosen when the list changes", () => {
  const many = Array.from({ length: 5_000 }, (_, index) =>
    tool(`tool_${index}`, { description: "does things ".repeat(20) }),
  );
  let { state } = press(withCatalog(EMPTY_CATALOG, catalogOf(many)), "/tool_49<down>");
  assert.equal(state.found[state.at]?.name, "tool_490");
  assert.match(shown(state), /111 of 5000/);
  state = withCatalog(state, catalogOf([tool("tool_4900"), ...many.slice(100)]));
  assert.equal(state.found[state.at]?.name, "tool_490");
  assert.equal(press(state, "<end><enter>").state.found.length, state.found.length);
  assert.deepEqual(press(state, "<enter><escape>").state.query.text, "");
});

test("D1 of 5,000 tools a typed letter looks at each once, a move at none, and a picture at its rows", () => {
  const tools = Array.from({ length: 5_000 }, (_, index) =>
    tool(`tool_${index}`, { description: `Does thing ${index}.\n${"more ".repeat(100)}` }),
  );
  const counts = { sought: 0, name: 0, summary: 0 };
  const loaded = withCatalog(EMPTY_CATALOG, catalogOf(tools));
  const items = (loaded.items ?? []).map((item) => {
    const counting = { ...item };
    for (const name of ["sought", "name", "summary"] as const)
      Object.defineProperty(counting, name, {
        get: () => {
          counts[name] += 1;
          return item[name];
        },
      });
    return counting;
  });
  const counted = (work: () => CatalogState): { state: CatalogState; counts: typeof counts } => {
    Object.assign(counts, { sought: 0, name: 0, summary: 0 });
    return { state: work(), counts: { ...counts } };
  };
  const none = { sought: 0, name: 0, summary: 0 };
  const start = { ...loaded, items, found: items };
  const typed = counted(() => press(start, "/t").state);
  assert.deepEqual(typed.counts, { ...none, sought: 5_000 });
  const words = counted(() => press(typed.state, "ool 4").state);
  assert.ok(words.counts.sought <= 5_000 * 8, `${words.counts.sought} looks for five letters`);
  const moved = counted(() => press(start, "<down><pagedown><end><up><home>").state);
  assert.deepEqual(moved.counts, none);
  const page = press(withCatalogSize(start, { width: 100, height: 24 }), "<pagedown>").state.at;
  assert.ok(page > 12 && page < 24, `a page of ${page} in 24 rows`);
  for (const at of [0, 2_500, 4_999]) {
    const drawn = counted(() => {
      catalogLines({ ...start, at }, { ...viewOf(120), height: 24 });
      return start;
    });
    assert.ok(drawn.counts.name <= 2 * 24 && drawn.counts.summary <= 24, JSON.stringify(drawn.counts));
    assert.equal(drawn.counts.sought, 0);
  }
});

test("D1 keys lead from the list to details, form and back; letters that mean nothing are the frame's", () => {
  const list = withCatalog(EMPTY_CATALOG, MIXED);
  assert.equal(press(list, "s").used, false);
  assert.deepEqual(press(list, "r").action, { kind: "load" });
  const details = press(list, "<enter>").state;
  assert.match(shown(details), /read_file {2}\(tool\)[\s\S]*Reads a file\.\nMore\./);
  const form = press(details, "<enter>").state;
  assert.equal(form.page.kind, "form");
  assert.equal(press(form, "<escape>").state.page.kind, "details");
  assert.equal(press(form, "<escape><escape>").state.page.kind, "list");
  const prompt = press(list, "<down><down><enter>").state;
  assert.match(shown(prompt), /greet {2}\(prompt\)/);
  assert.equal(press(prompt, "<enter>").state.page.kind, "details", "only tools are called");
});

const ANNOTATIONS: readonly [annotations: object | undefined, mayDestroy: boolean][] = [
  [undefined, true],
  [{}, true],
  [{ destructiveHint: true }, true],
  [{ destructiveHint: false }, false],
  [{ readOnlyHint: true }, false],
  [{ readOnlyHint: true, destructiveHint: true }, true],
  [{ readOnlyHint: "yes" }, true],
];

test("D1 a tool is asked about unless it says that it reads only or destroys nothing", () => {
  for (const [annotations, expected] of ANNOTATIONS) {
    const given = annotations === undefined ? {} : { annotations: { ...annotations } };
    const [item] = catalogItems(catalogOf([tool("t", given)]));
    assert.equal(
      mayDestroy((item as CatalogItem).entry["annotations"]),
      expected,
      JSON.stringify(annotations),
    );
  }
});

test("D1 an answer is shown where its call was made; one that was given up is not", () => {
  const form = press(withCatalog(EMPTY_CATALOG, MIXED), "<enter><enter>").state;
  const { action } = press(form, "<save>");
  assert.ok(action?.kind === "call");
  assert.deepEqual([action.item.name, action.arguments, action.mayDestroy], ["read_file", {}, true]);
  const calling = withCalling(form);
  assert.match(shown(calling), /Esc cancels it/);
  assert.equal(press(calling, "x<enter>").state.page.kind, "calling");
  const given = press(calling, "<escape>");
  assert.deepEqual(given.action, { kind: "cancel" });
  const result = { content: [{ type: "text", text: "late" }] };
  assert.equal(withAnswer(given.state, { result, error: null }, 5).page.kind, "form");
  const answered = withAnswer(calling, { result, error: null }, 5);
  assert.match(shown(answered), /✓ read_file answered in 5 ms\nlate/);
  assert.equal(press(answered, "<escape>").state.page.kind, "form");
});

test("D1 what is long is searched and shown in part, and a schema that was cut is typed as JSON", () => {
  const long = tool("long", { description: `${"a ".repeat(1_000)}needle` });
  const items = catalogItems(catalogOf([long]));
  assert.equal(searchItems(items, "needle").length, 0);
  assert.equal(searchItems(items, "long a").length, 1);
  const huge = tool("huge", { input_schema: { properties: { a: { description: "x".repeat(70_000) } } } });
  assert.match(itemDetails(catalogItems(catalogOf([huge]))[0] ?? assert.fail()), /… cut off/);
  const cut = withCatalog(EMPTY_CATALOG, catalogOf([{ ...tool("cut"), cut: true }]));
  const { page } = press(cut, "<enter><enter>").state;
  assert.ok(page.kind === "form" && page.form.raw !== null);
  assert.ok(
    answerText({ result: { content: [{ type: "text", text: "\ud800" }] }, error: null }).text.isWellFormed(),
  );
});

test("D1 an answer is text whatever it holds: bounded, binary named by its size, and failures told", () => {
  const content = [
    { type: "text", text: "one\n\u001b[31mred" },
    { type: "image", mimeType: "image/png", data: "AAAA" },
    { type: "resource", resource: { uri: "file:///a", text: "inner" } },
    { type: "resource", resource: { uri: "file:///b", blob: "AAA=" } },
    { type: "new", more: 1 },
    7,
  ];
  const { text, isGood } = answerText({
    result: { content, structuredContent: { n: 1 }, _meta: { m: 2 } },
    error: null,
  });
  assert.equal(isGood, true);
  for (const part of [
    "[image image/png, 3 bytes]",
    "[file:///a]\ninner",
    "[file:///b, 2 bytes]",
    '"more": 1',
    "structured:\n",
    '"m": 2',
  ])
    assert.ok(text.includes(part), part);
  assert.equal(answerText({ result: { content, isError: true }, error: null }).isGood, false);
  const failed = answerText({ result: null, error: { code: -32602, message: "no", data: { why: 1 } } });
  assert.deepEqual([failed.isGood, failed.text.split("\n")[0]], [false, "error -32602: no"]);
  assert.equal(answerText({ result: {}, error: null }).text, "(nothing)");
  const long = answerText({
    result: { content: [{ type: "text", text: "é".repeat(ANSWER_LIMIT + 10) }] },
    error: null,
  });
  assert.deepEqual([long.text.length, long.cutOff], [ANSWER_LIMIT, 10]);
});

test("D1 every page fits from 60 by 15 to 200 by 60, and nothing foreign is obeyed by a terminal", () => {
  const evil = "\u001b[2J\u202eevil\r\n\t漢字 ".repeat(30);
  const list = withCatalog(
    EMPTY_CATALOG,
    catalogOf([tool(evil, { description: evil, title: evil, output_schema: { title: evil } })]),
  );
  const form = press(list, "<enter><enter>").state;
  const answer = withAnswer(
    withCalling(form),
    { result: { content: [{ type: "text", text: evil }] }, error: null },
    1,
  );
  const pages = [
    EMPTY_CATALOG,
    list,
    press(list, "/x").state,
    press(list, "<enter>").state,
    form,
    press(form, "<enter>").state,
    withCalling(form),
    answer,
  ];
  for (const page of pages) {
    for (const [width, height] of [
      [60, 15],
      [80, 24],
      [200, 60],
    ] as const) {
      const text = shown(page, width, height);
      assert.ok(!text.includes("\u001b") && !text.includes("\u202e") && !text.includes("\r"));
    }
    assert.ok(catalogHints(page, "←→").length > 0);
  }
});

test("F2 o switches the chosen tool off, and one that is off on again; nothing else is switched", () => {
  const off = {
    backend: "lab",
    kind: "tool",
    name: "gone",
    reason: "off",
    why: "you have switched it off",
  } as const;
  const filtered = { ...off, name: "kept", reason: "filter" } as const;
  const state = withCatalog(EMPTY_CATALOG, catalogOf([tool("echo")], { withheld: [off, filtered] }));
  const switched = (moves: string) => {
    const { action } = press(state, `${moves}o`);
    return action?.kind === "switch" ? [action.item.name, action.on] : action;
  };
  assert.deepEqual(switched(""), ["echo", false]);
  assert.deepEqual(switched("<down>"), ["gone", true]);
  assert.equal(switched("<down><down>"), null);
});
