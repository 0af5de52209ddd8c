// What a command is given, for tests that call it in this process: no terminal, and nobody reads what it says.
import type { CommandContext } from "../../src/cli/input/command.ts";

export function contextOf(home: string, changes: Partial<CommandContext> = {}): CommandContext {
  const never = new AbortController().signal;
  return {
    home,
    command: "mount",
    json: false,
    configPath: null,
    remote: null,
    stdoutStyle: { width: 80, color: false, unicode: false },
    isTerminal: false,
    stdin: process.stdin,
    prompt: null,
    signal: never,
    forceSignal: never,
    print() {},
    notify() {},
    ...changes,
  };
}
