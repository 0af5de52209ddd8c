import assert from "node:assert/strict";
import test from "node:test";
import { globalFindings, verifyShare } from "../../../src/daemon/control/verify.ts";
import { EMPTY_SHARE_MEMORY } from "../../../src/reconcile/memory.ts";
import { assertEach } from "../../support/assert-each.ts";
import { answered, foundMount, probe, seenOf, viewOf, WALL_MS } from "../shares.ts";

const healthy = seenOf({ mount: { found: foundMount(), look: answered(null) } });
const mounted = { ...EMPTY_SHARE_MEMORY, activeInterface: "tb" } as const;
const brief = (findings: ReturnType<typeof verifyShare>) =>
  findings.map(({ share, severity, code }) => `${share} ${severity} ${code}`);

test("a share that is mounted and answers has no findings", () => {
  assert.deepEqual(verifyShare(viewOf({ memory: mounted, seen: healthy })), []);
});

test("one that is not mounted is an error that says why and what to do; held unmounted it is none", () => {
  const memory = { ...EMPTY_SHARE_MEMORY, lastError: "the password was refused" };
  assert.deepEqual(verifyShare(viewOf({ memory, seen: seenOf() })), [
    {
      share: "CORE",
      severity: "error",
      code: "not_mounted",
      text: "not mounted: the password was refused",
      hint: "mountaineer mount --share CORE",
    },
  ]);
  const held = { ...EMPTY_SHARE_MEMORY, held: "unmounted" } as const;
  assert.deepEqual(verifyShare(viewOf({ memory: held, seen: seenOf() })), []);
});

test("one that no host answers for is not told to be mounted: that would not help", () => {
  const silent = { atMs: 1000, probe: probe("gone", "connection refused") };
  const [notMounted] = verifyShare(viewOf({ seen: seenOf({ routes: { tb: silent, fallback: silent } }) }));
  assert.equal(notMounted?.code, "not_mounted");
  assert.equal(notMounted?.hint, "check the cables and the server; mountaineer doctor looks closer");
});

test("one whose password is missing is not told to be mounted: that would not help", () => {
  const missing = {
    code: "secret_missing",
    severity: "error",
    title: "The password is not there",
    hint: "mountaineer secret set nas",
    since: WALL_MS,
  } as const;
  const found = verifyShare(viewOf({ seen: seenOf(), conditions: [missing] }));
  assertEach(found, ({ code, hint }) => [code, hint], [
    ["not_mounted", null],
    ["secret_missing", "mountaineer secret set nas"],
  ]);
});

test("a mount that is dead, and one that gives no answer, are errors", () => {
  const dead = seenOf({ mount: { found: foundMount(), look: answered("EIO") } });
  const hung = seenOf({ mount: { found: foundMount(), look: { state: "pending", startedAtMs: -9000 } } });
  for (const seen of [dead, hung]) {
    assert.deepEqual(brief(verifyShare(viewOf({ memory: mounted, seen }))), ["CORE error mount_dead"]);
  }
});

test("the last error of a share that is mounted all the same is an error", () => {
  const memory = { ...mounted, lastError: "the other host is gone too" };
  assert.deepEqual(brief(verifyShare(viewOf({ memory, seen: healthy }))), ["CORE error last_error"]);
});

test("a route that is down is a warning with the probe's words", () => {
  const routes = { ...healthy.routes, fallback: { atMs: 1000, probe: probe("gone", "connection refused") } };
  assert.deepEqual(verifyShare(viewOf({ memory: mounted, seen: { ...healthy, routes } })), [
    { share: "CORE", severity: "warning", code: "fallback_down", text: "connection refused", hint: null },
  ]);
});

test("conditions are findings by their severity; what is only told is none", () => {
  const condition = { title: "Something stands", hint: "Look", since: WALL_MS };
  const conditions = [
    { ...condition, code: "told", severity: "info" },
    { ...condition, code: "odd", severity: "warning" },
    { ...condition, code: "bad", severity: "error" },
  ] as const;
  assert.deepEqual(brief(verifyShare(viewOf({ memory: mounted, seen: healthy, conditions }))), [
    "CORE warning odd",
    "CORE error bad",
  ]);
  const global = conditions.map((each) => ({ ...each, since: "2026-01-01T00:00:00.000Z" }));
  assert.deepEqual(globalFindings(global), [
    { share: null, severity: "warning", code: "odd", text: "Something stands", hint: "Look" },
    { share: null, severity: "error", code: "bad", text: "Something stands", hint: "Look" },
  ]);
});

test("a mount whose root may not be read is an error for whoever asks", () => {
  const denied = {
    code: "mount_denied",
    severity: "warning",
    title: "Not permitted",
    hint: "",
    since: WALL_MS,
  } as const;
  assert.deepEqual(brief(verifyShare(viewOf({ memory: mounted, seen: healthy, conditions: [denied] }))), [
    "CORE error mount_denied",
  ]);
});
