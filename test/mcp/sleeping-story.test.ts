// A minute of the random story of servers that sleep; test/nightly/sleeping-servers.test.ts plays half an hour.
import { test } from "node:test";
import { playSleepingStory } from "./sleeping-story.ts";

test("B2 a minute of calls, idleness, edits and kills: no call is lost or made twice, no tool leaves a list", (t) =>
  playSleepingStory(t, { forMs: 45_000, seed: Number(process.env["MOUNTAINEER_TEST_SEED"] ?? 1) }));
