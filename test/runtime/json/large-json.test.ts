// Large JSON: what is JSON, which parts of it stay bytes, and that nothing is lost when it is written again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { JsonScan } from "../../../src/runtime/json/json-scan.ts";
import {
  assertParsed,
  MOST_VALUES,
  readLarge,
  unparsedBytes,
  withTextCut,
  writeJson,
} from "../../../src/runtime/json/large-json.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";
import { fc } from "../../support/properties.ts";

const BOUNDS = { partValues: 4, partBytes: 8, memberValues: 20 };

function scanned(text: string, step: number): JsonScan {
  const scan = new JsonScan(BOUNDS, new Set());
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += step) scan.push(bytes.subarray(at, at + step));
  return scan;
}

async function parsed(text: string): Promise<unknown> {
  return (await readLarge(Buffer.from(text))).parse();
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function countOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce((sum: number, part) => sum + countOf(part), 1);
}

/** JSON as nobody writes it, and with a mistake somewhere. */
const texts = fc.tuple(
  fc.jsonValue(),
  fc.nat(3),
  fc.nat(),
  fc.constantFrom(...'{}[],:"\\019.eE+-tu \n\u0001ü', ""),
);
const spoiled = ([value, indent, at, sign]: [unknown, number, number, string]): string => {
  const text = JSON.stringify(value, null, indent);
  const place = at % (text.length + 1);
  return text.slice(0, place) + sign + text.slice(place + (at % 2));
};

test("validity is decided as the parser decides it, in steps of any length", () => {
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 9 }), (parts, step) => {
      const text = spoiled(parts);
      assert.equal(scanned(text, step).isValid, isJson(text), text);
    }),
    { numRuns: 3_000 },
  );
  for (const text of [
    "",
    " ",
    "01",
    "-",
    "1.",
    ".5",
    "1e",
    "tru",
    "nulll",
    "[1,]",
    '{"a":1,}',
    "[]]",
    "[}",
    "1 2",
  ])
    assert.equal(scanned(text, 1).isValid, false, text);
  for (const text of ["0", " -0.5e+1 ", "true", "[\t1 ,\r\n2 ]", '{"a":[{}],"":""}', '"\\u00e9\\""', "1e999"])
    assert.equal(scanned(text, 1).isValid, true, text);
});

test("values are counted, and parts are valid JSON that leave few of them", () => {
  fc.assert(
    fc.property(fc.object({ maxDepth: 6, maxKeys: 8 }), fc.integer({ min: 1, max: 9 }), (value, step) => {
      const text = JSON.stringify({ a: value, b: [value] });
      const scan = scanned(text, step);
      assert.equal(scan.values, countOf(JSON.parse(text)));
      let end = 0;
      for (const part of scan.parts) {
        assert.ok(part.start >= end && part.end > part.start);
        ({ end } = part);
        JSON.parse(text.slice(part.start, part.end));
      }
      assert.deepEqual(
        scan.members.map(({ start, end: to }) => text.slice(start, to)),
        [JSON.stringify(value), JSON.stringify([value])],
      );
    }),
  );
});

const MANY = `[${"{},".repeat(MOST_VALUES)}1e999]`;

test("E4 a part with too many values stays bytes, is not parsed, and is written as received", async () => {
  const text = `{"id":12345678901234567890,"params":{"name":"x","arguments":{"m":${MANY},"n":[1,{ "a" :\n2}]}}}`;
  const large = await readLarge(Buffer.from(text));
  const read = large.parse() as { params: { name: string; arguments: { m: unknown[]; n: unknown } } };
  const { arguments: given, name } = read.params;
  assert.equal(name, "x");
  assert.deepEqual(given.n, [1, { a: 2 }]);
  assert.ok(Array.isArray(given.m));
  assert.equal(unparsedBytes(given.m), MANY.length);
  const looks: readonly (() => unknown)[] = [
    () => given.m.length,
    () => given.m[0],
    () => [...given.m],
    () => ({ ...given.m }),
    () => Object.keys(given.m),
    () => 0 in given.m,
    () => given.m.map(String),
    () => JSON.stringify(given),
    () => structuredClone(given),
    () => assertParsed(read.params),
  ];
  for (const look of looks) assert.throws(look);
  assert.equal(writeJson(read), text.replace('{ "a" :\n2}', '{"a":2}'));
  assert.equal(writeJson({ ...read.params, name: "y" }), writeJson(read.params).replace('"x"', '"y"'));
  assert.equal(
    large.bytesOf("params")?.toString(),
    text.slice(text.indexOf('{"name"'), -1).replace("\n", " "),
  );
});

