import test from "node:test";
import { killAgainAndAgain } from "../live/session-kills.ts";

test("B11 20 times kill -9 of the daemon under load lose no session and make no call twice", (t) =>
  killAgainAndAgain(t, 20));
