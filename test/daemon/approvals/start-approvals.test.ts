// What a home has approved, as the next start finds it.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { openApprovalsFile } from "../../../src/daemon/approvals/approvals-file.ts";
import { openApprovals } from "../../../src/daemon/approvals/start-approvals.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { openSealedFile, type SealedFile } from "../../../src/secrets/sealed-file.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

test("E2 approvals that another version sealed are lost, however strange they are, and no start fails", async (t) => {
  const entry = { state: "off", whole: {} };
  const whole = { form: "whole entries", mode: "none", entries: { "backends.a": entry }, order: ["a"] };
  const strange = [
    null,
    { ...whole, mode: "some" },
    { ...whole, order: undefined },
    { ...whole, entries: null },
    { ...whole, entries: { "backends.a": null } },
    { ...whole, entries: { "backends.a": { ...entry, state: "yes" } } },
    { ...whole, entries: { "backends.a": { state: "runs" } } },
    // As the versions before wrote them.
    { mode: "none", entries: { "backends.a": { live: true, parts: {} } }, order: ["a"] },
  ];
  const options = { home: join(await temporaryFolder(t), "home"), clock: systemClock, environment: {} };
  const sealed = openSealedFile({ ...options, name: "approvals" });
  const loadedAfter = async (value: unknown) => {
    await sealed.write(value, { deadlineMs: 10_000 }, { note: "all" });
    return (await openApprovals(options, AbortSignal.any([]))).loaded;
  };
  for (const value of strange) {
    const loaded = await loadedAfter(value);
    assert.ok(loaded.kind === "lost" && !loaded.passes, JSON.stringify([value, loaded]));
    assert.match(loaded.reason, /is not of this version/);
    assert.equal(loaded.approvals.mode, "all");
  }
  const { kind, approvals } = await loadedAfter(whole);
  assert.deepEqual([kind, approvals?.order, approvals?.entries.get("backends.a")], ["known", ["a"], entry]);
  assert.deepEqual((await loadedAfter({ ...whole, order: ["a", 1] })).approvals?.order, ["a"]);
});

test("E2 a start that is stopped while the keyring is asked has lost no approvals", async () => {
  const path = "/home/approvals.json";
  const read = () => Promise.reject(new Error("late"));
  const file = openApprovalsFile({ path, read } as unknown as SealedFile);
  await assert.rejects(file.read(AbortSignal.abort(new Error("stopped"))), /stopped/);
  const loaded = await file.read(new AbortController().signal);
  assert.ok(loaded.kind === "lost" && loaded.passes);
});