test("E4 a huge text is decoded only when read and otherwise written as received; anything below the bounds is parsed whole", async () => {
  const huge = "\\u00e9".repeat(1_000_000);
  const text = `{"params":{"a":{"t":"${huge}"},"u":"${huge}"}}`;
  const { a, u } = ((await parsed(text)) as { params: { a: { t: unknown }; u: unknown } }).params;
  assert.equal(u, "é".repeat(1_000_000));
  assert.equal(writeJson(a), `{"t":"${huge}"}`);
  assert.equal(a.t, u);
  const some = `{"params":{"a":[${"1,".repeat(MOST_VALUES / 2)}12345678901234567890]}}`;
  assert.equal(JSON.stringify(await parsed(some)), some);
});

test("D5 a part left out only for its bytes is parsed when it is read, and is then written as parsed", async () => {
  const list = `[ ${`"${"\\u0061".repeat(10_000)}" ,`.repeat(90)}{"__proto__":1,"__proto__":1e999}]`;
  const text = `{"params":{"arguments":{"m":${list}}}}`;
  const value = await parsed(text);
  assert.equal(writeJson(value), text);
  const { m } = (value as { params: { arguments: { m: unknown[] } } }).params.arguments;
  assert.ok(unparsedBytes(m) !== null);
  assert.equal(m.length, 91);
  assert.deepEqual(m.slice(0, 2), ["a".repeat(10_000), "a".repeat(10_000)]);
  assert.equal(JSON.stringify([...m].at(-1)), '{"__proto__":1e999}');
  assert.equal(writeJson(value), JSON.stringify(value), "no parser finds in it what ours has not found");
  assert.ok(!writeJson(value).includes('"__proto__":1,'));
});

test("deeply nested parts stay bytes below 500 levels", async () => {
  const text = `{"a":{"b":${"[".repeat(50_000)}${"]".repeat(50_000)}}}`;
  assert.equal(writeJson(await parsed(text)), text);
});

test("E4 too many members of the whole, or a large list, are refused by name; invalid JSON is a SyntaxError", async () => {
  const members = Array.from({ length: MOST_VALUES + 1 }, (_, index) => `"${index}":0`).join();
  for (const text of [`{${members}}`, MANY])
    await assert.rejects(parsed(text), {
      code: "too_many_values",
      message: /[\d,]+ values are more than the 100,000 that can be read in one message/,
    });
  await assert.rejects(parsed(`{"a":{"b":${MANY}}`), SyntaxError);
});

test("E4 a number of millions of digits is refused by name, and is written as received where it is not read", async () => {
  const number = "1".repeat(20_000_000);
  await assert.rejects(parsed(`{"params":{"n":${number}}}`), { code: "too_many_values" });
  const text = `{"params":{"m":{"n":${number}}}}`;
  const value = await parsed(text);
  assert.equal(writeJson(value), text);
  const { m } = (value as { params: { m: { n: unknown } } }).params;
  for (let look = 0; look < 2; look += 1) assert.throws(() => m.n, { code: "too_many_values" });
});

test("E4 messages that arrive at once are parsed in turns, between which others are served", async () => {
  let turn = 0;
  let ticking = setImmediate(function tick() {
    turn += 1;
    ticking = setImmediate(tick);
  });
  const text = Buffer.from(`{"params":{"a":[${"1,".repeat(40_000)}1]}}`);
  const turns = await Promise.all(
    Array.from({ length: 5 }, async () => {
      (await readLarge(Buffer.from(text))).parse();
      return turn;
    }),
  );
  clearImmediate(ticking);
  assert.equal(new Set(turns).size, 5);
});

test("E4 millions of small parts take no memory", () => {
  const shapes = [
    "[".repeat(499) + "[],".repeat(200_000),
    `{${'"a":{},'.repeat(200_000)}`,
    `[{}${",{}".repeat(200_000)}`,
  ];
  for (const text of shapes) {
    const scan = scanned(text, 65_536);
    assert.ok(scan.parts.length + scan.members.length + scan.heads.length <= 2_000, text.slice(0, 10));
  }
});

test("no input is mistaken for a placeholder that is filled in later", async () => {
  const value = await parsed(`{"params":{"m":${MANY},"s":"0","t":"\\u0000"}}`);
  assert.match(writeJson(value), /,"s":"0","t":"\\u0000"\}\}$/);
});

