// What a daemon plays to itself before it takes over: all of it is served, and nothing of it is left or seen.
import assert from "node:assert/strict";
import { getActiveResourcesInfo } from "node:process";
import { describe, it } from "node:test";
import { rehearse } from "../../../src/gateway/serving/rehearsal.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";

const NEVER = new AbortController().signal;

describe("B11 a rehearsal before a daemon takes over", () => {
  it("is answered whole, over HTTP in both versions and over lines", async () => {
    const { asked, answered } = await rehearse({ clock: createManualClock(), signal: NEVER });
    assert.ok(asked > 100, `${asked} asked`);
    assert.equal(answered, asked);
  });

  it("opens no address, starts no process, and leaves no timer", async () => {
    const clock = createManualClock();
    const before = getActiveResourcesInfo().toSorted();
    const playing = rehearse({ clock, signal: NEVER });
    const seen = new Set<string>();
    for (let look = 0; look < 20; look++) {
      await settle();
      for (const resource of getActiveResourcesInfo()) seen.add(resource);
    }
    await playing;
    assert.deepEqual(
      [...seen].filter((resource) => /TCP|Pipe|Process|FSReq/.test(resource) && !before.includes(resource)),
      [],
    );
    assert.equal(clock.pendingTimers, 0);
  });

  it("fails no takeover: whatever goes wrong in it, it is over, and says how much was answered", async () => {
    const broken = {
      ...createManualClock(),
      setTimer(): never {
        throw new Error("no time");
      },
    };
    assert.deepEqual(await rehearse({ clock: broken, signal: NEVER }), { asked: 0, answered: 0 });
  });

  it("ends early when it is told to, and after a while in any case", async () => {
    const stopped = new AbortController();
    const stopping = rehearse({ clock: systemClock, signal: stopped.signal });
    stopped.abort();
    const whole = await rehearse({ clock: createManualClock(), signal: NEVER });
    assert.ok((await stopping).asked < whole.asked);

    const clock = createManualClock();
    const late = rehearse({ clock, signal: NEVER });
    await clock.advance(2_000);
    assert.ok((await late).asked < whole.asked);
  });
});
