import assert from "node:assert/strict";
import { test } from "node:test";
import { takeLinkCode } from "../../../../src/web/page/shell/link-code.ts";

function taken(hash: string): { code: string | null; addresses: unknown[] } {
  const addresses: unknown[] = [];
  const history = {
    replaceState: (_state: unknown, _title: string, address?: unknown) => void addresses.push(address),
  };
  return { code: takeLinkCode({ location: { hash, pathname: "/" }, history }), addresses };
}

test("E2 a link's code is taken out of the address at once", () => {
  assert.deepEqual(taken("#abc-DEF_1"), { code: "abc-DEF_1", addresses: ["/"] });
});

test("a view's address is no code and stays", () => {
  for (const hash of ["", "#", "#/", "#/sync"]) assert.deepEqual(taken(hash), { code: null, addresses: [] });
});

test("a broken address is a code that nobody knows", () => {
  assert.deepEqual(taken("#%zz"), { code: "%zz", addresses: ["/"] });
});
