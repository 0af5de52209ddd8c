import assert from "node:assert/strict";
import test from "node:test";
import { MountaineerError } from "../../src/runtime/errors.ts";
import type { ReloadMemory, SeenFile } from "../../src/sync/decide-reload.ts";
import { outcomeOfThrown, type ReloadOutcome } from "../../src/sync/reload-outcome.ts";
import { type RoundEnd, reloadRound } from "../../src/sync/reload-round.ts";
import { APPLIED, sha256 } from "./watcher-bench.ts";

const MEMORY: ReloadMemory = { runningSha256: sha256("run"), expectedSha256: null, problem: null };
const TORN: ReloadOutcome = { kind: "rejected", unparsable: true, reason: "torn" };
const content = (text: string): SeenFile => ({
  kind: "content",
  sha256: sha256(text),
  bytes: new TextEncoder().encode(text),
});

/** Plays a round over what is seen look by look, and what each offered content comes to. */
async function play(
  seen: readonly SeenFile[],
  outcomes: readonly ReloadOutcome[],
  goesOn = true,
): Promise<{ end: RoundEnd; offered: string[]; waits: number }> {
  const looks = [...seen];
  const answers = [...outcomes];
  const offered: string[] = [];
  let waits = 0;
  const end = await reloadRound({
    asked: false,
    noticed: () => true,
    memory: () => MEMORY,
    observe: async () => looks.shift() ?? assert.fail("one look too many"),
    async offer({ bytes }) {
      offered.push(new TextDecoder().decode(bytes));
      return answers.shift() ?? assert.fail("one offer too many");
    },
    async untilSecondLook() {
      waits += 1;
      return goesOn;
    },
  });
  return { end, offered, waits };
}

test("a whole content is offered once, without a second look", async () => {
  const { end, offered, waits } = await play([content("new")], [APPLIED]);
  assert.deepEqual(end, { kind: "offered", sha256: sha256("new"), outcome: APPLIED });
  assert.deepEqual(offered, ["new"]);
  assert.equal(waits, 0);
});

test("an unparsable content that stays so counts, and is not offered again", async () => {
  const { end, offered, waits } = await play([content("to"), content("to")], [TORN]);
  assert.deepEqual(end, { kind: "offered", sha256: sha256("to"), outcome: TORN });
  assert.deepEqual(offered, ["to"]);
  assert.equal(waits, 1);
});

test("an unparsable content that became another is forgotten; the other counts at once", async () => {
  const whole = await play([content("to"), content("torn no more")], [TORN, APPLIED]);
  assert.deepEqual(whole.offered, ["to", "torn no more"]);
  assert.equal(whole.end.kind, "offered");
  const still = await play([content("to"), content("tor")], [TORN, TORN]);
  assert.deepEqual(still.end, { kind: "offered", sha256: sha256("tor"), outcome: TORN });
  const back = await play([content("to"), content("run")], [TORN]);
  assert.deepEqual(back.end, { kind: "same", sha256: sha256("run") });
  const gone = await play([content("to"), { kind: "missing" }], [TORN]);
  assert.deepEqual(gone.end, { kind: "rest", seen: { kind: "missing" } });
});

test("an empty file is offered when it stays empty, and may be unparsable then without a third look", async () => {
  const { end, offered, waits } = await play([content(""), content("")], [TORN]);
  assert.deepEqual(offered, [""]);
  assert.equal(end.kind, "offered");
  assert.equal(waits, 1);
});

test("a second look that is no business of this round any more leaves it", async () => {
  assert.deepEqual((await play([content("to")], [TORN], false)).end, { kind: "left" });
});

test("B4 a thrown wrong configuration is rejected, all else that is thrown may pass", () => {
  assert.deepEqual(outcomeOfThrown(new MountaineerError("config_invalid", "line 3")), {
    kind: "rejected",
    unparsable: false,
    reason: "line 3",
  });
  for (const thrown of [new MountaineerError("timed_out", "late"), new TypeError("late"), "late"]) {
    assert.deepEqual(outcomeOfThrown(thrown), { kind: "failed", reason: "late" });
  }
});
