// How real programs end, and the reason that a person is given: rows of data in `endings.yaml`.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { ExitReason } from "../../src/gateway/backends/transports/stdio/exit-reason.ts";

interface Row {
  readonly what: string;
  readonly from?: readonly string[];
  /** Part of the line. */
  readonly reason: string;
  /** All that the program writes to stderr. */
  readonly text: string;
}

describe("D9 the reason why a program ended", async () => {
  const rows: readonly Row[] = parse(await readFile(join(import.meta.dirname, "endings.yaml"), "utf8"));
  for (const { what, reason, text } of rows)
    it(`D9 the reason is the line that a person would choose: ${what}`, () => {
      const exit = new ExitReason();
      // Empty lines never reach it.
      for (const line of text.split("\n")) if (line !== "") exit.add(line);
      assert.match(exit.text ?? "", new RegExp(reason));
    });

  it("D9 lines of punctuation are never the reason", () => {
    const exit = new ExitReason();
    for (const line of ["+----", "  | ", "}"]) exit.add(line);
    assert.equal(exit.text, null);
  });
});
