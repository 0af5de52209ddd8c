import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileUriTemplate } from "../../../src/gateway/catalog/uri-template.ts";
import { fc } from "../../support/properties.ts";

const CASES: readonly (readonly [template: string, fitting: readonly string[], others: readonly string[]])[] =
  [
    ["plain:x", ["plain:x"], ["plain:xy", "plain:"]],
    [
      "test://template/{id}/data",
      ["test://template/1/data", "test://template/a,b/data"],
      ["test://template//data", "test://template/1/2/data", "test://template/1/data/"],
    ],
    ["db://{table}", ["db://users"], ["db://", "db://a/b", "DB://users"]],
    ["{x}{y}", ["ab"], ["a", "a/b"]],
    ["{a,b}/z", ["1,2/z"], ["1,2"]],
    ["file:///{+path}", ["file:///a/b/c.txt?x#y"], ["file:///", "http:///a"]],
    ["page{#section}", ["page", "page#", "page#a/b"], ["pages"]],
    ["file{.ext}", ["file", "file.txt"], ["file.", "filetxt", "file.a/b"]],
    ["root{/a}", ["root", "root/x"], ["root/", "root/x/y"]],
    ["root{/a,b}", ["root/x/y"], ["rootx"]],
    ["root{/parts*}", ["root/x/y/z"], ["rootx"]],
    ["s{;v}", ["s", "s;v=1"], ["s;", "sv"]],
    ["s{?q,lang}", ["s", "s?q=1", "s?q=1&lang=en"], ["sq", "s#x"]],
    ["s?fixed=1{&x}", ["s?fixed=1", "s?fixed=1&x=2"], ["s?fixed=12", "s"]],
    ["{v:3}!", ["abc!"], ["!"]],
  ];

describe("URI templates", () => {
  for (const [template, fitting, others] of CASES) {
    test(`${template} fits what it can stand for`, () => {
      const fits = compileUriTemplate(template);
      assert.ok(fits !== null);
      for (const uri of fitting) assert.ok(fits(uri), uri);
      for (const uri of others) assert.ok(!fits(uri), uri);
    });
  }

  test("what is no template fits nothing", () => {
    for (const template of [
      "a{",
      "a}b",
      "a{}",
      "a{=x}",
      "a{|x}",
      "a{x y}",
      "{".repeat(2_000),
      `${"a".repeat(2_000)}{x}`,
    ]) {
      assert.equal(compileUriTemplate(template), null, template.slice(0, 20));
    }
  });

  test("a template without expressions fits itself alone", () => {
    fc.assert(
      fc.property(fc.webUrl(), fc.webUrl(), (url, other) => {
        const plain = url.replaceAll(/[{}]/g, "");
        const fits = compileUriTemplate(plain);
        assert.equal(fits?.(plain), true);
        assert.equal(fits?.(other), other === plain);
      }),
    );
  });

  test("simple values come back to their template", () => {
    const value = fc.string({ minLength: 1, maxLength: 10 }).map(encodeURIComponent);
    fc.assert(
      fc.property(value, value, (first, second) => {
        assert.equal(compileUriTemplate("x://{a}/y/{b}")?.(`x://${first}/y/${second}`), true);
      }),
    );
  });

  test("a template made to be slow is not, and a URI without end is not looked at", () => {
    const fits = compileUriTemplate(`x:${"{+a}".repeat(100)}!`);
    const startedAt = performance.now();
    assert.equal(fits?.(`x:${"a".repeat(4_000)}`), false);
    // Tried one after the other, the ways to share these letters out would not end.
    assert.ok(performance.now() - startedAt < 20_000);
    assert.equal(fits?.(`x:${"a".repeat(4_000)}!`), true);
    assert.equal(fits?.(`x:${"a".repeat(10_000_000)}!`), false);
  });
});
