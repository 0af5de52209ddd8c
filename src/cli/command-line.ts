// All commands, in a build as modules that are loaded when they are needed.
import { dispatch } from "./dispatch.ts";
import { run } from "./run.ts";

/** Runs the command line and ends the process. */
export const runCommands = (args: readonly string[]): Promise<void> => run(args, dispatch);
