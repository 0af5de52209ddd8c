import assert from "node:assert/strict";
import { test } from "node:test";
import { shareNameOf } from "../../../src/cli/init/init-text.ts";

type Found = Parameters<typeof shareNameOf>[0];

test("G1 a found share is called as it is, where a folder may be called that", () => {
  // Nothing else of it counts.
  const named = (share: string): string => shareNameOf({ share } as Found);
  assert.deepEqual(["CORE", " Photos ", "a/b", "cafe\u0301"].map(named), ["CORE", "Photos", "a-b", "café"]);
  const ours = ["", ".", "..", "Links", "links"];
  assert.deepEqual(
    ours.map(named),
    ours.map((name) => `share-${name}`),
  );
  assert.equal(named("linksys"), "linksys");
});
