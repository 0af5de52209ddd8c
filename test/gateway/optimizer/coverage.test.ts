import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { conceptsOf, termsOf } from "../../../src/gateway/optimizer/terms.ts";
import { coverageOf, ToolIndex, wordsWithConcepts } from "../../../src/gateway/optimizer/tool-index.ts";

function said(name: string, description = "") {
  const terms = [...termsOf(name), ...termsOf(description)];
  return {
    name: wordsWithConcepts(termsOf(name)),
    terms: new Set([...terms, ...conceptsOf(terms)]),
  };
}

function covers(question: string, name: string, description = ""): number {
  return coverageOf(termsOf(question), 1_000, () => 10)(said(name, description));
}

async function first(question: string, names: readonly string[]): Promise<string | undefined> {
  const index = new ToolIndex();
  const tools = names.map((name) => {
    const definition = { name, inputSchema: { type: "object" } };
    return [name, { name, originalName: name, backend: "some", definition }] as const;
  });
  index.follow(new Map(tools));
  await index.ready;
  return index.search(question, 1, () => true)[0];
}

describe("D4 how much of a question a tool meets", () => {
  test("more words met are better, the word itself is better than another for it, and nothing is 0", () => {
    const both = covers("delete branch", "delete_branch");
    assert.ok(both > covers("delete branch", "delete_file"));
    assert.ok(covers("purge cache", "purge_cache") > covers("purge cache", "wipe_cache"));
    assert.ok(covers("purge cache", "wipe_cache") > covers("purge cache", "list_cache"));
    assert.equal(covers("delete branch", "weather"), 0);
  });

  test("a name of which nothing else is asked is better than a longer one", async () => {
    assert.ok(
      covers("create pipeline", "create_pipeline") > covers("create pipeline", "create_pipeline_schedule"),
    );
    const names = ["create_pipeline_schedule_variable", "create_pipeline_schedule", "create_pipeline"];
    assert.equal(await first("start a new pipeline", names), "create_pipeline");
    assert.equal(await first("createPipelineSchedule", names), "create_pipeline_schedule");
  });

  test("a rare word says more than a common one, and one that no tool has next to nothing", () => {
    const counts = new Map([
      ["common", 900],
      ["rare", 1],
    ]);
    const factor = coverageOf(["common", "rare", "nowhere"], 1_000, (term) => counts.get(term) ?? 0);
    const [common, rare] = [factor(said("x", "common")), factor(said("x", "rare"))];
    assert.ok(rare > 5 * common, `${rare} ${common}`);
    assert.ok(factor(said("x", "common rare")) > 0.9 * 0.5);
  });
});
