import assert from "node:assert/strict";
import { test } from "node:test";
import type { ToolPlaces } from "../../../src/api/catalog-contract.ts";
import { renderTools } from "../../../src/cli/views/tools-view.ts";
import { columns } from "../../../src/runtime/text/plain-text.ts";
import { sampleTool } from "../../api/sample-gateway.ts";
import { fc } from "../../support/properties.ts";

const look = { width: 60, color: false, unicode: true };

test("a tool is a line: its name, its backend, and the beginning of its description", () => {
  const tools = [
    sampleTool(),
    sampleTool({ name: "get-sum", backend: "everything", description: null }),
    sampleTool({
      name: "search",
      backend: "web",
      description: "Searches the web for whatever\nis asked of it, and then some more.",
    }),
  ];
  assert.equal(
    renderTools(tools, look),
    `read_file  files       Reads a file.
get-sum    everything
search     web         Searches the web for whatever is…
`,
  );
});

test("G1 a tool that several machines have says where it is served", () => {
  const places: ToolPlaces = [
    { machine: "desktop", standing: "tb", ready: true },
    { machine: null, standing: "fallback", ready: true },
    { machine: "nas", standing: null, ready: false },
  ];
  assert.equal(
    renderTools([sampleTool({ places })], { ...look, width: 80 }),
    "read_file  files  [desktop (tb), here (fallback), nas (not ready)] Reads a file.\n",
  );
});

test("a narrow terminal has no room for descriptions", () => {
  assert.equal(renderTools([sampleTool()], { ...look, width: 30 }), "read_file  files\n");
  assert.equal(renderTools([sampleTool()], { ...look, width: Number.NaN }), "read_file  files\n");
  assert.equal(renderTools([], look), "");
});

test("five thousand tools, hostile ones too, stay within the width unless their names do not", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.constantFrom("日本語".repeat(9), "a b c"),
  );
  fc.assert(
    fc.property(
      text,
      text,
      fc.integer({ min: 0, max: 200 }),
      fc.boolean(),
      (name, description, width, unicode) => {
        const lines = renderTools([sampleTool({ name, description })], { ...look, width, unicode });
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
        assert.doesNotMatch(lines.slice(0, -1), /[\x00-\x1f\x7f]/);
        const fixed = renderTools([sampleTool({ name, description: null })], { ...look, width, unicode });
        assert.ok(columns(lines.slice(0, -1)) <= Math.max(width, columns(fixed.slice(0, -1))));
      },
    ),
  );
  const many = Array.from({ length: 5_000 }, (_, index) => sampleTool({ name: `tool_${index}` }));
  assert.equal(renderTools(many, look).split("\n").length, 5_001);
});
