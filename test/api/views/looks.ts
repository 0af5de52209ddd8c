// How views are drawn in tests, and what holds for each of them.
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { StatusReport } from "../../../src/api/contract/contract.ts";
import { renderStatus } from "../../../src/api/views/status-view.ts";
import { columns } from "../../../src/runtime/text/plain-text.ts";
import { SAMPLE_NOW } from "../sample-report.ts";

export const PLAIN = { width: 80, color: false, unicode: true, now: SAMPLE_NOW };

/** A name that a terminal would obey, if it came there. */
export const HOSTILE = "x\x1b]0;owned\x07\r\n\u202e";

export function assertHarmless(text: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
  assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f\u202e]|NaN|undefined|null/);
}

export function isAsAgreed(t: TestContext, text: string, name: string): void {
  t.assert.fileSnapshot(text, join(import.meta.dirname, "golden", `${name}.txt`), { serializers: [String] });
}

/** Each at 80 columns; those that are broken in a way of their own on a narrow terminal, at 60, too. */
export function testLooks(
  kind: string,
  states: Readonly<Record<string, StatusReport>>,
  narrow: readonly string[] = [],
): void {
  for (const [name, report] of Object.entries(states)) {
    test(`C3 a ${kind} "${name}" looks as agreed, and has the same text at every width`, (t) => {
      const at = (width: number): string => renderStatus(report, { ...PLAIN, width });
      const words = (text: string): string => text.replaceAll(/[\s▶]+/g, "");
      for (const width of [60, 80, 120]) {
        const text = at(width);
        if (width === 80 || (width === 60 && narrow.includes(name)))
          isAsAgreed(t, text, `${kind}-${name}-${width}`);
        assert.equal(words(text), words(at(80)), `${width} columns`);
        for (const line of text.split("\n")) {
          assert.equal(line, line.trimEnd(), "no line ends in blanks");
          assert.ok(columns(line) <= width || /\/|mountaineer/.test(line), `${width} columns: ${line}`);
        }
      }
    });
  }
}
