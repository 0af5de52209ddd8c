import assert from "node:assert/strict";
import { test } from "node:test";
import { compileGlobs } from "../../../src/gateway/catalog/glob.ts";
import { usableName } from "../../../src/gateway/catalog/names.ts";
import {
  compileUriTemplate,
  isUnclear,
  otherSpellings,
  steps,
} from "../../../src/gateway/catalog/uri-template.ts";
import { fc, runsOf } from "../../support/properties.ts";

test("D3 a name that every client can use stays unchanged", () => {
  for (const name of ["read", "fs_read-file_2", "x".repeat(46)]) assert.equal(usableName(name), name);
});

test("D3 D9 another is cut, or loses its dots, and ends in a hash of the whole name", () => {
  const long = "x".repeat(47);
  assert.equal(usableName(long), `${"x".repeat(37)}_b35f3728`);
  assert.equal(usableName("read file"), "read_file_1214148e");
  assert.match(usableName("immich.albums.add"), /^immich_albums_add_[0-9a-f]{8}$/u);
  assert.notEqual(usableName("read/file"), usableName("read file"));
  assert.match(usableName(""), /^_[0-9a-f]{8}$/u);
  assert.match(usableName("文件"), /^___[0-9a-f]{8}$/u);
});

test("D3 for any name, the published one has a length and characters that clients allow, and is itself usable", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (name) => {
      const used = usableName(name);
      assert.match(used, /^[A-Za-z0-9_-]{1,46}$/u);
      assert.equal(usableName(used), used);
    }),
  );
});

test("spellings of a URI: steps up or in place are detected, plain or escaped", () => {
  for (const uri of [
    "file:///a/../b",
    "file:///a/..",
    "file:///a/./b",
    "file:..",
    "x:a\\..\\b",
    "file:///a/..?q",
    "file:///a/%2e%2E/b",
    "file:///a%2F..%2fb",
    "file:///a/%252e%252e/b",
    "file:///%25252525252e",
    "file:///%ff/%2e./b",
    // Escaped three times over: nobody honest does that, whatever comes out.
    "x://a/%252541",
    "file:///a/.\t./b",
    "file:///a/..\n/b",
    "file:///se\rcret",
    " file:///a",
    "file:///a ",
  ])
    assert.ok(isUnclear(uri), uri);
  for (const uri of [
    "file:///a/b.txt",
    "file:///.hidden",
    "file:///a/...",
    "a..b:c",
    "u:100%",
    "u:1.2.",
    "x://a/%2541",
    "x://a/%20",
  ])
    assert.ok(!isUnclear(uri), uri);
});

test("spellings of a URI: others are without escapes, as the URL standard writes them, and without empty segments", () => {
  assert.deepEqual(otherSpellings("file:///a/b.txt"), []);
  assert.deepEqual(otherSpellings("test://Host/x"), []);
  assert.deepEqual(otherSpellings("u:100%"), []);
  assert.deepEqual(otherSpellings("no scheme"), []);
  for (const [uri, meant] of [
    ["FILE:///My%20Docs/%C3%A9", "file:///My Docs/é"],
    ["file:///%ff%41", "file:///%ffA"],
    ["http://EXAMPLE.com/a", "http://example.com/a"],
    ["http://example.com:80/a", "http://example.com/a"],
    ["http:example.com/a", "http://example.com/a"],
    ["http:\\\\example.com\\a", "http://example.com/a"],
    ["file://localhost/a", "file:///a"],
    ["file:/a", "file:///a"],
    ["file:////a//b", "file:///a/b"],
    ["file:///%2Fa", "file:///a"],
    ["test://h//a", "test://h/a"],
    ["test:a//b", "test:a/b"],
  ] as const)
    assert.ok(otherSpellings(uri).includes(meant), `${uri}: ${otherSpellings(uri).join(" ")}`);
});

const TEMPLATES: readonly (readonly [
  template: string,
  fitting: readonly string[],
  others: readonly string[],
])[] = [
  ["plain:x", ["plain:x"], ["plain:xy", "plain:"]],
  [
    "test://template/{id}/data",
    ["test://template/1/data", "test://template/1/2/data"],
    ["test://template/1/data/"],
  ],
  ["db://{table}", ["db://users", "db://a/b"], ["DB://users"]],
  ["{x}{y}", ["ab", "a/b"], []],
  ["{a,b}/z", ["1,2/z"], ["1,2"]],
  ["file:///{+path}", ["file:///a/b/c.txt?x#y"], ["http:///a"]],
  ["file:///{path}", ["file:///project/src/main.rs"], ["file://host/a"]],
  ["repo://{owner}/{path*}/template.py", ["repo://ann/src/lib/template.py"], ["repo://template.py"]],
  ["users://{user-id}/profile", ["users://17/profile"], ["users://17"]],
  ["x://{größe}/{user id}", ["x://3/4"], ["x://3"]],
  ["page{#section}", ["page", "page#a/b"], ["pag"]],
  ["s{?q,lang}", ["s", "s?q=1&lang=en"], ["t?q=1"]],
  ["s?fixed=1{&x}", ["s?fixed=1", "s?fixed=1&x=2"], ["s"]],
  ["a{x}bc{y}c", ["abcc", "a1bc2c"], ["abc"]],
  ["a{x}ab", ["aab"], ["ab"]],
];

for (const [text, fitting, others] of TEMPLATES)
  test(`URI templates: ${text} matches its expansions`, () => {
    const template = compileUriTemplate(text);
    assert.ok(template !== null);
    for (const uri of fitting) assert.ok(template.fits(uri), uri);
    for (const uri of others) assert.ok(!template.fits(uri), uri);
  });

