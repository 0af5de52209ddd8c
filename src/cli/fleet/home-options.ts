// The options of the fleet's own code, from the home and the command that it works for.
import { systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";

export function homeOptions({ home, signal }: Pick<CommandContext, "home" | "signal">) {
  return { home, signal, clock: systemClock, environment: process.env };
}
