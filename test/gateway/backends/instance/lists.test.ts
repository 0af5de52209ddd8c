import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ReadKind, readKind } from "../../../../src/gateway/backends/instance/lists.ts";
import type { Asked } from "../../../../src/gateway/backends/instance/pending.ts";
import type { JsonObject } from "../../../../src/gateway/json-rpc.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { toolOf } from "../programs/instance-scripted-link.ts";

type Page = (cursor: string | null, method: string) => Asked;
const page = (result: JsonObject): Asked => ({ kind: "answered", reply: { result } });

function read(
  answer: Page,
  kind: "tools" | "resources" = "tools",
  oddities: string[] = [],
): Promise<ReadKind> {
  return readKind(kind, {
    ask: async (method, params) => {
      const cursor = params?.["cursor"];
      return answer(typeof cursor === "string" ? cursor : null, method);
    },
    clock: createManualClock(),
    timeoutMs: 10_000,
    toolFault: () => null,
    onOddity: (method, oddity) => void oddities.push(`${method} ${oddity}`),
  });
}

async function failure(answer: Page): Promise<string> {
  const outcome = await read(answer);
  return outcome.failure === null ? "none" : `${outcome.failure.kind}: ${outcome.failure.message}`;
}

describe("reading a list", () => {
  test("a cursor that comes again is a failure", async () => {
    let next = 0;
    const message = await failure(() => page({ tools: [], nextCursor: ["a", "b", "a"][next++ % 3] }));
    assert.equal(message, "protocol: tools/list gives the same page again and again");
  });
  test("pages, entries and bytes are bounded", async () => {
    let next = 0;
    const endless =
      (tools: readonly unknown[]): Page =>
      () =>
        page({ tools, nextCursor: String(next++) });
    assert.equal(await failure(endless([])), "overloaded: tools/list gives more than 1000 pages");
    const many = Array.from({ length: 1_000 }, (_, index) => ({ name: `t${index}` }));
    assert.equal(await failure(endless(many)), "overloaded: tools/list gives more than 100000 entries");
    const large = [{ name: "x", description: "x".repeat(8 * 1024 * 1024) }];
    assert.equal(await failure(endless(large)), "overloaded: tools/list gives more than 64 MiB");
  });
  test("D3 entries that are withheld or skipped count, too, before anything is made of them", async () => {
    const withheld = { name: "x", inputSchema: 1 };
    const outcome = await read(() => page({ tools: Array.from({ length: 100_001 }, () => withheld) }));
    assert.equal(outcome.failure?.message, "tools/list gives more than 100000 entries");
    assert.deepEqual(outcome.faulty, {});
  });
  test("one deadline holds for all pages", async () => {
    const clock = createManualClock();
    const asked: number[] = [];
    const outcome = await readKind("tools", {
      ask: async (_method, _params, timeoutMs) => {
        asked.push(timeoutMs);
        await clock.advance(4_000);
        return page({ tools: [], nextCursor: String(asked.length) });
      },
      clock,
      timeoutMs: 10_000,
      toolFault: () => null,
      onOddity() {},
    });
    assert.deepEqual(asked, [10_000, 6_000, 2_000]);
    assert.equal(outcome.failure?.kind, "unreachable");
  });
  test("resources and their templates are read together; a list that is not there is empty and odd", async () => {
    const oddities: string[] = [];
    const outcome = await read(
      (_cursor, method) =>
        method === "resources/templates/list"
          ? page({ resourceTemplates: [{ uriTemplate: "f:///{x}", name: "x" }, { name: "no template" }] })
          : { kind: "answered", reply: { error: { code: -32601, message: "no" } } },
      "resources",
      oddities,
    );
    assert.deepEqual(outcome, {
      part: { resources: [], resourceTemplates: [{ uriTemplate: "f:///{x}", name: "x" }] },
      faulty: { resources: [], resourceTemplates: [] },
      freshness: {},
      failure: null,
    });
    assert.deepEqual(oddities.sort(), [
      "resources/list no_such_list",
      "resources/templates/list nameless_entry",
    ]);
  });
  test("entries nested too deep to be told to clients are skipped, and odd; the rest of all pages is read", async () => {
    const oddities: string[] = [];
    for (const deep of [
      JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`),
      JSON.parse(`${'{"0":1,"a":'.repeat(20_000)}1${"}".repeat(20_000)}`),
    ]) {
      let next = 0;
      const outcome = await read(
        () =>
          page({
            tools: [toolOf(`t${next}`), { name: `deep${next}`, inputSchema: deep }],
            nextCursor: next++ < 2 ? String(next) : undefined,
          }),
        "tools",
        oddities,
      );
      assert.deepEqual(outcome, {
        part: { tools: [toolOf("t0"), toolOf("t1"), toolOf("t2")] },
        faulty: { tools: [] },
        freshness: {},
        failure: null,
      });
    }
    assert.deepEqual([...new Set(oddities)], ["tools/list unwritable_entry"]);
  });
});
