// Half an hour of the random story of servers that sleep, wake and end.
import { test } from "node:test";
import { playSleepingStory } from "../mcp/sleeping-story.ts";

test("B2 half an hour of calls, idleness, edits and kills: no call is lost or made twice, no tool leaves a list", (t) =>
  playSleepingStory(t, { forMs: 30 * 60_000, seed: Date.now() % 1_000_000 }));
