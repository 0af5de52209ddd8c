import assert from "node:assert/strict";
import { test } from "node:test";
import { isJsonObject, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import { withPathsOf } from "../../../src/gateway/together/merge-tools.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";

const NAMES = { roots: ["CORE", "WORK/src"], sharesRoots: ["/home/ann/Shares", "/Volumes/mnt", "/srv"] };

function renamed(given: unknown, names = NAMES, to = "/srv"): unknown {
  const params = withPathsOf({ name: "read", arguments: { given } }, names, to);
  const found: unknown = params?.["arguments"];
  return isJsonObject(found) ? found["given"] : null;
}

const TEXTS: readonly [given: string, at: string][] = [
  ["/home/ann/Shares/CORE", "/srv/CORE"],
  ["/home/ann/Shares/CORE/a b/ü.txt", "/srv/CORE/a b/ü.txt"],
  ["/Volumes/mnt/WORK/src/x", "/srv/WORK/src/x"],
  ["/srv/CORE/x", "/srv/CORE/x"],
  // What is agreed on, and nothing beside it.
  ["/home/ann/Shares/CORE2/x", "/home/ann/Shares/CORE2/x"],
  ["/home/ann/Shares/WORK/other", "/home/ann/Shares/WORK/other"],
  ["/home/ann/Shares", "/home/ann/Shares"],
  ["see /home/ann/Shares/CORE", "see /home/ann/Shares/CORE"],
  ["file:///home/ann/Shares/CORE/x", "file:///home/ann/Shares/CORE/x"],
];

for (const [given, at] of TEXTS) {
  test(`G1 ${given} is ${at} there`, () => assert.equal(renamed(given), at));
}

test("G1 paths are found in lists and objects; all else is the same object", () => {
  const raw = parseExactly('{"n":12345678901234567890123}');
  const given = { paths: ["/home/ann/Shares/CORE/x", 7, null], deep: { path: "/Volumes/mnt/CORE" }, raw };
  assert.deepEqual(renamed(given), { paths: ["/srv/CORE/x", 7, null], deep: { path: "/srv/CORE" }, raw });
  assert.equal(JSON.stringify(renamed(given)).includes("12345678901234567890123"), true);
  const untouched: JsonObject = { name: "read", arguments: { path: "/etc/passwd", raw } };
  assert.equal(withPathsOf(untouched, NAMES, "/srv"), untouched);
  assert.equal(withPathsOf(undefined, NAMES, "/srv"), undefined);
});

test("G1 keys, and what is too deep or too much, stay as they are", () => {
  const proto = parseExactly('{"__proto__":"/home/ann/Shares/CORE","/home/ann/Shares/CORE":1}');
  assert.equal(JSON.stringify(renamed(proto)), '{"__proto__":"/srv/CORE","/home/ann/Shares/CORE":1}');
  let deep: unknown = "/home/ann/Shares/CORE";
  for (let level = 0; level < 400; level += 1) deep = [deep];
  assert.equal(renamed(deep), deep);
  const many = Array.from({ length: 20_000 }, () => "/home/ann/Shares/CORE");
  const found = renamed(many);
  assert.ok(Array.isArray(found) && found[0] === "/srv/CORE" && found.at(-1) === "/home/ann/Shares/CORE");
});

test("G1 a machine that says it has its shares elsewhere redirects no path of this one", () => {
  const sharesRoots = ["/home/ann/Shares", "/home/ann/Shares/CORE/private", "/etc"];
  const lie = { roots: ["CORE"], sharesRoots };
  const own = "/home/ann/Shares/CORE/private/CORE/key";
  assert.equal(renamed(own, lie, "/home/ann/Shares"), own);
  assert.equal(renamed("/etc/passwd", lie, "/home/ann/Shares"), "/etc/passwd");
});
