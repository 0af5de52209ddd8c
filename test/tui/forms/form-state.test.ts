import assert from "node:assert/strict";
import { test } from "node:test";
import { ITEM_LIMIT } from "../../../src/api/forms/form-node.ts";
import { formLines } from "../../../src/tui/forms/form-lines.ts";
import {
  type CallForm,
  createCallForm,
  type FormAction,
  focusedRow,
  pasteIntoForm,
  pressFormKey,
  withEdited,
} from "../../../src/tui/forms/form-state.ts";
import { keys } from "../keys.ts";
import { textOf, viewOf } from "../views.ts";

function press(form: CallForm, typed: string): { form: CallForm; action: FormAction | null } {
  let now = form;
  let action: FormAction | null = null;
  for (const key of keys(typed)) {
    const step = pressFormKey(now, key);
    now = step.state;
    action = step.action;
  }
  return { form: now, action };
}

function formOf(properties: object, required: readonly string[] = []): CallForm {
  return createCallForm({ type: "object", properties, required });
}

/** What is sent after those keys; a text: the first mistake that is shown. */
function sent(form: CallForm, typed: string): unknown {
  const { form: now, action } = press(form, `${typed}<save>`);
  if (action?.kind === "send") return JSON.parse(JSON.stringify(action.arguments));
  const wrong = textOf(formLines(now, viewOf(100), 60)).find((line) => line.includes("✕"));
  return wrong?.trim();
}

