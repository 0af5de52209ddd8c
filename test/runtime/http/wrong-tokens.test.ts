// How long refusals of wrong tokens are delayed, by a clock that the test moves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { senderNetwork } from "../../../src/runtime/http/sender-network.ts";
import { WrongTokens } from "../../../src/runtime/http/wrong-tokens.ts";
import { createManualClock } from "../../support/manual-clock.ts";

function rig() {
  const clock = createManualClock();
  const wrong = new WrongTokens(clock);
  /** Refuses so many from the address; resolves with how many were answered at once. */
  const refuse = (address: string | null, count: number): number => {
    let answered = 0;
    for (let index = 0; index < count; index++) wrong.refuse(address, () => answered++);
    return answered;
  };
  return { clock, refuse };
}

test("E4 ten wrong tokens a minute from one address are refused at once, the others half a second later", async () => {
  const { clock, refuse } = rig();
  assert.equal(refuse("10.0.0.1", 11), 10);
  assert.equal(refuse("10.0.0.2", 1), 1, "another address");
  assert.equal(clock.pendingTimers, 1);
  await clock.advance(500);
  assert.equal(clock.pendingTimers, 0);
  await clock.advance(59_499);
  assert.equal(refuse("10.0.0.1", 1), 0);
  await clock.advance(1);
  assert.equal(refuse("10.0.0.1", 11), 10, "a minute later it begins afresh");
});

test("E4 an IPv6 /64 counts as one address, and an IPv4 address in IPv6 form as itself", () => {
  const rows: readonly (readonly [string, string])[] = [
    ["2001:db8:7:7::1", "2001:DB8:7:7:ffff:1:2:3"],
    ["fe80::1%eth0", "fe80:0:0:0::2"],
    ["192.0.2.7", "::ffff:192.0.2.7"],
    ["192.0.2.7", "::FFFF:c000:207"],
    ["192.0.2.7", "64:ff9b::192.0.2.7"],
  ];
  for (const [one, other] of rows) assert.deepEqual([senderNetwork(one)], [senderNetwork(other)]);
  const apart = ["2001:db8:7:7::1", "2001:db8:7:8::1", "::1", "1::", "192.0.2.7", "::ffff:192.0.2.8", ""];
  assert.equal(new Set(apart.map(senderNetwork)).size, apart.length);
  const { refuse } = rig();
  refuse("2001:db8::1", 10);
  assert.equal(refuse("2001:db8::2", 1), 0);
});

test("E4 at most 256 refusals wait at a time, and answered ones no longer count", async () => {
  const { clock, refuse } = rig();
  assert.equal(refuse(null, 10 + 256 + 5), 10 + 5);
  await clock.advance(500);
  assert.equal(refuse(null, 256), 0);
});

test("E4 the wrong tokens of the last 1,024 addresses are counted", async () => {
  const { clock, refuse } = rig();
  refuse("renewed", 10);
  refuse("other", 10);
  await clock.advance(60_000);
  assert.equal(refuse("renewed", 11), 10);
  for (let index = 0; index < 1_023; index++) refuse(`10.0.0.${index}`, 1);
  assert.equal(refuse("renewed", 1), 0);
  refuse("one more", 1);
  assert.equal(refuse("renewed", 1), 1);
});
