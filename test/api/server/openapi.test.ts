// Contract tests drawn from the OpenAPI document: random inputs, right and wrong, for each operation.
import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import fc from "fast-check";
import { OPERATIONS } from "../../../src/api/operations/table.ts";
import { openApiDocument } from "../../../src/api/server/openapi.ts";
import { objectOf } from "../../../src/runtime/text/json-object.ts";
import { forWholeFile } from "../../support/whole-file.ts";
import { startHttpApi } from "../http/http-api-rig.ts";

type Schema = Readonly<Record<string, unknown>>;

const RUNS = 40;

interface Documented {
  readonly path: string;
  readonly method: string;
  readonly operation: Schema;
}

function documented(): Documented[] {
  return Object.entries(objectOf(openApiDocument()["paths"])).flatMap(([path, methods]) =>
    Object.entries(objectOf(methods)).map(([method, operation]) => ({
      path,
      method,
      operation: objectOf(operation),
    })),
  );
}

/** Values that fit the schema. */
function fitting(schema: Schema): fc.Arbitrary<unknown> {
  const { anyOf, enum: words, type, pattern } = schema;
  if (Array.isArray(anyOf)) return fc.oneof(...anyOf.map((one) => fitting(objectOf(one))));
  if (Array.isArray(words)) return fc.constantFrom(...words);
  if (typeof pattern === "string") return fc.stringMatching(new RegExp(pattern));
  if (type === "string") return fc.string({ maxLength: 20 });
  if (type === "boolean") return fc.boolean();
  if (type === "null") return fc.constant(null);
  if (type === "number") return fc.integer();
  if (type === "integer") return fc.nat();
  if (type === "array") return fc.array(fitting(objectOf(schema["items"])), { maxLength: 3 });
  if (type !== "object") return fc.jsonValue();
  const { properties, required, additionalProperties } = schema;
  const members = Object.entries(objectOf(properties)).map(
    ([name, one]) => [name, fitting(objectOf(one))] as const,
  );
  if (members.length === 0) {
    const member =
      typeof additionalProperties === "object" ? fitting(objectOf(additionalProperties)) : fc.jsonValue();
    return fc.dictionary(fc.string({ maxLength: 8 }), member, { maxKeys: 3 });
  }
  const requiredKeys = Array.isArray(required) ? required.map(String) : [];
  return fc.record(Object.fromEntries(members), { requiredKeys, noNullPrototype: true });
}

/** Why the value does not fit; null: it does. */
function misfit(value: unknown, schema: Schema, at = ""): string | null {
  const { anyOf, allOf, enum: words, type, pattern, items, properties, required } = schema;
  if (Array.isArray(allOf)) return firstOf(allOf.map((one) => misfit(value, objectOf(one), at)));
  if (Array.isArray(anyOf)) {
    const faults = anyOf.map((one) => misfit(value, objectOf(one), at));
    return faults.includes(null) ? null : (faults[0] ?? null);
  }
  if (Array.isArray(words)) return words.includes(value) ? null : `${at}: not one of ${words}`;
  if (typeof pattern === "string" && !(typeof value === "string" && new RegExp(pattern).test(value)))
    return `${at}: not like ${pattern}`;
  if (type === undefined) return null;
  const isRight =
    type === "array"
      ? Array.isArray(value)
      : type === "null"
        ? value === null
        : type === "integer"
          ? Number.isInteger(value)
          : type === "object"
            ? typeof value === "object" && value !== null && !Array.isArray(value)
            : typeof value === type;
  if (!isRight) return `${at}: no ${type}`;
  if (Array.isArray(value) && items !== undefined)
    return firstOf(value.map((one, index) => misfit(one, objectOf(items), `${at}/${index}`)));
  if (type !== "object") return null;
  const members = objectOf(value);
  const lacking = (Array.isArray(required) ? required : []).find((name) => !(String(name) in members));
  if (lacking !== undefined) return `${at}: lacks ${lacking}`;
  return firstOf(
    Object.entries(objectOf(properties)).map(([name, one]) =>
      name in members ? misfit(members[name], objectOf(one), `${at}/${name}`) : null,
    ),
  );
}

function firstOf(faults: readonly (string | null)[]): string | null {
  return faults.find((fault) => fault !== null) ?? null;
}

test("the document has every operation that HTTP serves, and no others", () => {
  const ids = documented().map(({ operation }) => operation["operationId"]);
  const served = Object.entries(OPERATIONS).filter(([, { right }]) => right !== "socket");
  assert.deepEqual(new Set(ids), new Set([...served.map(([name]) => name), "events"]));
  assert.equal(openApiDocument()["openapi"], "3.1.0");
  for (const { operation } of documented()) assert.match(String(operation["summary"]), /^\p{Lu}[^.]+$/u);
});

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
    "beginLogin",
    "awaitLogin",
    "setSecret",
    "removeSecret",
  ]);
  assert.deepEqual(of("socket"), ["openPage", "grantOwner", "offerOwner", "makeToken", "forgetToken"]);
});

describe("each operation answers as the document says", () => {
  const api = forWholeFile((t) => startHttpApi(t, { settings: { runsCommands: true } }));
  for (const { path, method, operation } of documented()) {
    if (operation["operationId"] === "events") continue;
    it(`${method.toUpperCase()} ${path}`, async () => {
      const rig = await api();
      const schema = objectOf(
        objectOf(objectOf(objectOf(operation["requestBody"])["content"])["application/json"])["schema"],
      );
      const takes = Object.keys(schema).length > 0;
      const right = takes ? fitting(schema) : fc.constant(undefined);
      const body = fc.oneof(
        right.map((value) => (value === undefined ? "" : JSON.stringify(value))),
        fc.jsonValue().map((value) => JSON.stringify(value)),
        fc.string({ maxLength: 30 }),
      );
      const n = fc.oneof(fc.nat(3).map(String), fc.stringMatching(/^[A-Za-z0-9_.-]{1,12}$/));
      const responses = objectOf(operation["responses"]);
      await fc.assert(
        fc.asyncProperty(body, n, async (text, number) => {
          const answer = await rig.ask(path.replace("{n}", number), {
            method: method.toUpperCase(),
            ...(method === "get" ? {} : { headers: { "Content-Type": "application/json" }, body: text }),
          });
          const said = objectOf(responses[String(answer.status)]);
          assert.ok(
            said["description"],
            `${answer.status} is not documented: ${await answer.clone().text()}`,
          );
          const content = objectOf(said["content"]);
          const type = (answer.headers.get("content-type") ?? "").split(";")[0] ?? "";
          assert.ok(type in content, `${answer.status} ${type}`);
          if (type !== "application/json") return;
          const value: unknown = await answer.json();
          const { $ref, ...own } = objectOf(objectOf(content[type])["schema"]);
          const expected =
            $ref === undefined
              ? own
              : objectOf(objectOf(objectOf(openApiDocument()["components"])["schemas"])["Error"]);
          assert.equal(misfit(value, expected), null, JSON.stringify(value));
          if (answer.status >= 400) assert.notEqual(objectOf(objectOf(value)["error"])["code"], "internal");
        }),
        // Without a body and a number it is always the same request.
        { numRuns: method === "get" && !path.includes("{n}") ? 1 : RUNS },
      );
    });
  }
});
