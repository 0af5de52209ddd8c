import assert from "node:assert/strict";
import { test } from "node:test";
import { draftOf } from "../../../../src/api/forms/sync-fields.ts";
import { SYNC_FORMS, unsavedSync } from "../../../../src/web/page/sync/sync-memory.ts";

test("F2 changes of the Sync form that were not saved are kept for their session", () => {
  const session = {};
  const settings = {
    enabled: true,
    poll_interval: 1,
    debounce: 0.05,
    detection: "mtime",
    on_failure: "backoff",
  } as const;
  const base = { settings, sha256: "0".repeat(64) };
  assert.equal(unsavedSync(session), null);
  const form = SYNC_FORMS.storeOf(session, "", () => ({ base, draft: draftOf(settings) }));
  assert.equal(unsavedSync(session), null, "nobody has changed it");
  const draft = { ...draftOf(settings), debounce: "0.07" };
  form.set({ draft });
  assert.deepEqual(unsavedSync(session), { base, draft });
  assert.equal(unsavedSync({}), null, "another session's");
  form.set({ base: { ...base, settings: { ...settings, debounce: 0.07 } } });
  assert.equal(unsavedSync(session), null, "saved");
});
