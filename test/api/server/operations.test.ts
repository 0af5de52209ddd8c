// Contract tests drawn from the table of operations: random inputs, right and wrong, for each operation.
import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import fc from "fast-check";
import { MANAGE_PREFIX } from "../../../src/api/contract/contract.ts";
import { OPERATIONS } from "../../../src/api/operations/table.ts";
import { ERROR_CODES } from "../../../src/runtime/errors.ts";
import { type Fields, text } from "../../../src/runtime/shape.ts";
import { objectOf } from "../../../src/runtime/text/json-object.ts";
import { forWholeFile } from "../../support/whole-file.ts";
import { startHttpApi } from "../http/http-api-rig.ts";

const RUNS = 40;
/** Statuses of requests that are refused before an operation runs, and of errors that operations reject with. */
const STATUSES = [400, 401, 403, 404, 408, 409, 413, 415, 422, 500, 502, 503, 504];
const TEXTS = [
  "",
  "CORE",
  "files",
  "a".repeat(64),
  "0".repeat(64),
  "tb",
  "page",
  "show",
  "info",
  "auto",
  "shares",
  "share",
  "hour",
  "added",
  "127.0.0.1",
  "https://x.example",
  "2026-01-31T12:00:00Z",
];
const SAMPLES: readonly unknown[] = [
  ...TEXTS,
  ...[null, true, false, 0, 1, 80, {}, [], ["CORE"]],
  ...[[{ key: "global.log_level", value: "debug" }], [{ remove: "aliases", name: "x" }]],
  ...[[{ tool: "echo", enabled: true }], [{ name: "echo", sha256: "0".repeat(64) }], { text: "x" }],
  ...[
    { user: "ann", backends: ["files"], read_only: true },
    { backends: null, read_only: true },
  ],
];

/** Values that fit a field; fails if no sample fits, because then the field was never sent right. */
function fitting(name: string, shape: Fields[string]): fc.Arbitrary<unknown> {
  const fit = SAMPLES.filter((sample) => shape.faultIn(sample) === null);
  assert.notEqual(fit.length, 0, `no sample fits ${name}: ${shape.expected}`);
  return fc.constantFrom(...fit);
}

/** Bodies that fit the fields. */
function rightBodies(fields: Fields): fc.Arbitrary<unknown> {
  const members = Object.entries(fields).map(([name, shape]) => [name, fitting(name, shape)] as const);
  const requiredKeys = Object.keys(fields).filter((name) => !("optional" in (fields[name] ?? {})));
  return fc.record(Object.fromEntries(members), { requiredKeys, noNullPrototype: true });
}

test("pin: the operations that need permission, and those that never leave the machine", () => {
  const of = (wanted: string) =>
    Object.entries(OPERATIONS).flatMap(([name, { right }]) => (right === wanted ? [name] : []));
  assert.deepEqual(of("with_commands"), [
    "knownClients",
    "connectClient",
    "approveTools",
    "approve",
    "discover",
    "shareNames",
    "shareNetworks",
    "pairServers",
    "searchRegistry",
    "registryServer",
    "mcpAddress",
    "importServers",
    "beginLogin",
    "awaitLogin",
    "setSecret",
    "removeSecret",
  ]);
  assert.deepEqual(of("owner"), ["changeUser", "userAccount", "accessRequest", "questions", "answer"]);
  assert.deepEqual(of("socket"), ["openPage", "grantOwner", "offerOwner", "makeToken", "forgetToken"]);
});

describe("each operation answers as its row says", () => {
  const api = forWholeFile((t) => startHttpApi(t, { settings: { runsCommands: true } }));
  for (const { method, path, right, input, output } of Object.values(OPERATIONS)) {
    if (right === "socket") continue;
    const hasNumber = path.endsWith("/");
    it(`${method} ${path}`, async () => {
      const rig = await api();
      const body = fc.oneof(
        input === null ? fc.constant("") : rightBodies(input.fields).map((value) => JSON.stringify(value)),
        fc.jsonValue().map((value) => JSON.stringify(value)),
        fc.string({ maxLength: 30 }),
      );
      const n = fc.oneof(fc.nat(3).map(String), fc.stringMatching(/^[A-Za-z0-9_.-]{1,12}$/));
      await fc.assert(
        fc.asyncProperty(body, n, async (sent, number) => {
          const answer = await rig.ask(`${MANAGE_PREFIX}/${path}${hasNumber ? number : ""}`, {
            method,
            ...(method === "GET" ? {} : { headers: { "Content-Type": "application/json" }, body: sent }),
          });
          const type = (answer.headers.get("content-type") ?? "").split(";")[0] ?? "";
          if (answer.status === 200 && output === text) return assert.equal(type, "text/plain");
          assert.equal(type, "application/json");
          const value: unknown = await answer.json();
          if (answer.status === 200) return assert.equal(output.faultIn(value), null, JSON.stringify(value));
          assert.ok(STATUSES.includes(answer.status), `${answer.status}: ${JSON.stringify(value)}`);
          const { code, message, hint } = objectOf(objectOf(value)["error"]);
          assert.ok(typeof code === "string" && code in ERROR_CODES && code !== "internal", String(code));
          assert.equal(typeof message, "string");
          assert.ok(hint === null || typeof hint === "string");
        }),
        // Without a body and a number it is always the same request.
        { numRuns: method === "GET" && !hasNumber ? 1 : RUNS },
      );
    });
  }
});
