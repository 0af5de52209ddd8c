import assert from "node:assert/strict";
import { test } from "node:test";
import { freeSecretName } from "../../src/config/secret-names.ts";
import { isSecretName } from "../../src/secrets/reference.ts";
import { fc } from "../support/properties.ts";

test("a share's name, or a server's and a variable's, becomes one that a secret may have", () => {
  assert.equal(freeSecretName("CORE"), "core");
  assert.equal(freeSecretName("Müller's Dateien"), "mu-ller-s-dateien");
  assert.equal(freeSecretName("github-GITHUB_TOKEN"), "github-github-token");
  assert.equal(freeSecretName("日本"), "secret");
});

test("whatever the text, the name is one that a secret may have, and is not taken", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 100 }), fc.nat(3), (text, others) => {
      const taken = new Set<string>();
      for (let count = 0; count <= others; count++) {
        const name = freeSecretName(text, (one) => taken.has(one));
        assert.ok(isSecretName(name), name);
        assert.ok(!taken.has(name));
        taken.add(name);
      }
    }),
  );
});
