// Makes the options that code in src/fleet takes from a command.
import { systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";

export function homeOptions({ home, signal }: Pick<CommandContext, "home" | "signal">) {
  return { home, signal, clock: systemClock, environment: process.env };
}
