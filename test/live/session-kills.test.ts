import test from "node:test";
import { killAgainAndAgain } from "./session-kills.ts";

// 20 of them play by night.
test("B11 kill -9 of the daemon under load loses no session and makes no call twice", (t) =>
  killAgainAndAgain(t, 5));
