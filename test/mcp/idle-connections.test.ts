// What waits between two requests when one daemon hands over goes to the next one as it is.
import { test } from "node:test";
import { requireAllDone } from "../kit/load.ts";
import { sendWhileHandingOver } from "./idle-connections.ts";

for (const [words, replace] of [
  ["", undefined],
  [", also to a server that cannot run twice", "stop-first"],
] as const) {
  test(`B11 a request on a connection that was idle at a handover is answered once${words}`, async (t) => {
    const end = await sendWhileHandingOver(2, replace);
    t.diagnostic(`${end.sent} requests`);
    requireAllDone(end);
  });
}
