import assert from "node:assert/strict";
import { test } from "node:test";
import { linkFailure } from "../../../../../src/gateway/backends/links/backend-link.ts";
import { judgeFailure, judgeReply } from "../../../../../src/gateway/backends/links/era/probe.ts";
import { errorReply } from "../../../../../src/gateway/json-rpc.ts";

test("D1 what an answer to server/discover says about the server", () => {
  const supports = (...supportedVersions: readonly string[]) => ({ result: { supportedVersions } });
  const cases = [
    [supports("2026-07-28"), "modern"],
    [supports("2027-01-01", "2026-07-28"), "modern"],
    [supports("2027-01-01", "2025-11-25"), "older"],
    [supports("2027-01-01"), "failed"],
    [{ result: {} }, "older"],
    [errorReply(-32601, "Method not found"), "older"],
    [errorReply(-32602, "Invalid params"), "older"],
    [errorReply(-32000, "Server not initialized"), "older"],
    [errorReply(-32022, "Unsupported", { supported: ["2025-11-25"] }), "older"],
    [errorReply(-32022, "Unsupported", { supported: ["2027-01-01"] }), "failed"],
    [errorReply(-32022, "Unsupported"), "older"],
    [errorReply(-32020, "Header mismatch"), "failed"],
    [errorReply(-32021, "Missing capability"), "failed"],
  ] as const;
  for (const [reply, expected] of cases) {
    assert.equal(judgeReply(reply).kind, expected, JSON.stringify(reply));
  }
});

test("D1 no sign-in, no connection and no redirect say anything about the version", () => {
  const refused = (status: number) => ({ ...linkFailure("refused", "no"), status });
  for (const status of [301, 401, 403]) assert.equal(judgeFailure(refused(status)).kind, "failed");
  for (const status of [400, 404, 405, 500, 503]) assert.equal(judgeFailure(refused(status)).kind, "older");
  for (const kind of ["unreachable", "unauthorized", "overloaded"] as const) {
    assert.equal(judgeFailure(linkFailure(kind, "no")).kind, "failed");
  }
  for (const kind of ["closed", "protocol"] as const) {
    assert.equal(judgeFailure(linkFailure(kind, "no")).kind, "older");
  }
});
