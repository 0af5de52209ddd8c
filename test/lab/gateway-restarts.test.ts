// A thousand restarts of one backend, beside the story that the unit suite plays in short.
import { test } from "node:test";
import { restartAgainAndAgain } from "../mcp/restart-story.ts";

test("a thousand restarts leave one process, one session and a daemon no larger", (t) =>
  restartAgainAndAgain(t, { restarts: 1_000, flatMb: 8 }));
