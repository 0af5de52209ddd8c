import assert from "node:assert/strict";
import { test } from "node:test";
import { editExit, reloadExit, renderReload } from "../../../src/cli/views/reload-view.ts";
import { columns } from "../../../src/runtime/text/plain-text.ts";
import { sampleEdit, sampleMistake, sampleReload } from "../../api/sample-config.ts";
import { assertHarmless, HOSTILE, PLAIN } from "./looks.ts";

const none = { added: [], removed: [], changed: [] };

test("what came, went and changed is a line each, shares before the rest", () => {
  const report = sampleReload({
    shares: { added: ["NEW"], removed: ["OLD"], changed: ["CORE", "MEDIA"] },
    backends: { ...none, changed: ["files"] },
    middleware: ["audit"],
    settings: ["global.lsof_recheck", "sync.debounce"],
    summary: "1 backend, 4 shares reloaded",
  });
  assert.equal(
    renderReload(report, PLAIN),
    `✓ 1 backend, 4 shares reloaded (generation 3)
    started          NEW
    let go           OLD
    changed          CORE, MEDIA
    changed backend  files
    set middleware   audit
    set              global.lsof_recheck, sync.debounce
`,
  );
});

test("nothing touched is said in one line, done or only tried", () => {
  const same = sampleReload({ reloaded: false, summary: "no changes" });
  assert.equal(renderReload(same, PLAIN), "– no changes: this configuration runs already\n");
  const dry = { ...same, dry_run: true };
  assert.equal(renderReload(dry, PLAIN), "✓ this configuration runs already\n");
  assert.equal(
    renderReload(dry, PLAIN, { shares: ["CORE"], backends: ["files"] }),
    "✓ this configuration runs already\n    stay          CORE\n    stay backend  files\n",
  );
  const first = { ...dry, generation: 0 };
  assert.equal(renderReload(first, PLAIN), "✓ a daemon would begin with defaults, and no shares\n");
});

test("long lists keep within the width, and hostile names are harmless", () => {
  const added = Array.from({ length: 60 }, (_, index) => `SHARE-${index}`);
  const text = renderReload(sampleReload({ shares: { ...none, added } }), { ...PLAIN, width: 60 });
  for (const line of text.split("\n")) assert.ok(columns(line) <= 60, line);
  assert.equal(text.match(/SHARE-/g)?.length, 60);
  for (const width of [0, 1, Number.NaN])
    assertHarmless(renderReload(sampleReload({ shares: { ...none, added } }), { ...PLAIN, width }));
  const hostile = sampleReload({ shares: { ...none, removed: [HOSTILE] }, summary: HOSTILE });
  assertHarmless(renderReload(hostile, PLAIN));
});

test("pin: mistakes end with 3, what could not be applied with 1, all else with 0", () => {
  assert.equal(reloadExit(sampleReload()), 0);
  assert.equal(reloadExit(sampleReload({ errors: [sampleMistake()] })), 3);
  assert.equal(reloadExit(sampleReload({ failure: "port taken" })), 1);
  assert.equal(editExit(sampleEdit()), 0);
  assert.equal(editExit(sampleEdit({ changed: false, reload: null })), 0);
  assert.equal(editExit(sampleEdit({ errors: [sampleMistake()], reload: null })), 3);
  assert.equal(editExit(sampleEdit({ reload: sampleReload({ failure: "port taken" }) })), 1);
});
