import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  MOST_NAMED,
  NAMED_MS,
  RefusalAudit,
  type RefusalRecord,
  type TurnedAway,
} from "../../../src/gateway/middleware/refusal-audit.ts";
import { createManualClock, type ManualClock } from "../../support/manual-clock.ts";

const ACCESS_PAGE = join(import.meta.dirname, "../../../docs/gateway-access.md");
const WRONG_TOKEN: TurnedAway = {
  status: 401,
  reason: "the bearer token is not accepted",
  remote: "192.168.1.23",
  principal: null,
};

function start(): { audit: RefusalAudit; records: RefusalRecord[]; clock: ManualClock } {
  const records: RefusalRecord[] = [];
  const clock = createManualClock(Date.UTC(2026, 10, 20, 10));
  const clean = (text: string): string => text.replaceAll("secret", "[redacted]");
  return {
    audit: new RefusalAudit({ write: (record) => records.push(record), clock, clean }),
    records,
    clock,
  };
}

const sender = (number: number): TurnedAway => ({
  ...WRONG_TOKEN,
  remote: `10.0.${number >> 8}.${number & 255}`,
});

describe("refused requests in the audit", () => {
  test("a sender's first is written at once, the next ones as one line a minute, as documented", async () => {
    const { audit, records, clock } = start();
    audit.record(WRONG_TOKEN);
    await clock.advance(2_000);
    for (let count = 0; count < 57; count++) audit.record(WRONG_TOKEN);
    assert.equal(records.length, 1);
    await clock.advance(60_000);
    const [, example] = /^```json\n(\{[^`]*)```$/m.exec(await readFile(ACCESS_PAGE, "utf8")) ?? [];
    assert.equal(records.map((record) => `${JSON.stringify(record)}\n`).join(""), example);
    await clock.advance(NAMED_MS);
    assert.equal(records.length, 2, "nothing more came");
  });

  test("of each reason, each sender and each principal there is a first", () => {
    const { audit, records } = start();
    audit.record(WRONG_TOKEN);
    audit.record({ ...WRONG_TOKEN, reason: "a bearer token is required" });
    audit.record({ ...WRONG_TOKEN, remote: "::1" });
    audit.record({ ...WRONG_TOKEN, remote: null });
    const foreignSession = {
      ...WRONG_TOKEN,
      status: 404,
      reason: "another's",
      principal: "the secret one",
    } as const;
    audit.record(foreignSession);
    audit.record({ ...foreignSession, principal: "bob" });
    assert.deepEqual(
      records.map(({ outcome, remote, principal, count }) => [outcome, remote, principal, count]),
      [
        ["refused:401", "192.168.1.23", null, 1],
        ["refused:401", "192.168.1.23", null, 1],
        ["refused:401", "::1", null, 1],
        ["refused:401", null, null, 1],
        ["refused:404", "192.168.1.23", "the [redacted] one", 1],
        ["refused:404", "192.168.1.23", "bob", 1],
      ],
    );
  });

  test("a flood from everywhere is a few lines an hour, and none of its requests is missing from the counts", async () => {
    const { audit, records, clock } = start();
    let sent = 0;
    for (let minute = 0; minute < 180; minute++) {
      for (let count = 0; count < 100; count++) audit.record(sender(sent++));
      await clock.advance(60_000);
    }
    audit[Symbol.dispose]();
    assert.equal(
      records.reduce((sum, { count }) => sum + count, 0),
      sent,
    );
    assert.ok(records.length <= 3 * (MOST_NAMED + 60), `${records.length} lines`);
    assert.ok(
      records.some(({ remote, count }) => remote === null && count > 1),
      "several senders in one count",
    );
  });

  test("a sender is told of again after an hour", async () => {
    const { audit, records, clock } = start();
    audit.record(WRONG_TOKEN);
    await clock.advance(NAMED_MS - 1);
    audit.record(WRONG_TOKEN);
    assert.equal(records.length, 1);
    await clock.advance(60_000);
    audit.record(WRONG_TOKEN);
    assert.deepEqual(
      records.map(({ since }) => since === undefined),
      [true, false, true],
    );
  });

  test("disposal writes what is counted, once", async () => {
    const { audit, records, clock } = start();
    for (let count = 0; count < 3; count++) audit.record(WRONG_TOKEN);
    audit[Symbol.dispose]();
    audit[Symbol.dispose]();
    await clock.advance(NAMED_MS);
    assert.deepEqual(
      records.map(({ count }) => count),
      [1, 2],
    );
  });
});