test("numbers keep the digits that a reviver would keep, and numbers in texts add no work", () => {
  const digits = fc.constantFrom(
    "1",
    "-0",
    "1e400",
    "-1e-400",
    "5e-324",
    "12345678901234567890",
    "-1.2345678901230",
  );
  const more = fc.constantFrom(
    "1234567890123e10",
    "0.00000000000000000001",
    "1e0400",
    "9007199254740993",
    "0e999",
  );
  const string = fc.constantFrom(
    '"1234567890123456789"',
    '"\\\\"',
    '"a\\"1234567890123456789"',
    '":1e999,"',
    '"\\\\\\""',
  );
  const { tree } = fc.letrec<{ tree: string }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      digits,
      more,
      string,
      fc.array(tie("tree"), { maxLength: 4 }).map((parts) => `[${parts.join(" ,")}]`),
      fc
        .array(fc.tuple(fc.constantFrom('"a"', '"__proto__"', '"1"', '"1234567890123456789"'), tie("tree")), {
          maxLength: 4,
        })
        .map((parts) => `{${parts.map(([key, part]) => `${key}: ${part}`).join()}}`),
    ),
  }));
  const cut = fc.tuple(tree, fc.nat(), fc.constantFrom("", "", '"', ":", "1", "e", "12345678901234567890"));
  fc.assert(
    fc.property(cut, ([text, at, sign]) => {
      const place = sign === "" ? 0 : at % (text.length + 1);
      const spoiledText = text.slice(0, place) + sign + text.slice(place);
      assert.equal(outcome(parseExactly, spoiledText), outcome(parseByReviver, spoiledText));
    }),
    { numRuns: 3_000 },
  );
});

function outcome(parse: (text: string) => unknown, text: string): string {
  try {
    return JSON.stringify(parse(text));
  } catch (error) {
    return String(error);
  }
}

/** How it was done: a function call for each value, as soon as one long number is anywhere. */
function parseByReviver(text: string): unknown {
  const isLong = /[0-9.]{16,}|[0-9][eE][+-]?[0-9]{3}/.test(text);
  type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;
  const parse = JSON.parse as (text: string, reviver?: Reviver) => unknown;
  if (!isLong || !mayLose(text)) return parse(text);
  return parse(text, (_key, value, { source = "" }) =>
    typeof value === "number" && loses(value, source)
      ? (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(source)
      : value,
  );
}

function mayLose(text: string): boolean {
  const found = text.match(/[0-9.]{16,}(?:[eE][+-]?[0-9]+)?|[0-9][eE][+-]?[0-9]{3}/g) ?? [];
  return found.some((number) => number.length <= 15 || loses(Number(number), number));
}

function loses(value: number, source: string): boolean {
  if (!Number.isFinite(value)) return true;
  if (value === 0) return /^[^eE]*[1-9]/.test(source);
  return (source.length > 15 || Math.abs(value) < 2 ** -1022) && String(value) !== source;
}

test("E4 a long text is what JSON says, in whatever characters, and is written and cut as the bytes that came", async () => {
  const pieces = [
    '\\"',
    "\\\\",
    "a\\\\\\n",
    "\\u0000",
    "\\ud83d\\ude00",
    "ß",
    "ﷺa",
    "\u{1f468}",
    "\\ud800",
    "ab",
    "\\\\u0061",
  ];
  for (const piece of pieces) {
    const raw = `x${piece.repeat(Math.ceil(4_500_000 / piece.length))}`;
    const json = `{"id":1,"result":{"content":[{"type":"text","text":"${raw}"}]}}`;
    const whole: unknown = JSON.parse(json);
    const value = (await readLarge(Buffer.from(json))).parse();
    assert.ok(writeJson(value) === json, `${piece} unread`);
    const block: object = pluckBlock(value);
    assert.ok(Reflect.get(block, "text") === Reflect.get(pluckBlock(whole), "text"), piece);
    assert.ok(writeJson(value) === json, `${piece} read`);
    const cut = writeJson(withTextCut(block, "text", 1_000_000));
    assert.ok(Buffer.byteLength(cut) <= 1_000_000 && Buffer.byteLength(cut) > 999_900, piece);
    const { text } = JSON.parse(cut) as { readonly text: string };
    assert.ok(String(Reflect.get(block, "text")).startsWith(text), `${piece} cut`);
    assert.ok(piece === "\\ud800" || !/[\ud800-\udbff]$/.test(text), piece);
  }
});

function pluckBlock(value: unknown): object {
  const { result } = value as { readonly result: { readonly content: readonly object[] } };
  const [block] = result.content;
  assert.ok(block !== undefined);
  return block;
}
