// CoreFoundation's strings, lists and dictionaries, over the double: what goes in comes out, and nothing is left.
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import {
  type CoreFoundation,
  loadCoreFoundation,
  loadKoffi,
} from "../../../src/network/native/core-foundation-darwin.ts";
import { buildDouble, doublesUnavailable } from "../../doubles/build-double.ts";

const skip = (await doublesUnavailable()) ?? false;
const TEXTS = ["", "CORE", "Größe 日本 🏔", "e\u0301", 'it\'s "so"', "a\nb\tc", "x".repeat(100_000)];

describe("CoreFoundation over the double", { skip }, async () => {
  if (skip !== false) return;
  const path = await buildDouble("core-foundation.c");
  const library = (await loadKoffi()).load(path);
  const alive: () => number = library.func("int double_alive()");
  const faults: () => number = library.func("int double_faults()");
  const cf: CoreFoundation = await loadCoreFoundation(path);
  after(() => assert.deepEqual([alive(), faults()], [0, 0], "all that was made was released, once"));

  it("gives strings back unchanged, whatever they contain", () => {
    for (const text of TEXTS) {
      assert.equal(
        cf.owning((own) => cf.textOf(own(cf.string(text)))),
        text,
      );
    }
    assert.throws(() => cf.string("a\0b"), /NUL/);
  });

  it("lists keep their items, and dictionaries their entries", () => {
    cf.owning((own) => {
      const list = cf.owning((inner) => own(cf.array(TEXTS.map((text) => inner(cf.string(text))))));
      assert.deepEqual(
        cf.itemsOf(list)?.map((item) => cf.textOf(item)),
        TEXTS,
      );
      assert.deepEqual(cf.itemsOf(own(cf.array([]))), []);
      // What is in it is read on the other side: test/shares/drivers/netfs/process.test.ts.
      own(cf.dictionary({ UIOption: own(cf.string("NoUI")), Guest: cf.boolean(true), List: list }));
    });
  });

  it("a value of another kind is null, never a crash", () => {
    cf.owning((own) => {
      const text = own(cf.string("x"));
      assert.equal(cf.itemsOf(text), null);
      assert.equal(cf.textOf(cf.boolean(true)), null);
      assert.equal(cf.textOf(own(cf.array([text]))), null);
    });
  });

  it("an invalid URL is null; a folder may have any name", () => {
    cf.owning((own) => {
      assert.equal(own(cf.url("smb://h/a b")), null);
      assert.equal(own(cf.url("smb://h/a%2")), null);
      assert.notEqual(own(cf.url("smb://ann@h:4450/caf%C3%A9")), null);
      own(cf.folderUrl("/Volumes/Größe b"));
      assert.throws(() => cf.folderUrl("a\0b"), /NUL/);
    });
  });

  it("owned objects are released when the work throws", () => {
    const before = alive();
    const failing = (): never =>
      cf.owning((own) => {
        own(cf.array([own(cf.string("a")), own(cf.string("b"))]));
        throw new Error("on purpose");
      });
    for (let count = 0; count < 1_000; count++) assert.throws(failing, /on purpose/);
    assert.equal(alive(), before);
  });
});

it("where the library is missing, loading it rejects", { skip }, async () => {
  await assert.rejects(loadCoreFoundation("/nowhere/CoreFoundation"));
});
