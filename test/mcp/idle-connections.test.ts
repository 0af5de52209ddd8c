// What waits between two requests when one daemon hands over goes to the next one as it is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { sendWhileHandingOver } from "./idle-connections.ts";

for (const [words, replace] of [
  ["", undefined],
  [", also to a server that cannot run twice", "stop-first"],
] as const) {
  test(`B11 a request on a connection that was idle at a handover is answered once${words}`, async (t) => {
    const { sent, lost, undone, twice, closed } = await sendWhileHandingOver(2, replace);
    t.diagnostic(`${sent} requests, ${closed} raw connections closed before one was sent`);
    assert.deepEqual({ lost, undone, twice }, { lost: [], undone: [], twice: [] });
  });
}
