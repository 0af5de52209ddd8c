import assert from "node:assert/strict";
import test from "node:test";
import { deltaOfScutilLine, SCUTIL_COMMANDS } from "../../../../src/network/listen/darwin/scutil-output.ts";
import { describeDelta } from "../../../../src/network/listen/events/network-delta.ts";

const said = (line: string): string | null => {
  const delta = deltaOfScutilLine(line);
  return delta === null ? null : describeDelta(delta);
};

test("A3 scutil is told each key, each pattern as one, and to watch", () => {
  assert.deepEqual(SCUTIL_COMMANDS.split("\n"), [
    "n.add State:/Network/Global/IPv4",
    "n.add State:/Network/Global/IPv6",
    "n.add State:/Network/Interface/[^/]+/(Link|IPv4|IPv6) pattern",
    "n.watch",
    "",
  ]);
});

test("A3 its notifications are changes, the head alone too", () => {
  assert.equal(
    said("notification callback (store address = 0x600003a1c0a0)."),
    "something changed (scutil notified)",
  );
  assert.equal(
    said("  changedKey [0] = State:/Network/Interface/bridge0/Link"),
    "something changed (the link of bridge0)",
  );
  assert.equal(
    said("  changedKey [12] = State:/Network/Interface/en0/IPv6"),
    "something changed (the addresses of en0)",
  );
  assert.equal(
    said("  changedKey [1] = State:/Network/Global/IPv4"),
    "something changed (the default route, IPv4)",
  );
});

test("A3 a time before the key, as newer systems print it, changes nothing", () => {
  for (const [line, meaning] of [
    ["  11:05:09.123 changedKey [0] = State:/Network/Interface/bridge0/Link", "the link of bridge0"],
    ["   9:05:09.007 changedKey [0] = State:/Network/Interface/en0/IPv4", "the addresses of en0"],
    ["  23:59:59.999 (+0.000) changedKey [1] = State:/Network/Global/IPv6", "the default route, IPv6"],
    [" 0:00:00.001 (+3600.250) changedKey [12] = State:/Network/Interface/en0/Link", "the link of en0"],
  ] as const)
    assert.equal(said(line), `something changed (${meaning})`, line);
});

test("what is no notification changes nothing", () => {
  for (const line of [
    "",
    ">",
    "> n.watch",
    "  changedKey [0] = Setup:/x",
    "changedKey",
    "  11:05:09.123",
    "  11:05:09.123 (+0.1) changedKey [0] = Setup:/x",
    "  yesterday changedKey [0] = State:/Network/Interface/en0/Link",
    "  no changed key's.",
    "\u0007",
    "a".repeat(9_999),
  ])
    assert.equal(said(line), null, line.slice(0, 40));
});
