import assert from "node:assert/strict";
import { test } from "node:test";
import { loopGuard, requireNoOwnBackend } from "../../../src/daemon/compose/loop-guard.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";

const isOwn = (error: unknown): boolean => error instanceof MountaineerError && error.code === "gateway_off";

test("a gateway below its own is refused, however far; one of another configuration is not", () => {
  requireNoOwnBackend("/a", {});
  const first = loopGuard("/a", { HOME: "/h" });
  assert.throws(() => requireNoOwnBackend("/a", first), isOwn);
  requireNoOwnBackend("/b", first);
  const second = loopGuard("/b", first);
  for (const path of ["/a", "/b"]) assert.throws(() => requireNoOwnBackend(path, second), isOwn);
  requireNoOwnBackend("/c", second);
});

test("what somebody else has put there is no lineage", () => {
  for (const text of ["", "1", "[1]", "nonsense"]) requireNoOwnBackend("/a", { MOUNTAINEER_WITHIN: text });
});