test("URI templates: an invalid template matches nothing", () => {
  for (const template of ["a{", "a}b", "a{}", "{".repeat(2_000), `${"a".repeat(2_000)}{x}`])
    assert.equal(compileUriTemplate(template), null, template.slice(0, 20));
});

const anyUrl = fc.stringMatching(/^[a-z]{1,4}:\/\/[\w.*+?^$()[\]|\\%/#&=~-]{0,12}$/);

test("URI templates: a template without expressions matches only itself", () => {
  fc.assert(
    fc.property(anyUrl, anyUrl, (plain, other) => {
      const template = compileUriTemplate(plain);
      assert.equal(template?.fits(plain), true);
      assert.equal(template?.fits(other), other === plain);
    }),
  );
});

test("URI templates: simple values match their template", () => {
  const value = fc.string({ minLength: 1, maxLength: 10 }).map(encodeURIComponent);
  fc.assert(
    fc.property(value, value, (first, second) => {
      assert.equal(compileUriTemplate("x://{a}/y/{b}")?.fits(`x://${first}/y/${second}`), true);
    }),
  );
});

test("D6 URI templates: a read compares 100,000 characters at most, whatever a server lists", () => {
  const template = compileUriTemplate(`x:${"{a}b".repeat(100)}!`);
  assert.equal(template?.fits(`x:${"b".repeat(4_000)}!`), true);
  const left = steps();
  let tried = 0;
  while (left.left > 0) {
    assert.equal(compileUriTemplate("x:{a}z{b}")?.fits(`x:${"a".repeat(4_000)}`, left), false);
    tried += 1;
  }
  assert.ok(tried < 50, `${tried}`);
  assert.equal(compileUriTemplate("x:{a}")?.fits("x:1", left), false);
  assert.equal(template?.fits(`x:${"b".repeat(10_000_000)}!`), false);
});

const GLOBS: readonly (readonly [glob: string, matching: readonly string[], others: readonly string[]])[] = [
  ["*", ["", "a", "a/b\n"], []],
  ["", [""], ["a"]],
  ["read", ["read"], ["reader", "rea", "Read"]],
  ["read_*", ["read_", "read_file", "read_a/b"], ["read", "xread_"]],
  ["*_file", ["_file", "read_file"], ["read_files"]],
  ["file:///*/x", ["file:///a/x", "file:///a/b/x"], ["file:///x"]],
  ["a*b*c", ["abc", "aXbYc", "abbcc", "abcbc"], ["acb", "ab"]],
  ["a?c", ["abc", "a/c", "a😀c"], ["ac", "abbc"]],
  ["[abc]x", ["ax", "cx"], ["dx", "x", "abx"]],
  ["[a-c]x", ["bx"], ["dx", "-x"]],
  ["[!a]x", ["bx", "😀x"], ["ax"]],
  ["[^a]x", ["bx"], ["ax"]],
  ["[]a]", ["]", "a"], ["b"]],
  ["[a-]", ["a", "-"], ["b"]],
  ["[\\]]", ["]"], ["\\"]],
  ["[abc", ["[abc"], ["a"]],
  ["\\*", ["*"], ["a", "\\*"]],
  ["a\\", ["a\\"], ["a"]],
  ["\\[a]", ["[a]"], ["a"]],
  ["**", ["", "ab"], []],
  ["😀*", ["😀", "😀a"], ["\ud83d"]],
];

for (const [glob, matching, others] of GLOBS)
  test(`globs: ${JSON.stringify(glob)} matches exactly its meaning`, () => {
    const matches = compileGlobs([glob]);
    for (const text of matching) assert.ok(matches(text), text);
    for (const text of others) assert.ok(!matches(text), text);
  });

test("globs: no pattern matches nothing, and of several one is enough", () => {
  assert.equal(compileGlobs([])(""), false);
  const matches = compileGlobs(["a", "b*", "?c"]);
  assert.deepEqual(["a", "bx", "xc", "cx"].map(matches), [true, true, true, false]);
});

test("globs agrees with a plain recursive reading on any pattern and text", () => {
  const alphabet = fc.constantFrom("a", "b", "*", "?", "/", "😀");
  const pattern = fc.array(alphabet, { maxLength: 8 }).map((parts) => parts.join(""));
  const text = fc
    .array(fc.constantFrom("a", "b", "/", "😀"), { maxLength: 10 })
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(pattern, text, (glob, subject) => {
      assert.equal(compileGlobs([glob])(subject), recursively([...glob], [...subject]));
    }),
    { numRuns: runsOf(2_000) },
  );
});

test("globs: escaped text matches only itself", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (text, other) => {
      const matches = compileGlobs([text.replace(/[\\*?[]/g, "\\$&")]);
      assert.ok(matches(text));
      assert.equal(matches(other), other === text);
    }),
  );
});

test("globs: a pattern made to be slow takes no longer than its length times the text's", () => {
  const matches = compileGlobs([`${"*a".repeat(30)}*b`]);
  const startedAt = performance.now();
  assert.equal(matches("a".repeat(20_000)), false);
  // Were earlier stars to give way, too, it would not end.
  assert.ok(performance.now() - startedAt < 20_000);
});

function recursively(glob: readonly string[], text: readonly string[]): boolean {
  const [first, ...rest] = glob;
  if (first === undefined) return text.length === 0;
  if (first === "*") return recursively(rest, text) || (text.length > 0 && recursively(glob, text.slice(1)));
  return text.length > 0 && (first === "?" || first === text[0]) && recursively(rest, text.slice(1));
}
