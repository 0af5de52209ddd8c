import test from "node:test";
import { tellNeverDown } from "../live/never-down/told-story.ts";

/** Fewer to try it out: MOUNTAINEER_EDITS. */
const EDITS = Number(process.env["MOUNTAINEER_EDITS"] ?? 1_000);

test("B11 1,000 edits, 20 handovers and 20 kill -9 at 300 calls a second lose no session, and make no call twice", (t) =>
  tellNeverDown(t, { edits: EDITS, handovers: 20, kills: 20 }));
