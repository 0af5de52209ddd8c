// Restarts in a row; the lab does a thousand.
import { test } from "node:test";
import { restartAgainAndAgain } from "./restart-story.ts";

test("sixty restarts leave one process, one session and a daemon hardly larger", (t) =>
  restartAgainAndAgain(t, { restarts: 60, flatMb: 25 }));
