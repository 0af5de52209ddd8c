import test from "node:test";
import { tellNeverDown } from "../live/never-down/told-story.ts";

// 1,000 edits, 20 handovers and 20 kills play by night.
test("B11 40 edits, 2 handovers and 4 kill -9 at 300 calls a second lose no session, and repeat no call", (t) =>
  tellNeverDown(t, { edits: 40, handovers: 2, kills: 4 }));
