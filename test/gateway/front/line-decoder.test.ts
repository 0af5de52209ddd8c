import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLineDecoder } from "../../../src/gateway/front/line-decoder.ts";
import { fc } from "../../support/properties.ts";

describe("a line decoder", () => {
  it("gives the same lines however the bytes are cut, and drops those over the limit alone", () => {
    const line = fc.string({ unit: "grapheme", maxLength: 12 }).map((text) => text.replaceAll("\n", " "));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat(200)), fc.boolean(), (lines, cuts, isEnded) => {
        const limit = 20;
        const text = lines.map((each) => `${each}\n`).join("");
        // The last may lack its end, unless there is nothing of it.
        const bytes = Buffer.from(isEnded || lines.at(-1) === "" ? text : text.replace(/\n$/, ""));
        const found: string[] = [];
        let tooLong = 0;
        const decoder = createLineDecoder(
          () => limit,
          (one) => void found.push(one.toString()),
          () => {
            tooLong += 1;
          },
        );
        let start = 0;
        for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
          const end = Math.min(cut, bytes.length);
          decoder.push(bytes.subarray(start, end));
          start = Math.max(start, end);
        }
        decoder.end();
        decoder.end();
        const expected = lines.filter((text) => Buffer.byteLength(text) <= limit);
        assert.deepEqual(found, expected);
        assert.equal(tooLong, lines.length - expected.length);
      }),
    );
  });
});
