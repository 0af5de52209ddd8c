// What NetFS fails with, against the published numbers.
import assert from "node:assert/strict";
import test from "node:test";
import { meaningOfNetfs } from "../../../../src/shares/drivers/netfs/codes.ts";
import { netfsUrl } from "../../../../src/shares/drivers/netfs/netfs.ts";

const STATUSES: readonly (readonly [status: number, reason: string])[] = [
  [1, "permission_denied"],
  [2, "no_such_share"],
  [13, "permission_denied"],
  [16, "path_taken"],
  [17, "path_taken"],
  [50, "unreachable"],
  [51, "unreachable"],
  [60, "timed_out"],
  [61, "refused"],
  [62, "other"],
  [64, "unreachable"],
  [65, "unreachable"],
  [80, "wrong_credentials"],
  [-128, "other"],
  [-5045, "wrong_credentials"],
  [-5046, "wrong_credentials"],
  [-5996, "other"],
  [-5997, "other"],
  [-5998, "no_such_share"],
  [-5999, "permission_denied"],
  [-6003, "no_such_share"],
  [-6004, "wrong_credentials"],
  [-6005, "unreachable"],
  [-6600, "other"],
  [-6602, "other"],
  [-1_073_741_275, "no_such_share"],
  [4711, "other"],
];

test("each status of NetFS has a reason and a text of its own words", () => {
  for (const [status, reason] of STATUSES) {
    const meaning = meaningOfNetfs(status);
    assert.equal(meaning.reason, reason, String(status));
    assert.ok(meaning.text.length > 5);
  }
});

test("no route is also what a missing permission looks like, and the hint says so", () => {
  assert.match(meaningOfNetfs(65).hint ?? "", /Local Network/);
  assert.match(meaningOfNetfs(80).hint ?? "", /Finder|password/);
});

test("a URL's pieces are escaped each by itself, names in NFC, a zone's percent sign too", () => {
  const url = (part: Partial<Parameters<typeof netfsUrl>[0]>): string =>
    netfsUrl({ host: "nas.local", port: 445, shareName: "core", username: "ann", ...part });
  assert.equal(url({}), "smb://ann@nas.local/core");
  assert.equal(url({ port: 4450, username: null }), "smb://nas.local:4450/core");
  assert.equal(
    url({ shareName: "cafe\u0301 & (x)/#?" }),
    "smb://ann@nas.local/caf%C3%A9%20%26%20%28x%29%2F%23%3F",
  );
  assert.equal(url({ username: "HOME;a:b@c" }), "smb://HOME%3Ba%3Ab%40c@nas.local/core");
  assert.equal(url({ host: "fe80::1%en0", port: 4450 }), "smb://ann@[fe80::1%25en0]:4450/core");
  assert.equal(url({ host: "My NAS._smb._tcp.local" }), "smb://ann@My%20NAS._smb._tcp.local/core");
});
