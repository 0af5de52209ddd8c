import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToolChanges } from "../../../src/cli/views/tool-changes-view.ts";
import { sampleToolChange } from "../../api/sample-gateway.ts";
import { PLAIN } from "./looks.ts";

const drawn = (changes: Parameters<typeof sampleToolChange>[0], color = false): string =>
  renderToolChanges(
    { changes: [sampleToolChange(changes)], unseen: [], lost: null },
    { ...PLAIN, color },
    false,
  );

test("each member of a changed tool stands old beside new, hidden text spelled out, in colours", () => {
  const members = [
    { member: "title", before: null, after: "Read" },
    { member: "description", before: "Reads a file.", after: "Reads a\u202e file." },
  ];
  assert.equal(
    drawn({ members, published_as: "files_read", withheld: true }),
    `read_file of files, published as files_read  changed, withheld until it is approved
--- title
+++ title
@@ -0,0 +1 @@
+Read
--- description
+++ description
@@ -1 +1 @@
-Reads a file.
+Reads a\\u{202e} file.
`,
  );
  assert.ok(drawn({ members }, true).includes("\x1b[32m+Read"));
});

test("text that was too long to keep is said to be missing, and text that is not shown how to see it", () => {
  assert.match(
    drawn({ before_known: false }),
    /published\n {4}what was approved was too long to keep.*\n---/,
  );
  assert.doesNotMatch(drawn({}), /too long/);
  assert.match(drawn({ members: null }), /published\n {4}mountaineer tools diff files:read_file shows it\n$/);
});
