import assert from "node:assert/strict";
import { test } from "node:test";
import { eventWords, transitionWords } from "../../../src/api/words/event-words.ts";

test("F2 transitions are told in words, with what they are about", () => {
  assert.deepEqual(
    transitionWords({
      name: "share.failover",
      share: "CORE",
      from: "tb",
      to: "fallback",
      host: "x",
      reason: "link down",
      duration_ms: 1250,
    }),
    {
      name: "share.failover",
      about: "CORE",
      text: "Failed over from Thunderbolt to Fallback in 1.3 s: link down",
      tone: "warning",
    },
  );
  assert.deepEqual(
    transitionWords({
      name: "backend.phase",
      backend: "files",
      from: "Pending",
      to: "Failed",
      reason: null,
      took_ms: 1,
    }),
    {
      name: "backend.phase",
      about: "files",
      text: "Pending → Failed",
      tone: "bad",
    },
  );
});

test("one that this page does not know is told all the same; one of each look is not", () => {
  assert.deepEqual(transitionWords({ name: "share.brand_new", share: "CORE", count: 2, more: {} }), {
    name: "share.brand_new",
    about: "CORE",
    text: "share brand new, count 2",
    tone: "plain",
  });
  assert.equal(transitionWords({ name: "share.open_files_checked", share: "CORE" }), null);
});

test("sync events are told, states are not", () => {
  const event = { id: 1, time: "1:02:03", iso: "", generation: 1, type: "error" as const, details: "line 3" };
  assert.deepEqual(eventWords({ kind: "sync", event }), {
    name: "sync",
    about: null,
    text: "Configuration: line 3",
    tone: "bad",
  });
  assert.equal(eventWords({ kind: "gap" }), null);
});