const text = { type: "string" };
const FORMS: readonly [why: string, form: CallForm, keys: string, sent: unknown][] = [
  ["a text", formOf({ a: text }), "hi", { a: "hi" }],
  ["a text is mended", formOf({ a: text }), "hallx<backspace>o<home><delete>H", { a: "Hallo" }],
  ["nothing typed is left out", formOf({ a: text, b: text }), "<tab>x", { b: "x" }],
  ["an empty text can be sent", formOf({ a: text }), "x<backspace>", { a: "" }],
  ["and left out again", formOf({ a: text }), "x<clear>", {}],
  ["a required text", formOf({ a: text }, ["a"]), "", "✕ required"],
  ["too short", formOf({ a: { ...text, minLength: 3 } }), "ab", "✕ at least 3 characters, not 2"],
  ["too long", formOf({ a: { ...text, maxLength: 1 } }), "ab", "✕ at most 1 character, not 2"],
  [
    "a pattern is the server's to check",
    formOf({ a: { ...text, pattern: "(a+)+$" } }),
    "aab!",
    { a: "aab!" },
  ],
  ["a number", formOf({ a: { type: "number" } }), "-0.5e3", { a: -500 }],
  ["no number", formOf({ a: { type: "number" } }), "1,5", "✕ a number, such as 12 or 0.5"],
  ["no whole number", formOf({ a: { type: "integer" } }), "1.5", "✕ a whole number, such as 12"],
  ["a whole number however written", formOf({ a: { type: "integer" } }), "1e3", { a: 1000 }],
  ["a number taken back is left out", formOf({ a: { type: "integer" } }), "1<backspace>", {}],
  ["too large", formOf({ a: { type: "integer", minimum: 1, maximum: 10 } }), "11", "✕ 1 to 10"],
  ["on an excluded bound", formOf({ a: { type: "number", exclusiveMinimum: 0 } }), "0", "✕ more than 0"],
  ["a flag", formOf({ a: { type: "boolean" } }), " ", { a: true }],
  ["a flag turned", formOf({ a: { type: "boolean" } }), "  ", { a: false }],
  ["a flag left out again", formOf({ a: { type: "boolean" } }), "   ", {}],
  ["a flag by its letter", formOf({ a: { type: "boolean" } }), "n", { a: false }],
  ["a required flag", formOf({ a: { type: "boolean" } }, ["a"]), "", "✕ required: choose one"],
  ["a required flag is never left out", formOf({ a: { type: "boolean" } }, ["a"]), "   ", { a: true }],
  ["a choice", formOf({ a: { enum: ["x", "y"] } }), "<right><right>", { a: "y" }],
  ["a choice backwards", formOf({ a: { enum: ["x", "y"] } }), "<left>", { a: "y" }],
  ["a choice by its letter", formOf({ a: { enum: ["red", "green", "grey"] } }), "gg", { a: "grey" }],
  ["a choice of values", formOf({ a: { enum: [1, true] } }), "  ", { a: true }],
  ["the only choice", formOf({ a: { const: "v1" } }, ["a"]), "", { a: "v1" }],
  ["a default is the server's", formOf({ a: { ...text, default: "x" } }), "", {}],
  [
    "a required one's default is filled in",
    formOf({ a: { ...text, default: "x" } }, ["a"]),
    "y",
    { a: "xy" },
  ],
  ["a list", formOf({ a: { type: "array", items: text } }), "<enter>x<backtab><enter>y", { a: ["x", "y"] }],
  [
    "a list's item removed",
    formOf({ a: { type: "array", items: text } }),
    "<enter>x<backtab><enter>y<clear><clear>",
    { a: ["x"] },
  ],
  ["an item without value", formOf({ a: { type: "array", items: text } }), "<enter>", "✕ required"],
  ["a list left out", formOf({ a: { type: "array", items: text } }), "<enter>x<backtab><clear>", {}],
  ["a required list may be empty", formOf({ a: { type: "array", items: text } }, ["a"]), "", { a: [] }],
  [
    "a list too short",
    formOf({ a: { type: "array", items: text, minItems: 2 } }),
    "<enter>x<tab>y<backtab><clear><clear>",
    "✕ at least 2 items, not 1",
  ],
  [
    "a list of objects",
    formOf({ a: { type: "array", items: { type: "object", properties: { n: text } } } }),
    "<enter><tab>x",
    { a: [{ n: "x" }] },
  ],
  [
    "a nested object",
    formOf({ a: { type: "object", properties: { n: text } } }, ["a"]),
    "<tab>x",
    { a: { n: "x" } },
  ],
  [
    "an optional object is left out",
    formOf({ a: { type: "object", properties: { n: text }, required: ["n"] } }),
    "",
    {},
  ],
  [
    "an optional object filled in",
    formOf({ a: { type: "object", properties: { n: text } } }),
    "<enter>x",
    { a: { n: "x" } },
  ],
  [
    "a mistake inside",
    formOf({ a: { type: "object", properties: { n: text }, required: ["n"] } }),
    "<enter>",
    "✕ required",
  ],
  ["required and nullable is null", formOf({ a: { type: ["string", "null"] } }, ["a"]), "", { a: null }],
  [
    "__proto__ is a name as others",
    createCallForm(JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string"}}}')),
    "x",
    JSON.parse('{"__proto__":"x"}'),
  ],
];

test("D1 the form says what is sent, and what is wrong stands at its field before anything is sent", () => {
  for (const [why, form, typed, expected] of FORMS) assert.deepEqual(sent(form, typed), expected, why);
});

test("D1 what cannot be left out or back stays, a list has an end, and a mistaken number is typed on", () => {
  const group = formOf({ a: { type: "object", properties: { b: text } } }, ["a"]);
  assert.deepEqual(sent(group, "<tab>x<up><clear>"), { a: { b: "x" } });
  let list = formOf({ a: { type: "array", items: text } });
  for (let item = 0; item < ITEM_LIMIT + 2; item += 1) list = press(focusedRow(list, 0), "<enter>").form;
  assert.equal(list.root.children[0]?.children.length, ITEM_LIMIT);
  const none = press(createCallForm({ oneOf: [] }), "<clear>").form;
  assert.notEqual(none.raw, null, "there is no form to go back to");
  assert.deepEqual(sent(formOf({ a: { type: "integer", minimum: 100 } }), "12<save>3"), { a: 123 });
});

test("D1 a mistake takes the caret to its field, and the rows go round", () => {
  const form = formOf({ a: text, b: text, c: text }, ["b"]);
  const { form: tried } = press(form, "<save>");
  assert.equal(tried.focus, 1);
  assert.deepEqual(sent(tried, "x"), { b: "x" });
  assert.equal(press(form, "<backtab>").form.focus, 4, "the row that calls");
  assert.equal(press(form, "<backtab><tab>").form.focus, 0);
  const paged = { ...form, pageRows: 2 };
  assert.equal(press(paged, "<pagedown><pagedown><pagedown>").form.focus, 4);
  assert.equal(press(paged, "<pagedown><pagedown><pageup>").form.focus, 2);
  assert.equal(press(form, "<escape>").action?.kind, "leave");
  assert.equal(press(formOf({}), "<tab><enter>").action?.kind, "send");
});

test("D1 numbers beyond what a double holds are sent as they were typed", () => {
  const { action } = press(formOf({ id: { type: "integer" } }), "12345678901234567890<save>");
  assert.ok(action?.kind === "send");
  assert.equal(JSON.stringify(action.arguments), '{"id":12345678901234567890}');
});

test("D1 a pasted text is one text, line breaks and all, and is bounded", () => {
  const form = formOf({ a: text });
  assert.deepEqual(sent(pasteIntoForm(form, "one\r\ntwo\tq"), ""), { a: "one\ntwo\tq" });
  const tooLongForGraphemes = "x".repeat(5_000);
  const walked = pasteIntoForm(form, tooLongForGraphemes);
  assert.deepEqual(sent(walked, "<home><right><left>y"), { a: `y${tooLongForGraphemes}` });
  const { form: long } = press(pasteIntoForm(form, "x".repeat(300_000)), "y");
  assert.deepEqual(sent(long, ""), { a: "y" });
  assert.equal(pasteIntoForm(press(form, "<tab>").form, "x").root, form.root, "no field takes it");
});

test("D1 what a form cannot say is typed as JSON, and wrong JSON is not sent", () => {
  const form = formOf({ a: { oneOf: [text, { type: "number" }] } }, ["a"]);
  const { action } = press(form, "<enter>");
  assert.deepEqual(action, { kind: "edit", path: [0], text: "" });
  assert.deepEqual(
    sent(withEdited(form, [0], "[1,\n2,]"), ""),
    '✕ line 2:3: expected a value: "text", a number, true, false, null, { or [',
  );
  assert.deepEqual(sent(withEdited(form, [0], '{"x": 1}'), ""), { a: { x: 1 } });
  assert.deepEqual(sent(withEdited(form, [0], "  "), ""), "✕ required");
});

test("D1 all arguments can be typed as JSON, and come back into the fields that can hold them", () => {
  const form = press(formOf({ a: text, n: { type: "integer" } }), "x<tab>1").form;
  const { action } = press(form, "<tab><enter>");
  assert.deepEqual(action, { kind: "edit", path: null, text: '{\n  "a": "x",\n  "n": 1\n}' });
  const back = withEdited(form, null, '{"a": "z", "n": 2}');
  assert.equal(back.raw, null);
  assert.deepEqual(sent(back, ""), { a: "z", n: 2 });
  const other = withEdited(form, null, '{"a": "z", "more": [1]}');
  assert.notEqual(other.raw, null);
  assert.deepEqual(sent(other, ""), { a: "z", more: [1] });
  assert.deepEqual(sent(press(other, "<clear>").form, ""), { a: "x", n: 1 }, "back to the form");
  assert.match(String(sent(withEdited(form, null, "[1]"), "")), /expected an object/);
  assert.match(String(sent(withEdited(form, null, '{"a" 1}'), "")), /line 1:6: expected a colon/);
  const cut = createCallForm({}, true);
  assert.deepEqual(sent(cut, ""), {});
  assert.deepEqual(sent(withEdited(cut, null, '{"q": 1}'), ""), { q: 1 });
});

test("D1 the form fits every width, the focused field is in sight, and nothing is obeyed by a terminal", () => {
  const evil = "\u001b[2Jevil\u202e\n";
  const properties = Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [
      `field-${index}${index === 7 ? evil : ""}`,
      { ...text, description: `${evil} about ${index} `.repeat(20), default: evil },
    ]),
  );
  let form = formOf(properties, ["field-3"]);
  for (let row = 0; row < 42; row += 1) {
    for (const width of [20, 60, 200]) {
      const lines = textOf(formLines(form, viewOf(width), 12));
      assert.ok(lines.length <= 12);
      assert.ok(
        lines.some((line) => line.startsWith("▸")),
        `row ${row} in ${width}`,
      );
      assert.ok(!lines.join("").includes("\u001b") && !lines.join("").includes("\u202e"));
    }
    form = press(pasteIntoForm(form, `${evil}${"wide 漢字 ".repeat(40)}`), "<tab>").form;
  }
});
